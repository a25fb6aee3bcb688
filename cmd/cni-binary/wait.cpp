#include "wait.h"

#include <cerrno>
#include <csignal>
#include <ctime>
#include <poll.h>
#include <unistd.h>

namespace heddle {
namespace {

constexpr int STOPPING[] = {SIGTERM, SIGINT, SIGHUP};

volatile sig_atomic_t caught = 0;
sigset_t outside;

void onSignal(int signal) { caught = signal; }

}  // namespace

long nowMs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000L + now.tv_nsec / 1'000'000L;
}

void prepareSignals() {
  sigset_t blocked;
  sigemptyset(&blocked);
  struct sigaction action {};
  action.sa_handler = onSignal;
  for (const int signal : STOPPING) {
    sigaddset(&blocked, signal);
    sigaction(signal, &action, nullptr);
  }
  // Blocked but in ppoll(): a signal between a look at `caught` and the wait is not missed.
  sigprocmask(SIG_BLOCK, &blocked, &outside);
  // Whoever starts us may have them blocked; waits must be interruptible all the same.
  for (const int signal : STOPPING) sigdelset(&outside, signal);
  action.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &action, nullptr);
}

void releaseSignals() {
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  for (const int signal : STOPPING) sigaction(signal, &action, nullptr);
  sigprocmask(SIG_SETMASK, &outside, nullptr);
}

int stopSignal() { return caught; }

Wait waitFor(int fd, short events, long deadlineMs) {
  for (;;) {
    if (caught != 0) return Wait::Stopped;
    const long left = deadlineMs - nowMs();
    if (left <= 0) return Wait::TimedOut;
    pollfd poll{fd, events, 0};
    const timespec timeout{left / 1000, left % 1000 * 1'000'000L};
    const int ready = ppoll(&poll, 1, &timeout, &outside);
    if (ready > 0) return Wait::Ready;
    if (ready < 0 && errno != EINTR) return Wait::Failed;
  }
}

bool writeAll(int fd, const char* bytes, size_t length) {
  while (length > 0) {
    const ssize_t written = write(fd, bytes, length);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EAGAIN) {
      // A standard output that is non-blocking, as Node.js makes its pipes.
      pollfd poll{fd, POLLOUT, 0};
      if (::poll(&poll, 1, -1) < 0 && errno != EINTR) return false;
      continue;
    }
    if (written <= 0) return false;
    bytes += written;
    length -= static_cast<size_t>(written);
  }
  return true;
}

}  // namespace heddle
