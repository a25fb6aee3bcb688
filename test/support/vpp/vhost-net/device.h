// One open /dev/vhost-net: what the kernel's driver does, with a thread of this process. See device.cc.
#pragma once
// Without what is not C++.
#define VIRTIO_RING_NO_LEGACY
#include <linux/vhost.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

namespace vhost_net {

/** struct virtio_net_hdr_v1, which the kernel's end of a tap has in front of each frame, too. */
constexpr size_t kHeader = 12;
constexpr size_t kBufferCountAt = 10;
/** Of a frame: a segment of 64 KiB with its headers. */
constexpr size_t kMostBytes = 65536 + 256;
constexpr unsigned kMostParts = 512;
constexpr unsigned kMostRegions = 64;

class Mutex {
 public:
  void Lock() { pthread_mutex_lock(&mutex_); }
  void Unlock() { pthread_mutex_unlock(&mutex_); }

 private:
  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
};

class Hold {
 public:
  explicit Hold(Mutex& mutex) : mutex_(mutex) { mutex_.Lock(); }
  ~Hold() { mutex_.Unlock(); }
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;

 private:
  Mutex& mutex_;
};

/** A split ring (virtio 1.2, 2.7), as its device sees it. Descriptors are this process's own, -1 if there is none. */
struct Ring {
  unsigned size = 0;
  vring_desc* desc = nullptr;
  vring_avail* avail = nullptr;
  vring_used* used = nullptr;
  int kick = -1;
  int call = -1;
  /** The tun device that its packets come from or go to. */
  int tun = -1;
  /** Next of `avail` to be taken. */
  uint16_t next = 0;

  bool IsReady() const { return size > 0 && desc != nullptr && tun >= 0; }
  bool IsEmpty() const { return __atomic_load_n(&avail->idx, __ATOMIC_ACQUIRE) == next; }
  /** Gives a descriptor back. Seen when {@link Show} says how many there are. */
  void Use(uint16_t at, uint32_t id, uint32_t bytes);
  /** Shows so many used descriptors, and tells, unless nobody wants to know. */
  void Show(uint16_t count);
  /** Whether its owner is to tell of new descriptors. */
  void WantKicks(bool want);
  void Close();
};

/** Index 0 of a device's rings is what it receives into, 1 what it sends. */
class Device {
 public:
  Device();
  /** As ioctl(2): -1 with errno. */
  int Control(unsigned long request, void* argument);
  /** Ends its thread: nothing is read or written by it any more. */
  void Stop();

 private:
  static void* Main(void* device);
  void Run();
  bool Receive();
  bool Send();
  /** False if there is no room for the whole frame. */
  bool Deliver();
  /** The memory of a buffer, by the table that was set; null if it is not all in there. */
  char* At(uint64_t address, uint64_t bytes) const;
  /** The parts of a descriptor's chain; 0 if there is something wrong with it. */
  unsigned Parts(const Ring& ring, uint16_t head, iovec* parts) const;
  int SetBackend(const vhost_vring_file& file);
  void Wake() const;

  Mutex mutex_;
  Ring rings_[2];
  vhost_memory_region regions_[kMostRegions];
  unsigned region_count_ = 0;
  uint64_t features_ = 0;
  bool is_owned_ = false;
  bool is_running_ = false;
  bool is_ending_ = false;
  /** An eventfd: something is otherwise than before. */
  int wake_;
  pthread_t thread_;
  /** A frame that was read from the tun device, and that there was no room for yet; 0 bytes if none. */
  size_t held_ = 0;
  char frame_[kMostBytes];
};

}  // namespace vhost_net
