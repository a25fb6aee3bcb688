// Loaded into a VPP that the agent starts (LD_PRELOAD). VPP's main loop asks epoll for 16 events at a time and, when it gets
// all 16, asks again before it has any of them handled (vlib_file_poll, src/vlib/file.c of 26.06). The handler of a packet
// socket reads nothing, it only asks for its interface to be served, so with 16 readable sockets the loop never ends: VPP hangs
// for good. With 15 at most it never asks again.
#include <sys/epoll.h>

#include "packet-sockets.h"
#include "unread.h"

extern "C" __attribute__((visibility("default"))) int epoll_wait(int epfd, struct epoll_event *events, int maxevents, int timeout) {
  constexpr int kBatch = 16;
  heddle::LookAfterSockets();
  const int batch = maxevents == kBatch ? kBatch - 1 : maxevents;
  const int count = epoll_pwait(epfd, events, batch, heddle::BeforeWaiting(epfd, timeout), nullptr);
  heddle::AfterWaiting(events, count);
  return count;
}
