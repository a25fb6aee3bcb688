// Loaded into a VPP that the agent starts (LD_PRELOAD). A packet socket that VPP opens is one that the keeper (native/vpp/keeper)
// has made ahead, or kept when an earlier VPP died; the keeper has one that is made here as well, and what VPP closes is closed
// there. What VPP does in af_packet.c of 26.06, in this order:
//
//   socket, bind, setsockopt(PACKET_VERSION, PACKET_LOSS, PACKET_VNET_HDR, PACKET_QDISC_BYPASS), PACKET_RX_RING,
//   PACKET_TX_RING, mmap, epoll_ctl(ADD)
//   close, epoll_ctl(DEL), close, munmap
//
// RX_RING is put off until it is known whether a TX_RING follows. Then all that was set is read from the socket, and one of
// the keeper's that is the same in everything, bound to the same device, takes its place under the same number. Whatever is
// otherwise than here goes to the kernel as it is.
#include "packet-sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "keeper-client.h"
#include "lock.h"
#include "rings.h"
#include "unread.h"

namespace {

using heddle::Lock;
using heddle::Request;
using heddle::Shape;

/** Descriptors above are left alone. */
constexpr int kMost = 4096;

/** A packet socket with both rings. */
struct Held {
  /** 0 if there is none here. */
  uint64_t id;
  Shape shape;
  /** -1 once it is closed. */
  int fd;
  /** The epoll instance that has it, or -1. It would go on reporting the socket when its descriptor is closed. */
  int epoll;
  void* map;
  /** VPP has it mapped. */
  bool is_mapped;
};

pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
Held held[kMost];
/** Those in `held` from here on were never used. */
int used = 0;
/** Index in `held` by descriptor, plus one. */
int by_descriptor[kMost];
uint64_t last_id = 0;
/** A socket of the keeper's that is mapped already; `id` is 0 if there is none. To map one takes 2 ms. */
struct Next {
  uint64_t id;
  Shape shape;
  int fd;
  void* map;
};
Next next{};
/** When it is time to map one, and what it is to be like; 0 if there is no need. */
int64_t next_at = 0;
Shape next_shape;
/** Until the interface is made that a spare was taken for. */
constexpr int64_t kPauseMs = 12;
/** Until there is a spare again. */
constexpr int64_t kAgainMs = 100;
/** A socket whose RX_RING was put off. */
int put_off = -1;
tpacket_req3 put_off_ring;
socklen_t put_off_size;

Held* HeldAt(int fd) { return fd >= 0 && fd < kMost && by_descriptor[fd] != 0 ? &held[by_descriptor[fd] - 1] : nullptr; }

Held* HeldAt(const void* map) {
  for (int i = 0; i < used; i++) {
    if (held[i].id != 0 && held[i].is_mapped && held[i].map == map) return &held[i];
  }
  return nullptr;
}

uint64_t NewId() { return __atomic_add_fetch(&last_id, 1, __ATOMIC_RELAXED); }

/** Has one more, whose descriptor that is. */
void Add(uint64_t id, const Shape& shape, int fd, void* map) {
  const Lock lock(mutex);
  int i = 0;
  while (i < used && held[i].id != 0) i++;
  // Those that are closed and not unmapped have a place, too.
  if (i == kMost) return;
  if (i == used) used++;
  held[i] = {id, shape, fd, -1, map, false};
  by_descriptor[fd] = i + 1;
}

/** Nothing of it is left here. */
void Remove(Held* h) {
  heddle::Done(h->id);
  *h = {};
}

int RealSet(int fd, int level, int option, const void* value, socklen_t size) {
  return static_cast<int>(syscall(SYS_setsockopt, fd, level, option, value, size));
}

template <typename T>
bool Get(int fd, int level, int option, T* value) {
  socklen_t size = sizeof *value;
  return getsockopt(fd, level, option, value, &size) == 0 && size == sizeof *value;
}

/** Does what was put off. Holding `mutex`. */
int CatchUp() {
  if (put_off < 0) return 0;
  const int fd = put_off;
  put_off = -1;
  return RealSet(fd, SOL_PACKET, PACKET_RX_RING, &put_off_ring, put_off_size);
}

/** False if the socket has something that those of the keeper have not. */
bool ShapeOf(int fd, const tpacket_req3& rx, const tpacket_req3& tx, Shape* shape) {
  int fanout = 0;
  memset(shape, 0, sizeof *shape);
  shape->rx = rx;
  shape->tx = tx;
  return fd < kMost && Get(fd, SOL_SOCKET, SO_NETNS_COOKIE, &shape->netns) &&
         Get(fd, SOL_PACKET, PACKET_VERSION, &shape->version) &&
         (shape->version == TPACKET_V2 || shape->version == TPACKET_V3) &&
         Get(fd, SOL_PACKET, PACKET_LOSS, &shape->loss) && Get(fd, SOL_PACKET, PACKET_VNET_HDR, &shape->vnet_hdr) &&
         Get(fd, SOL_PACKET, PACKET_FANOUT, &fanout) && fanout == 0;
}

int64_t Now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
  return t.tv_sec * int64_t{1000} + t.tv_nsec / 1'000'000;
}

/** Unmaps what was mapped for nothing, and gives it up. */
void Discard(const Next& mapped) {
  syscall(SYS_munmap, mapped.map, mapped.shape.MapSize());
  syscall(SYS_close, mapped.fd);
  heddle::Done(mapped.id);
}

/** Maps a spare for the next time, if it is time for that. */
void Prepare() {
  Shape shape;
  Next other{};
  {
    const Lock lock(mutex);
    if (next_at == 0 || Now() < next_at) return;
    shape = next_shape;
    if (next.id != 0 && !(next.shape == shape)) {
      other = next;
      next = {};
    }
    next_at = next.id == 0 ? Now() + kAgainMs : 0;
    if (next_at == 0) return;
  }
  if (other.id != 0) Discard(other);
  const uint64_t id = NewId();
  const int fd = heddle::Take(id, shape, 0, Request::kReadyOnly).fd;
  if (fd < 0) return;
  const long at = syscall(SYS_mmap, nullptr, shape.MapSize(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  const Lock lock(mutex);
  if (at != -1 && next.id == 0) {
    next_at = 0;
    next = {id, shape, fd, reinterpret_cast<void*>(at)};
    return;
  }
  syscall(SYS_close, fd);
  if (at != -1) syscall(SYS_munmap, at, shape.MapSize());
  heddle::Done(id);
}

/** The one that is mapped, if it is like that. */
bool TakeNext(const Shape& shape, Next* taken) {
  const Lock lock(mutex);
  if (next.id == 0 || !(next.shape == shape)) return false;
  *taken = next;
  next = {};
  return true;
}

enum class Replaced { kYes, kNo, kNotByKept };

/** Puts one of the keeper's sockets in the place of this one. */
Replaced Replace(int fd, const Shape& shape, Request::Which which) {
  sockaddr_ll address{};
  socklen_t size = sizeof address;
  int bypass = 0;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0 || address.sll_protocol != htons(ETH_P_ALL) ||
      !Get(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &bypass)) {
    return Replaced::kNo;
  }
  Next mapped{};
  const bool is_mapped = TakeNext(shape, &mapped);
  uint64_t id = NewId();
  heddle::Taken taken{};
  if (which != Request::kSpareOnly || !is_mapped) {
    taken = heddle::Take(id, shape, address.sll_ifindex, is_mapped ? Request::kKeptOnly : which);
  }
  void* map = nullptr;
  if (is_mapped && taken.fd < 0) {
    id = mapped.id;
    taken.fd = mapped.fd;
    map = mapped.map;
  } else if (is_mapped) {
    const Lock lock(mutex);
    next = mapped;
  }
  if (taken.fd < 0) return Replaced::kNo;
  bool is_same = RealSet(taken.fd, SOL_PACKET, PACKET_QDISC_BYPASS, &bypass, sizeof bypass) == 0;
  if (is_same && taken.kept) is_same = (map = heddle::MapInOrder(taken.fd, shape)) != nullptr;
  else if (is_same) is_same = bind(taken.fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  if (is_same) {
    heddle::CloseElsewhere(fd);
    dup2(taken.fd, fd);
    Add(id, shape, fd, map);
  }
  syscall(SYS_close, taken.fd);
  if (!taken.kept) {
    const Lock lock(mutex);
    next_at = Now() + kPauseMs;
    next_shape = shape;
  }
  if (is_same) return Replaced::kYes;
  if (map != nullptr) syscall(SYS_munmap, map, shape.MapSize());
  heddle::Done(id);
  return taken.kept ? Replaced::kNotByKept : Replaced::kNo;
}

/** Without `mutex`, since it may wait. */
int SetRings(int fd, const tpacket_req3& rx, const tpacket_req3& tx, socklen_t size) {
  Shape shape;
  const bool is_ours = ShapeOf(fd, rx, tx, &shape) && size == shape.RequestSize();
  Replaced replaced = is_ours ? Replace(fd, shape, Request::kAny) : Replaced::kNo;
  if (replaced == Replaced::kNotByKept) replaced = Replace(fd, shape, Request::kSpareOnly);
  if (replaced == Replaced::kYes) return 0;
  int status = RealSet(fd, SOL_PACKET, PACKET_RX_RING, &rx, size);
  if (status == 0) status = RealSet(fd, SOL_PACKET, PACKET_TX_RING, &tx, size);
  if (status == 0 && is_ours) {
    const uint64_t id = NewId();
    Add(id, shape, fd, nullptr);
    heddle::Hold(id, shape, fd);
  }
  return status;
}

/** Tells a keeper that is new of what is here. */
void Introduce() {
  if (!heddle::KeepInTouch()) return;
  const Lock lock(mutex);
  for (int i = 0; i < used; i++) {
    if (held[i].id != 0 && held[i].fd >= 0) heddle::Hold(held[i].id, held[i].shape, held[i].fd);
  }
  if (next.id != 0) heddle::Hold(next.id, next.shape, next.fd);
}

}  // namespace

void heddle::LookAfterSockets() {
  Introduce();
  Prepare();
}

#pragma GCC visibility push(default)
extern "C" {

/** Without its protocol until it is bound, which VPP does at once: no wait until all have stopped to look at it. */
int socket(int domain, int type, int protocol) noexcept {
  const bool is_ours = domain == AF_PACKET && type == SOCK_RAW && protocol == htons(ETH_P_ALL);
  if (is_ours) Introduce();
  return static_cast<int>(syscall(SYS_socket, domain, type, is_ours ? 0 : protocol));
}

int setsockopt(int fd, int level, int option, const void* value, socklen_t size) noexcept {
  const bool is_ring = level == SOL_PACKET && (size == sizeof(tpacket_req) || size == sizeof(tpacket_req3));
  if (!is_ring || (option != PACKET_RX_RING && option != PACKET_TX_RING)) {
    return RealSet(fd, level, option, value, size);
  }
  tpacket_req3 ring{}, rx;
  memcpy(&ring, value, size);
  {
    const Lock lock(mutex);
    const bool is_second = option == PACKET_TX_RING && fd == put_off && size == put_off_size;
    if (!is_second) CatchUp();
    if (option == PACKET_RX_RING) {
      put_off = fd;
      put_off_ring = ring;
      put_off_size = size;
      return 0;
    }
    if (!is_second) return RealSet(fd, level, option, value, size);
    put_off = -1;
    rx = put_off_ring;
  }
  return SetRings(fd, rx, ring, size);
}

void* mmap(void* at, size_t size, int protection, int flags, int fd, off_t offset) noexcept {
  const auto real = [&] { return reinterpret_cast<void*>(syscall(SYS_mmap, at, size, protection, flags, fd, offset)); };
  if (fd < 0 || (flags & MAP_SHARED) == 0) return real();
  const Lock lock(mutex);
  if (fd == put_off && CatchUp() != 0) return MAP_FAILED;
  Held* const h = HeldAt(fd);
  if (h == nullptr || at != nullptr || offset != 0 || h->is_mapped || h->shape.MapSize() != size) return real();
  // Rings can't be swapped out; to look at each of their pages for that takes as long as to map them.
  flags &= ~MAP_LOCKED;
  if (h->map == nullptr) h->map = real();
  if (h->map == MAP_FAILED) {
    h->map = nullptr;
    return MAP_FAILED;
  }
  h->is_mapped = true;
  return h->map;
}

int munmap(void* at, size_t size) noexcept {
  {
    const Lock lock(mutex);
    Held* const h = at == nullptr ? nullptr : HeldAt(at);
    if (h != nullptr && h->shape.MapSize() == size) {
      h->is_mapped = false;
      h->map = nullptr;
      syscall(SYS_munmap, at, size);
      if (h->fd < 0) Remove(h);
      return 0;
    }
  }
  return static_cast<int>(syscall(SYS_munmap, at, size));
}

int epoll_ctl(int epoll, int operation, int fd, epoll_event* event) noexcept {
  const Lock lock(mutex);
  Held* const h = HeldAt(fd);
  epoll_event told;
  if (h != nullptr && event != nullptr) {
    const bool is_watched = h->shape.version == TPACKET_V2 && h->is_mapped;
    if (operation == EPOLL_CTL_ADD && is_watched) event = &(told = heddle::Watch(epoll, fd, *event, h->map));
    if (operation == EPOLL_CTL_MOD) event = &(told = heddle::Rewatch(fd, *event));
  }
  if (operation == EPOLL_CTL_DEL) heddle::Unwatch(fd);
  const int status = static_cast<int>(syscall(SYS_epoll_ctl, epoll, operation, fd, event));
  if (status == 0 && operation == EPOLL_CTL_ADD && h != nullptr) h->epoll = epoll;
  return status;
}

int close(int fd) {
  const Lock lock(mutex);
  if (fd == put_off) put_off = -1;
  Held* const h = HeldAt(fd);
  if (h != nullptr && h->epoll >= 0) {
    heddle::Unwatch(fd);
    syscall(SYS_epoll_ctl, h->epoll, EPOLL_CTL_DEL, fd, nullptr);
  }
  const int status = static_cast<int>(syscall(SYS_close, fd));
  if (h != nullptr) {
    by_descriptor[fd] = 0;
    h->fd = -1;
    // Rings put in order that VPP never mapped.
    if (!h->is_mapped && h->map != nullptr) syscall(SYS_munmap, h->map, h->shape.MapSize());
    if (!h->is_mapped) Remove(h);
  }
  return status;
}

}  // extern "C"
#pragma GCC visibility pop
