#include "unread.h"

#include <linux/if_packet.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "lock.h"

namespace {

using heddle::Lock;

/** Descriptors above are not watched. */
constexpr int kMost = 4096;
/** In the upper half of what epoll hands back, where VPP's own has an address: the lower one is a descriptor. */
constexpr uint64_t kMark = 0x4844554eull << 32;
/** Times a socket is told of between two looks at its first place: with segments of 64 KiB VPP reads seven at a time. */
constexpr uint32_t kReports = 64;
constexpr int kShortestMs = 1;
constexpr int kLongestMs = 8;

struct Watched {
  int epoll = -1;
  /** As VPP wants it. */
  epoll_event event{};
  const volatile tpacket2_hdr* first = nullptr;
  /** Since the last look. */
  uint32_t reports = 0;
  /** When the packet in the first place came, in nanoseconds; 0 if there was none. */
  uint64_t seen = 0;
  int pause_ms = kShortestMs;
  /** By the monotonic clock; 0: it is not left alone. */
  int64_t until_ms = 0;
};

Watched watched[kMost];
pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
/** Descriptors of those that are left alone. */
int silent[kMost];
int silent_count = 0;

int64_t Now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * int64_t{1000} + t.tv_nsec / 1'000'000;
}

bool IsWatched(int fd) { return fd >= 0 && fd < kMost && watched[fd].epoll >= 0; }

epoll_event Marked(int fd, uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = kMark | static_cast<uint32_t>(fd);
  return event;
}

void Tell(int fd, uint32_t events) {
  epoll_event event = Marked(fd, events);
  syscall(SYS_epoll_ctl, watched[fd].epoll, EPOLL_CTL_MOD, fd, &event);
}

/** Holding `mutex`. */
void Forget(int fd) {
  watched[fd].until_ms = 0;
  for (int i = 0; i < silent_count; i++) {
    if (silent[i] == fd) silent[i--] = silent[--silent_count];
  }
}

/** The packet in the first place was there at the last look. VPP reads in order, and would have come to it. */
bool IsUnread(Watched& w) {
  w.reports = 0;
  const bool is_full = (w.first->tp_status & TP_STATUS_USER) != 0;
  const uint64_t came = is_full ? w.first->tp_sec * 1'000'000'000ull + w.first->tp_nsec : 0;
  const bool is_unread = came != 0 && came == w.seen;
  w.seen = came;
  if (!is_unread) w.pause_ms = kShortestMs;
  return is_unread;
}

void LeaveAlone(int fd) {
  const Lock lock(mutex);
  Watched& w = watched[fd];
  if (w.epoll < 0 || w.until_ms != 0 || silent_count == kMost) return;
  w.until_ms = Now() + w.pause_ms;
  if (w.pause_ms < kLongestMs) w.pause_ms *= 2;
  // The next time that it is told of is looked at.
  w.reports = kReports - 1;
  silent[silent_count] = fd;
  __atomic_store_n(&silent_count, silent_count + 1, __ATOMIC_RELAXED);
  Tell(fd, 0);
}

}  // namespace

epoll_event heddle::Watch(int epoll, int fd, const epoll_event& event, const void* rings) {
  const Lock lock(mutex);
  if (fd >= kMost) return event;
  Forget(fd);
  watched[fd] = {};
  watched[fd].epoll = epoll;
  watched[fd].event = event;
  watched[fd].first = static_cast<const volatile tpacket2_hdr*>(rings);
  return Marked(fd, event.events);
}

epoll_event heddle::Rewatch(int fd, const epoll_event& event) {
  const Lock lock(mutex);
  if (!IsWatched(fd)) return event;
  Forget(fd);
  watched[fd].event = event;
  return Marked(fd, event.events);
}

void heddle::Unwatch(int fd) {
  const Lock lock(mutex);
  if (!IsWatched(fd)) return;
  Forget(fd);
  // What has been told of already may still be asked for.
  watched[fd].epoll = -1;
}

int heddle::BeforeWaiting(int epoll, int timeout) {
  if (__atomic_load_n(&silent_count, __ATOMIC_RELAXED) == 0) return timeout;
  const Lock lock(mutex);
  const int64_t now = Now();
  int64_t wait = timeout < 0 ? INT32_MAX : timeout;
  for (int i = 0; i < silent_count; i++) {
    const int fd = silent[i];
    Watched& w = watched[fd];
    if (w.epoll != epoll) continue;
    if (w.until_ms > now) {
      if (w.until_ms - now < wait) wait = w.until_ms - now;
      continue;
    }
    w.until_ms = 0;
    silent[i--] = silent[--silent_count];
    Tell(fd, w.event.events);
  }
  return wait == INT32_MAX ? timeout : static_cast<int>(wait);
}

void heddle::AfterWaiting(epoll_event* events, int count) {
  for (int i = 0; i < count; i++) {
    if (events[i].data.u64 >> 32 != kMark >> 32) continue;
    const int fd = static_cast<int>(events[i].data.u64 & UINT32_MAX);
    Watched& w = watched[fd];
    events[i].data = w.event.data;
    if (w.epoll >= 0 && ++w.reports >= kReports && IsUnread(w)) LeaveAlone(fd);
  }
}
