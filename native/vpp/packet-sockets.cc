// Loaded into a VPP that the agent starts (LD_PRELOAD). A packet socket that VPP opens gets rings that are there already, and
// what VPP closes is closed by others: see spare-sockets.cc. What VPP does in af_packet.c of 26.06, in this order:
//
//   socket, bind, setsockopt(PACKET_VERSION, PACKET_LOSS, PACKET_VNET_HDR, PACKET_QDISC_BYPASS), PACKET_RX_RING,
//   PACKET_TX_RING, mmap, epoll_ctl(ADD)
//   close, epoll_ctl(DEL), close, munmap
//
// RX_RING is put off until it is known whether a TX_RING follows. Then all that was set is read from the socket, and a spare one
// that is the same in everything, bound to the same device, takes its place under the same number. Whatever is otherwise
// than here goes to the kernel as it is.
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "spare-sockets.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

namespace {

using heddle::Lock;
using heddle::Shape;
using heddle::Spare;

/** Descriptors above are left alone. */
constexpr int kMost = 4096;

/** What a descriptor of VPP's is, if it has a spare socket. */
struct Granted {
  /** Null if it has none. */
  void* map;
  size_t size;
  /** The epoll instance that has it, or -1. It would go on reporting the socket when its descriptor is closed. */
  int epoll;
};

/** Rings that VPP is to unmap. */
struct Rings {
  void* map;
  size_t size;
};

pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
Granted granted[kMost];
Rings rings[kMost];
/** A socket whose RX_RING was put off. */
int put_off = -1;
tpacket_req3 put_off_ring;

Granted* GrantedAt(int fd) { return fd >= 0 && fd < kMost && granted[fd].map != nullptr ? &granted[fd] : nullptr; }

/** Those at that address, or with null room for some. */
Rings* RingsAt(void* map) {
  for (Rings& r : rings) {
    if (r.map == map) return &r;
  }
  return nullptr;
}

int RealSet(int fd, int level, int option, const void* value, socklen_t size) {
  return static_cast<int>(syscall(SYS_setsockopt, fd, level, option, value, size));
}

template <typename T>
bool Get(int fd, int level, int option, T* value) {
  socklen_t size = sizeof *value;
  return getsockopt(fd, level, option, value, &size) == 0 && size == sizeof *value;
}

/** Does what was put off. */
int CatchUp() {
  if (put_off < 0) return 0;
  const int fd = put_off;
  put_off = -1;
  return RealSet(fd, SOL_PACKET, PACKET_RX_RING, &put_off_ring, sizeof put_off_ring);
}

/** False if the socket has something that spares have not. */
bool ShapeOf(int fd, const tpacket_req3& rx, const tpacket_req3& tx, Shape* shape) {
  int version = 0, fanout = 0;
  memset(shape, 0, sizeof *shape);
  shape->rx = rx;
  shape->tx = tx;
  return Get(fd, SOL_SOCKET, SO_NETNS_COOKIE, &shape->netns) && Get(fd, SOL_PACKET, PACKET_VERSION, &version) &&
         version == TPACKET_V3 && Get(fd, SOL_PACKET, PACKET_LOSS, &shape->loss) &&
         Get(fd, SOL_PACKET, PACKET_VNET_HDR, &shape->vnet_hdr) && Get(fd, SOL_PACKET, PACKET_FANOUT, &fanout) &&
         fanout == 0;
}

/** Puts a spare socket in the place of this one. */
bool Replace(int fd, const Shape& shape) {
  sockaddr_ll address{};
  socklen_t size = sizeof address;
  int bypass = 0;
  Rings* const room = RingsAt(nullptr);
  if (fd >= kMost || room == nullptr || getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0 ||
      !Get(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &bypass)) {
    return false;
  }
  const Spare spare = heddle::TakeSpare(shape);
  if (spare.fd < 0) return false;
  const bool is_same = RealSet(spare.fd, SOL_PACKET, PACKET_QDISC_BYPASS, &bypass, sizeof bypass) == 0 &&
                       bind(spare.fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  const int former = is_same ? dup(fd) : -1;
  if (former >= 0) {
    dup2(spare.fd, fd);
    granted[fd] = {spare.map, shape.MapSize(), -1};
    *room = {spare.map, shape.MapSize()};
    heddle::CloseLater(former);
    syscall(SYS_close, spare.fd);
    return true;
  }
  syscall(SYS_close, spare.fd);
  heddle::UnmapLater(spare.map, shape.MapSize());
  return false;
}

int SetTxRing(int fd, const tpacket_req3& tx) {
  const tpacket_req3 rx = put_off_ring;
  put_off = -1;
  Shape shape;
  if (ShapeOf(fd, rx, tx, &shape) && Replace(fd, shape)) return 0;
  const int status = RealSet(fd, SOL_PACKET, PACKET_RX_RING, &rx, sizeof rx);
  return status != 0 ? status : RealSet(fd, SOL_PACKET, PACKET_TX_RING, &tx, sizeof tx);
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

/** Without its protocol until it is bound, which VPP does at once: no wait until all have stopped to look at it. */
int socket(int domain, int type, int protocol) noexcept {
  const bool is_ours = domain == AF_PACKET && type == SOCK_RAW && protocol == htons(ETH_P_ALL);
  return static_cast<int>(syscall(SYS_socket, domain, type, is_ours ? 0 : protocol));
}

int setsockopt(int fd, int level, int option, const void* value, socklen_t size) noexcept {
  const bool is_ring = level == SOL_PACKET && size == sizeof(tpacket_req3);
  if (!is_ring || (option != PACKET_RX_RING && option != PACKET_TX_RING)) {
    return RealSet(fd, level, option, value, size);
  }
  const Lock lock(mutex);
  tpacket_req3 ring;
  memcpy(&ring, value, sizeof ring);
  if (option == PACKET_TX_RING && fd == put_off) return SetTxRing(fd, ring);
  CatchUp();
  if (option == PACKET_TX_RING) return RealSet(fd, level, option, value, size);
  put_off = fd;
  put_off_ring = ring;
  return 0;
}

void* mmap(void* at, size_t size, int protection, int flags, int fd, off_t offset) noexcept {
  if (fd >= 0 && (flags & MAP_SHARED) != 0) {
    const Lock lock(mutex);
    if (fd == put_off && CatchUp() != 0) return MAP_FAILED;
    const Granted* const g = GrantedAt(fd);
    if (g != nullptr && at == nullptr && offset == 0 && g->size == size) return g->map;
  }
  return reinterpret_cast<void*>(syscall(SYS_mmap, at, size, protection, flags, fd, offset));
}

int munmap(void* at, size_t size) noexcept {
  const Lock lock(mutex);
  Rings* const r = at == nullptr ? nullptr : RingsAt(at);
  if (r == nullptr || r->size != size) return static_cast<int>(syscall(SYS_munmap, at, size));
  *r = {};
  heddle::UnmapLater(at, size);
  return 0;
}

int epoll_ctl(int epoll, int operation, int fd, epoll_event* event) noexcept {
  const int status = static_cast<int>(syscall(SYS_epoll_ctl, epoll, operation, fd, event));
  if (status == 0 && operation == EPOLL_CTL_ADD) {
    const Lock lock(mutex);
    Granted* const g = GrantedAt(fd);
    if (g != nullptr) g->epoll = epoll;
  }
  return status;
}

int close(int fd) {
  const Lock lock(mutex);
  if (fd == put_off) put_off = -1;
  Granted* const g = GrantedAt(fd);
  if (g != nullptr) {
    if (g->epoll >= 0) syscall(SYS_epoll_ctl, g->epoll, EPOLL_CTL_DEL, fd, nullptr);
    *g = {};
  }
  return static_cast<int>(syscall(SYS_close, fd));
}

}  // extern "C"
#pragma GCC visibility pop
