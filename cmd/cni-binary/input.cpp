#include "input.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <poll.h>
#include <unistd.h>

#include "output.h"
#include "text.h"
#include "wait.h"

namespace heddle {
namespace {

constexpr char DEFAULT_SOCKET[] = "/run/heddle/cni.sock";
// Kubelet gives up on a sandbox after 240 s (twice its runtimeRequestTimeout of 2 min); before that, we can still say why.
constexpr long DEFAULT_TIMEOUT_MS = 220'000;
constexpr double MAX_TIMEOUT_SECONDS = 3600;
constexpr size_t MAX_INPUT = 1 << 20;
// Read and thrown away of an input that is too large, so that its writer does not die of SIGPIPE and sees our answer.
constexpr size_t MAX_DRAINED = 64 << 20;

// One byte more than allowed: that it is there shows that the input is too large.
char input[MAX_INPUT + 1];

}  // namespace

std::string_view readInput(long startMs) {
  const long deadlineMs = startMs + DEFAULT_TIMEOUT_MS;
  size_t length = 0;
  size_t drained = 0;
  for (;;) {
    const Wait wait = waitFor(STDIN_FILENO, POLLIN, deadlineMs);
    if (wait == Wait::Stopped) stopped();
    if (wait == Wait::TimedOut) fail(Io, "no network configuration", "standard input was not closed within 220 s");
    const bool tooLarge = length == sizeof input;
    // What is drained goes over the last half of what was read: nobody will look at it.
    char* const to = tooLarge ? input + sizeof input / 2 : input + length;
    const ssize_t count = read(STDIN_FILENO, to, static_cast<size_t>(input + sizeof input - to));
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (count < 0) fail(Io, "reading the network configuration failed", strerror(errno));
    if (tooLarge) drained += static_cast<size_t>(count);
    if (count == 0 || drained > MAX_DRAINED) {
      if (length <= MAX_INPUT) return std::string_view(input, length);
      fail(Decoding, "the network configuration is larger than 1 MiB", "standard input holds more than 1048576 bytes");
    }
    if (!tooLarge) length += static_cast<size_t>(count);
  }
}

void readVersion(const JsonValue& version) {
  if (version.kind == JsonValue::Kind::Absent) return;
  if (version.kind != JsonValue::Kind::String) fail(Decoding, "cniVersion is not a string", version.raw);
  if (version.raw.size() <= 2 || version.raw.size() > 64) return;
  for (const char c : version.raw) {
    if (c < 0x20 || c >= 0x7f) return;
  }
  adoptVersion(version.raw);
}

void readSocketPath(const JsonValue& socket, char (&path)[MAX_SOCKET_PATH + 1]) {
  static_assert(sizeof DEFAULT_SOCKET <= MAX_SOCKET_PATH + 1);
  if (socket.kind == JsonValue::Kind::Absent) {
    memcpy(path, DEFAULT_SOCKET, sizeof DEFAULT_SOCKET);
    return;
  }
  const char* rule = "cniSocket must be the absolute path of the agent's socket, at most 107 bytes long";
  size_t length = 0;
  if (socket.kind != JsonValue::Kind::String || !decodeString(socket.raw, path, MAX_SOCKET_PATH, length) ||
      path[0] != '/' || memchr(path, '\0', length) != nullptr) {
    Text<512> details;
    details.append(rule);
    details.append("; it is ");
    details.append(socket.raw.substr(0, 200));
    fail(Config, "cniSocket is invalid", details.view());
  }
  path[length] = '\0';
}

long readTimeoutMs(const JsonValue& timeout) {
  if (timeout.kind == JsonValue::Kind::Absent) return DEFAULT_TIMEOUT_MS;
  char digits[64] = {};
  double seconds = 0;
  if (timeout.kind == JsonValue::Kind::Number && timeout.raw.size() < sizeof digits) {
    memcpy(digits, timeout.raw.data(), timeout.raw.size());
    seconds = strtod(digits, nullptr);
  }
  if (!(seconds > 0 && seconds <= MAX_TIMEOUT_SECONDS)) {
    Text<512> details;
    details.append("cniTimeoutSeconds must be a number above 0, at most 3600; it is ");
    details.append(timeout.raw.substr(0, 200));
    fail(Config, "cniTimeoutSeconds is invalid", details.view());
  }
  // Rounded up: a fraction of a millisecond is not "no time at all".
  return static_cast<long>(seconds * 1000) + 1;
}

}  // namespace heddle
