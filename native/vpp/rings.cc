// Where the kernel is in a ring it tells nobody, but it can be seen (net/packet/af_packet.c):
//
// - What it receives it writes into one block after the other. A block that it opens gets the next number; one that it
//   closes is the reader's, and it goes on to the next, or waits for it to be given back. The mapping is made of parts so that
//   the block comes first.
//   In version 2 it has a place for each packet instead of blocks, and no numbers, but says when a packet came: after the latest
//   one it goes on.
// - What it sends it takes from one frame after the other, as long as they are marked. One that makes no sense is unmarked
//   and passed over (PACKET_LOSS). With all frames marked but the first it ends up there.
#include "rings.h"

#include <linux/if_packet.h>
#include <net/if_arp.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <type_traits>

namespace heddle {
namespace {

template <typename T>
T Load(const T& value) {
  return __atomic_load_n(&value, __ATOMIC_ACQUIRE);
}

template <typename T>
void Store(T& value, T next) {
  __atomic_store_n(&value, next, __ATOMIC_RELEASE);
}

/** VPP's munmap() has a meaning of its own: see packet-sockets.cc. */
void Unmap(void* at, size_t size) { syscall(SYS_munmap, at, size); }

void* Map(size_t size, int protection, int flags, int fd) {
  const long at = syscall(SYS_mmap, nullptr, size, protection, flags, fd, 0);
  return at == -1 ? nullptr : reinterpret_cast<void*>(at);
}

bool Move(char* from, size_t size, char* to) {
  return size == 0 || syscall(SYS_mremap, from, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to) == reinterpret_cast<long>(to);
}

class ReceiveRing {
 public:
  ReceiveRing(char* map, const Shape& shape) : map_(map), size_(shape.rx.tp_block_size), count_(shape.rx.tp_block_nr) {}

  /**
   * Gives back what is there, and returns the number of the block whose content is the reader's next. What the kernel closes
   * meanwhile stays.
   */
  unsigned Drop() {
    unsigned last = 0;
    for (unsigned i = 1; i < count_; i++) {
      if (Load(At(i).seq_num) > Load(At(last).seq_num)) last = i;
    }
    const auto latest = Load(At(last).seq_num);
    const bool is_closed = IsReaders(last);
    for (unsigned i = 0; i < count_; i++) {
      if ((i == last && !is_closed) || !IsReaders(i) || Load(At(i).seq_num) > latest) continue;
      Store(At(i).block_status, __u32{TP_STATUS_KERNEL});
    }
    return is_closed ? (last + 1) % count_ : last;
  }

 private:
  tpacket_hdr_v1& At(unsigned i) { return reinterpret_cast<tpacket_block_desc*>(map_ + i * size_)->hdr.bh1; }
  bool IsReaders(unsigned i) { return (Load(At(i).block_status) & TP_STATUS_USER) != 0; }

  char* const map_;
  const size_t size_;
  const unsigned count_;
};

constexpr unsigned kMostFrames = 4096;
/** Frames that are written at once have times that differ by less; a clock that is set back falls deeper. */
constexpr uint64_t kAtOnceNs = 10'000'000;

/** That of version 2: a place for each packet. */
class ReceiveFrames {
 public:
  ReceiveFrames(char* map, const Shape& shape) : map_(map), size_(shape.rx.tp_frame_size), count_(shape.rx.tp_frame_nr) {}

  /**
   * Gives back what is there, and finds the place that the kernel writes to next. What comes in meanwhile stays. False if the
   * clock was set back while packets came in: it can't be told then.
   */
  bool Drop(unsigned* next) {
    // VPP opens sockets on one thread. Nothing of C++'s library is there to be had.
    static uint64_t times[kMostFrames];
    // In the order in which they are written times grow, but for what two CPUs write at once, and fall from the latest to the
    // oldest.
    if (count_ > kMostFrames) return false;
    for (unsigned i = 0; i < count_; i++) times[i] = TimeOf(i);
    unsigned last = count_ - 1;
    uint64_t deepest = 0, second = 0;
    for (unsigned i = 0; i < count_; i++) {
      const uint64_t following = times[(i + 1) % count_];
      const uint64_t fall = times[i] > following ? times[i] - following : 0;
      if (fall > deepest) {
        second = deepest;
        deepest = fall;
        last = i;
      } else if (fall > second) {
        second = fall;
      }
    }
    if (second > kAtOnceNs) return false;
    for (unsigned i = 0; i < count_; i++) {
      // One that has another time by now was written meanwhile.
      if (TimeOf(i) == times[i]) Free(i);
    }
    *next = (last + 1) % count_;
    return true;
  }

 private:
  tpacket2_hdr& At(unsigned i) { return *reinterpret_cast<tpacket2_hdr*>(map_ + i * size_); }
  /** 0 of a place that was never written to. */
  uint64_t TimeOf(unsigned i) { return uint64_t{Load(At(i).tp_sec)} * 1'000'000'000 + Load(At(i).tp_nsec); }
  void Free(unsigned i) {
    if ((Load(At(i).tp_status) & TP_STATUS_USER) != 0) Store(At(i).tp_status, __u32{TP_STATUS_KERNEL});
  }

  char* const map_;
  const size_t size_;
  const unsigned count_;
};

/** `Header`: tpacket2_hdr or tpacket3_hdr. */
template <typename Header>
class SendRing {
 public:
  SendRing(char* map, const Shape& shape)
      : map_(map + shape.RxSize()), size_(shape.tx.tp_frame_size), count_(shape.tx.tp_frame_nr) {}

  /** Has the kernel go on at the first frame. False if it didn't. */
  bool Rewind(int fd) {
    for (unsigned i = 0; i < count_; i++) {
      // A device has it still.
      if ((Load(At(i).tp_status) & TP_STATUS_SENDING) != 0) return false;
    }
    Store(At(0).tp_status, __u32{TP_STATUS_AVAILABLE});
    for (unsigned i = 1; i < count_; i++) {
      // No room for the header that any frame has.
      At(i).tp_len = At(i).tp_snaplen = 0;
      if constexpr (std::is_same_v<Header, tpacket3_hdr>) At(i).tp_next_offset = 0;
      Store(At(i).tp_status, __u32{TP_STATUS_SEND_REQUEST});
    }
    const bool is_sent = sendto(fd, nullptr, 0, MSG_DONTWAIT, nullptr, 0) >= 0;
    const bool is_through = !IsMarked(count_ - 1);
    bool was_first = true;
    for (unsigned i = 1; i < count_; i++) {
      was_first = was_first && IsMarked(i);
      Store(At(i).tp_status, __u32{TP_STATUS_AVAILABLE});
    }
    return is_sent && (is_through || was_first);
  }

 private:
  Header& At(unsigned i) { return *reinterpret_cast<Header*>(map_ + i * size_); }
  bool IsMarked(unsigned i) { return Load(At(i).tp_status) != TP_STATUS_AVAILABLE; }

  char* const map_;
  const size_t size_;
  const unsigned count_;
};

/** Maps what receives from the byte `before` on, what comes before it behind that, and what sends. Takes the mapping. */
char* Rotate(char* map, const Shape& shape, size_t before) {
  if (before == 0) return map;
  const size_t size = shape.MapSize(), received = shape.RxSize();
  char* const to = static_cast<char*>(Map(size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1));
  if (to != nullptr && Move(map + before, received - before, to) && Move(map, before, to + received - before) &&
      Move(map + received, size - received, to + received)) {
    return to;
  }
  // What was moved left nothing behind.
  if (to != nullptr) Unmap(to, size);
  Unmap(map, size);
  return nullptr;
}

/** False if they can't be put in order; `before`: what lies before that which the kernel writes next, in bytes. */
bool InOrder3(int fd, char* map, const Shape& shape, size_t* before) {
  if (!SendRing<tpacket3_hdr>(map, shape).Rewind(fd)) return false;
  *before = size_t{ReceiveRing(map, shape).Drop()} * shape.rx.tp_block_size;
  return true;
}

bool InOrder2(int fd, char* map, const Shape& shape, size_t* before) {
  const size_t size = shape.rx.tp_frame_size;
  // Parts of a mapping begin with pages, and frames follow each other without a gap only where they fill their blocks.
  if (size % static_cast<size_t>(sysconf(_SC_PAGESIZE)) != 0 || shape.rx.tp_block_size % size != 0) return false;
  if (!SendRing<tpacket2_hdr>(map, shape).Rewind(fd)) return false;
  unsigned next = 0;
  if (!ReceiveFrames(map, shape).Drop(&next)) return false;
  *before = next * size;
  return true;
}

}  // namespace

void* MapInOrder(int fd, const Shape& shape) {
  sockaddr_ll address{};
  socklen_t size = sizeof address;
  // On a device without headers a frame of no length makes sense.
  if (shape.loss == 0 || shape.tx.tp_block_nr != 1 || getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0 ||
      address.sll_hatype != ARPHRD_ETHER) {
    return nullptr;
  }
  int error = 0;
  size = sizeof error;
  // A device that was down for a while left one behind.
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  char* const map = static_cast<char*>(Map(shape.MapSize(), PROT_READ | PROT_WRITE, MAP_SHARED, fd));
  if (map == nullptr) return nullptr;
  size_t before = 0;
  const bool is_in_order = shape.version == TPACKET_V3 ? InOrder3(fd, map, shape, &before) : InOrder2(fd, map, shape, &before);
  if (is_in_order) return Rotate(map, shape, before);
  Unmap(map, shape.MapSize());
  return nullptr;
}

}  // namespace heddle
