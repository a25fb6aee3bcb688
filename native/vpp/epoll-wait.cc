// Loaded into a VPP that the agent starts (LD_PRELOAD), for what its main loop makes of epoll (vlib_file_poll, src/vlib/file.c of
// 26.06).
//
// It asks for 16 events at a time and, when it gets all 16, asks again before it has any of them handled. The handler of a packet
// socket reads nothing, it only asks for its interface to be served, so with 16 readable sockets the loop never ends: VPP hangs
// for good. With 15 at most it never asks again.
//
// It waits for whole milliseconds, and for what is left until a timer is due it goes round and round: of an idle VPP that is nine tenths
// of the time that it takes. When it has asked several times in a row, without a wait and without anything to do in between, it
// waits here for some microseconds, or until there is an event.
#include <errno.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "packet-sockets.h"
#include "unread.h"

namespace {

constexpr int kBatch = 16;
/** A round in which nothing is done takes a few. */
constexpr int64_t kIdleNs = 20'000;
constexpr int kIdleRounds = 8;
/** Timers are so much late, at most. */
constexpr int64_t kNapNs = 100'000;

/** What the calling thread does between its questions. */
struct Rounds {
  int idle;
  int64_t asked_at;
};
thread_local Rounds rounds __attribute__((tls_model("initial-exec")));
/** Linux before 5.11, or a filter of system calls that does not know this one: VPP takes most errors of epoll's for its end. */
bool has_no_naps = false;

int64_t Now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * int64_t{1'000'000'000} + t.tv_nsec;
}

/** Whether VPP has nothing to do, and does not know it. */
bool IsIdle() {
  const int64_t now = Now();
  rounds.idle = now - rounds.asked_at < kIdleNs ? rounds.idle + 1 : 0;
  rounds.asked_at = now;
  return rounds.idle >= kIdleRounds && !has_no_naps;
}

int Nap(int epoll, epoll_event* events, int most) {
  const timespec nap{0, kNapNs};
  const int count = static_cast<int>(syscall(SYS_epoll_pwait2, epoll, events, most, &nap, nullptr, 0));
  rounds.asked_at = Now();
  if (count >= 0 || errno == EINTR) return count;
  has_no_naps = true;
  return 0;
}

}  // namespace

extern "C" __attribute__((visibility("default"))) int epoll_wait(int epoll, struct epoll_event *events, int most, int timeout) {
  heddle::LookAfterSockets();
  if (most == kBatch) most--;
  timeout = heddle::BeforeWaiting(epoll, timeout);
  const int count = timeout == 0 && IsIdle() ? Nap(epoll, events, most) : epoll_pwait(epoll, events, most, timeout, nullptr);
  if (count != 0 || timeout != 0) rounds.idle = 0;
  heddle::AfterWaiting(events, count);
  return count;
}
