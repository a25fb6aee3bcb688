// The network configuration on standard input, and what the executable itself needs of it. Whatever is wrong with it
// ends the process with an error.
#pragma once

#include <cstddef>
#include <string_view>

#include "json.h"

namespace heddle {

// sun_path's 108 bytes less the closing NUL (include/uapi/linux/un.h).
constexpr size_t MAX_SOCKET_PATH = 107;

// All of standard input, in static memory; errors 5 and 6.
std::string_view readInput(long startMs);

// The request's own version for errors and VERSION's answer, but for one that could break the line; error 6.
void readVersion(const JsonValue& version);

// cniSocket, or where the agent listens by default; error 7.
void readSocketPath(const JsonValue& socket, char (&path)[MAX_SOCKET_PATH + 1]);

// cniTimeoutSeconds, or 220 s; error 7.
long readTimeoutMs(const JsonValue& timeout);

}  // namespace heddle
