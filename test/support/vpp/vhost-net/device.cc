// What drivers/vhost of the kernel does for a tap: copies frames between the tun device's descriptor and two split rings in this
// process's memory. Answers as the kernel does where it is asked wrongly. Nothing is allocated, and nothing of VPP's is called:
// the thread is a stranger to it.
#include "device.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace vhost_net {
namespace {

constexpr uint64_t kMergeable = uint64_t{1} << 15;  // VIRTIO_NET_F_MRG_RXBUF
constexpr uint64_t kFeatures = kMergeable | uint64_t{1} << 28 /* indirect */ | uint64_t{1} << 32 /* version 1 */;

int Fail(int error) {
  errno = error;
  return -1;
}

/** Another descriptor of the same file, or -1 for none. */
int Own(int fd) { return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0); }

void CloseNow(int* fd) {
  if (*fd >= 0) syscall(SYS_close, *fd);
  *fd = -1;
}

void Drain(int fd) {
  uint64_t count;
  if (read(fd, &count, sizeof count) < 0) return;  // nobody had told
}

template <typename T>
T* Address(uint64_t at) {
  return reinterpret_cast<T*>(at);
}

}  // namespace

void Ring::Use(uint16_t at, uint32_t id, uint32_t bytes) { used->ring[at & (size - 1)] = {id, bytes}; }

void Ring::Show(uint16_t count) {
  __atomic_store_n(&used->idx, static_cast<uint16_t>(used->idx + count), __ATOMIC_RELEASE);
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  if (call < 0 || (__atomic_load_n(&avail->flags, __ATOMIC_ACQUIRE) & VRING_AVAIL_F_NO_INTERRUPT) != 0) return;
  const uint64_t one = 1;
  if (write(call, &one, sizeof one) < 0) return;  // full: it has been told
}

void Ring::WantKicks(bool want) {
  __atomic_store_n(&used->flags, want ? 0 : VRING_USED_F_NO_NOTIFY, __ATOMIC_RELEASE);
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void Ring::Close() {
  CloseNow(&kick);
  CloseNow(&call);
  CloseNow(&tun);
}

Device::Device() : wake_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}

void Device::Wake() const {
  const uint64_t one = 1;
  if (write(wake_, &one, sizeof one) < 0) return;  // it is awake
}

int Device::Control(unsigned long request, void* argument) {
  const Hold hold(mutex_);
  if (request == VHOST_GET_FEATURES) {
    memcpy(argument, &kFeatures, sizeof kFeatures);
    return 0;
  }
  if (request == VHOST_SET_OWNER) {
    if (is_owned_) return Fail(EBUSY);
    is_owned_ = true;
    return 0;
  }
  if (!is_owned_) return Fail(EPERM);
  switch (request) {
    case VHOST_SET_FEATURES: {
      uint64_t asked;
      memcpy(&asked, argument, sizeof asked);
      if ((asked & ~kFeatures) != 0) return Fail(EOPNOTSUPP);
      features_ = asked;
      return 0;
    }
    case VHOST_SET_MEM_TABLE: {
      const vhost_memory* const memory = static_cast<const vhost_memory*>(argument);
      if (memory->padding != 0) return Fail(EOPNOTSUPP);
      if (memory->nregions > kMostRegions) return Fail(E2BIG);
      region_count_ = memory->nregions;
      memcpy(regions_, memory->regions, sizeof *regions_ * region_count_);
      return 0;
    }
    case VHOST_NET_SET_BACKEND:
      return SetBackend(*static_cast<const vhost_vring_file*>(argument));
  }
  // All others begin with the ring's index.
  if (_IOC_TYPE(request) != VHOST_VIRTIO || _IOC_NR(request) < 0x10 || _IOC_NR(request) > 0x21) return Fail(ENOTTY);
  unsigned index;
  memcpy(&index, argument, sizeof index);
  if (index > 1) return Fail(ENOBUFS);
  Ring& ring = rings_[index];
  switch (request) {
    case VHOST_SET_VRING_NUM: {
      const unsigned size = static_cast<vhost_vring_state*>(argument)->num;
      if (ring.tun >= 0) return Fail(EBUSY);
      if (size == 0 || size > 0xffff || (size & (size - 1)) != 0) return Fail(EINVAL);
      ring.size = size;
      return 0;
    }
    case VHOST_SET_VRING_BASE: {
      const unsigned base = static_cast<vhost_vring_state*>(argument)->num;
      if (ring.tun >= 0) return Fail(EBUSY);
      if (base > 0xffff) return Fail(EINVAL);
      ring.next = static_cast<uint16_t>(base);
      return 0;
    }
    case VHOST_GET_VRING_BASE:
      static_cast<vhost_vring_state*>(argument)->num = ring.next;
      return 0;
    case VHOST_SET_VRING_ADDR: {
      const vhost_vring_addr* const at = static_cast<const vhost_vring_addr*>(argument);
      if (at->flags != 0) return Fail(EOPNOTSUPP);
      if ((at->avail_user_addr & 1) != 0 || (at->used_user_addr & 3) != 0) return Fail(EINVAL);
      ring.desc = Address<vring_desc>(at->desc_user_addr);
      ring.avail = Address<vring_avail>(at->avail_user_addr);
      ring.used = Address<vring_used>(at->used_user_addr);
      return 0;
    }
    case VHOST_SET_VRING_CALL:
    case VHOST_SET_VRING_KICK: {
      int* const fd = request == VHOST_SET_VRING_CALL ? &ring.call : &ring.kick;
      CloseNow(fd);
      *fd = Own(static_cast<vhost_vring_file*>(argument)->fd);
      Wake();
      return 0;
    }
  }
  return Fail(ENOTTY);
}

int Device::SetBackend(const vhost_vring_file& file) {
  if (file.index > 1) return Fail(ENOBUFS);
  Ring& ring = rings_[file.index];
  CloseNow(&ring.tun);
  if (file.fd >= 0) {
    if (ring.size == 0 || ring.desc == nullptr) return Fail(EFAULT);
    int header = 0;
    // As the kernel: only a tun device, which tells how long its header is.
    if (ioctl(file.fd, _IOR('T', 215, int) /* TUNGETVNETHDRSZ */, &header) != 0) return Fail(ENOTSOCK);
    if (header != static_cast<int>(kHeader)) return Fail(EINVAL);
    ring.tun = Own(file.fd);
  }
  if (!is_running_ && ring.tun >= 0) {
    sigset_t all, former;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &former);
    is_running_ = pthread_create(&thread_, nullptr, Main, this) == 0;
    pthread_sigmask(SIG_SETMASK, &former, nullptr);
    if (!is_running_) return Fail(ENOMEM);
  }
  Wake();
  return 0;
}

void Device::Stop() {
  mutex_.Lock();
  is_ending_ = true;
  Wake();
  mutex_.Unlock();
  if (is_running_) pthread_join(thread_, nullptr);
  for (Ring& ring : rings_) ring.Close();
  CloseNow(&wake_);
}

void* Device::Main(void* device) {
  // VPP's main thread is bound to one CPU.
  cpu_set_t all;
  memset(&all, 0xff, sizeof all);
  sched_setaffinity(0, sizeof all, &all);
  static_cast<Device*>(device)->Run();
  return nullptr;
}

void Device::Run() {
  for (;;) {
    pollfd files[4];
    nfds_t count = 0;
    const auto wait_for = [&](int fd) { files[count++] = {fd, POLLIN, 0}; };
    {
      const Hold hold(mutex_);
      if (is_ending_) return;
      Drain(wake_);
      for (Ring& ring : rings_) {
        if (ring.IsReady()) ring.WantKicks(false);
      }
      // Each side stops after a while, so that the other has its turn.
      if (Send() || Receive()) continue;
      for (Ring& ring : rings_) {
        if (ring.IsReady()) ring.WantKicks(true);
      }
      // What came in between nobody told of.
      if (Send() || Receive()) continue;
      Ring& in = rings_[0];
      Ring& out = rings_[1];
      wait_for(wake_);
      if (out.IsReady() && out.kick >= 0) wait_for(out.kick);
      if (in.IsReady()) {
        if (held_ == 0 && !in.IsEmpty()) wait_for(in.tun);
        if (in.kick >= 0) wait_for(in.kick);
      }
    }
    if (poll(files, count, -1) < 0 && errno != EINTR) return;
    const Hold hold(mutex_);
    for (const Ring& ring : rings_) {
      if (ring.kick >= 0) Drain(ring.kick);
    }
  }
}

char* Device::At(uint64_t address, uint64_t bytes) const {
  for (unsigned i = 0; i < region_count_; i++) {
    const vhost_memory_region& r = regions_[i];
    const uint64_t at = address - r.guest_phys_addr;
    if (address >= r.guest_phys_addr && at < r.memory_size && bytes <= r.memory_size - at) {
      return Address<char>(r.userspace_addr + at);
    }
  }
  return nullptr;
}

unsigned Device::Parts(const Ring& ring, uint16_t head, iovec* parts) const {
  const vring_desc* table = ring.desc;
  unsigned size = ring.size;
  unsigned index = head;
  if (index < size && (table[index].flags & VRING_DESC_F_INDIRECT) != 0) {
    const vring_desc& d = table[index];
    table = reinterpret_cast<const vring_desc*>(At(d.addr, d.len));
    size = d.len / sizeof(vring_desc);
    index = 0;
    if (table == nullptr) return 0;
  }
  unsigned count = 0;
  for (;;) {
    if (index >= size || count == kMostParts) return 0;
    const vring_desc& d = table[index];
    char* const at = At(d.addr, d.len);
    if (at == nullptr || (d.flags & VRING_DESC_F_INDIRECT) != 0) return 0;
    parts[count++] = {at, d.len};
    if ((d.flags & VRING_DESC_F_NEXT) == 0) return count;
    index = d.next;
  }
}

bool Device::Send() {
  Ring& ring = rings_[1];
  if (!ring.IsReady()) return false;
  uint16_t done = 0;
  for (; done < 64 && !ring.IsEmpty(); done++) {
    const uint16_t head = ring.avail->ring[ring.next & (ring.size - 1)];
    iovec parts[kMostParts];
    const unsigned count = Parts(ring, head, parts);
    // What the device refuses is lost, as on a wire.
    if (count > 0 && writev(ring.tun, parts, static_cast<int>(count)) < 0 && errno == EAGAIN) break;
    ring.Use(static_cast<uint16_t>(ring.used->idx + done), head, 0);
    ring.next++;
  }
  if (done > 0) ring.Show(done);
  return done > 0;
}

bool Device::Receive() {
  Ring& ring = rings_[0];
  if (!ring.IsReady()) return false;
  bool any = false;
  for (unsigned i = 0; i < 64; i++) {
    if (held_ == 0) {
      if (ring.IsEmpty()) break;
      const ssize_t bytes = read(ring.tun, frame_, sizeof frame_);
      if (bytes < static_cast<ssize_t>(kHeader)) break;
      held_ = static_cast<size_t>(bytes);
    }
    if (!Deliver()) break;
    held_ = 0;
    any = true;
  }
  return any;
}

bool Device::Deliver() {
  Ring& ring = rings_[0];
  const uint16_t there = static_cast<uint16_t>(__atomic_load_n(&ring.avail->idx, __ATOMIC_ACQUIRE) - ring.next);
  uint16_t taken = 0;
  size_t done = 0;
  char* buffer_count = nullptr;
  while (done < held_) {
    if (taken == there) return false;
    if (taken > 0 && (features_ & kMergeable) == 0) break;  // the rest is lost
    const uint16_t head = ring.avail->ring[(ring.next + taken) & (ring.size - 1)];
    iovec parts[kMostParts];
    const unsigned count = Parts(ring, head, parts);
    size_t here = 0;
    for (unsigned i = 0; i < count && done < held_; i++) {
      const size_t bytes = parts[i].iov_len < held_ - done ? parts[i].iov_len : held_ - done;
      memcpy(parts[i].iov_base, frame_ + done, bytes);
      if (buffer_count == nullptr && bytes >= kHeader) buffer_count = static_cast<char*>(parts[i].iov_base) + kBufferCountAt;
      done += bytes;
      here += bytes;
    }
    ring.Use(static_cast<uint16_t>(ring.used->idx + taken), head, static_cast<uint32_t>(here));
    taken++;
    if (count == 0) break;
  }
  if (buffer_count != nullptr) memcpy(buffer_count, &taken, sizeof taken);
  ring.next = static_cast<uint16_t>(ring.next + taken);
  ring.Show(taken);
  return true;
}

}  // namespace vhost_net
