// Every wait of the executable: until a file descriptor is ready, the deadline has passed, or a signal asks us to stop.
#pragma once

#include <cstddef>

namespace heddle {

enum class Wait { Ready, TimedOut, Stopped, Failed };

// Milliseconds since some moment in the past, never going back.
long nowMs();

// Blocks SIGTERM, SIGINT and SIGHUP except during waits, and ignores SIGPIPE. Called once, first.
void prepareSignals();

// Lets the signals end the process again, for the answer's sake: a write may block on a full pipe.
void releaseSignals();

// The signal that was behind Wait::Stopped.
int stopSignal();

// `fd` may be -1: then only time passes, and the deadline is Wait::TimedOut.
Wait waitFor(int fd, short events, long deadlineMs);

// Writes all of it; false if the reader has gone.
bool writeAll(int fd, const char* bytes, size_t length);

}  // namespace heddle
