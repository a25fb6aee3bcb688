// Where the kernel is in a ring it tells nobody, but it can be seen (net/packet/af_packet.c):
//
// - What it receives it writes into one block after the other. A block that it opens gets the next number; one that it
//   closes is the reader's, and it goes on to the next, or waits for it to be given back. The mapping is made of parts so that
//   the block comes first.
// - What it sends it takes from one frame after the other, as long as they are marked. One that makes no sense is unmarked
//   and passed over (PACKET_LOSS). With all frames marked but the first it ends up there.
#include "rings.h"

#include <linux/if_packet.h>
#include <net/if_arp.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

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
      At(i).tp_len = At(i).tp_snaplen = At(i).tp_next_offset = 0;
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
  tpacket3_hdr& At(unsigned i) { return *reinterpret_cast<tpacket3_hdr*>(map_ + i * size_); }
  bool IsMarked(unsigned i) { return Load(At(i).tp_status) != TP_STATUS_AVAILABLE; }

  char* const map_;
  const size_t size_;
  const unsigned count_;
};

/** Maps the receiving blocks from `first` on, those before it behind them, and the sending ones. Takes the mapping. */
char* Rotate(char* map, const Shape& shape, unsigned first) {
  if (first == 0) return map;
  const size_t size = shape.MapSize(), received = shape.RxSize(), before = size_t{first} * shape.rx.tp_block_size;
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
  if (!SendRing(map, shape).Rewind(fd)) {
    Unmap(map, shape.MapSize());
    return nullptr;
  }
  return Rotate(map, shape, ReceiveRing(map, shape).Drop());
}

}  // namespace heddle
