// Packet sockets that are made before they are asked for. See spare-sockets.cc.
#pragma once
#include <linux/if_packet.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

namespace heddle {

/** All that tells one packet socket with rings from another before it is bound. No padding: compared as bytes. */
struct Shape {
  uint64_t netns;  // SO_NETNS_COOKIE
  int32_t loss;
  int32_t vnet_hdr;
  tpacket_req3 rx;
  tpacket_req3 tx;

  size_t MapSize() const {
    return size_t{rx.tp_block_size} * rx.tp_block_nr + size_t{tx.tp_block_size} * tx.tp_block_nr;
  }
};

/** A socket of version 3 that is not bound yet, and its rings where they are mapped. */
struct Spare {
  int fd = -1;
  void* map = nullptr;
};

/**
 * A socket of that shape; none (fd -1) if it could not be had in time. To be asked before each socket with rings is made: so it
 * learns what to keep ready.
 */
Spare TakeSpare(const Shape& shape);

/** Closes a socket, in a while: it takes the kernel long. */
void CloseLater(int fd);

/** Unmaps rings, and so ends a socket whose descriptors are closed, in a while. */
void UnmapLater(void* map, size_t size);

/** A mutex that is there before any constructor has run, and after all destructors. */
class Lock {
 public:
  explicit Lock(pthread_mutex_t& mutex) : mutex_(mutex) { pthread_mutex_lock(&mutex_); }
  ~Lock() { pthread_mutex_unlock(&mutex_); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  pthread_mutex_t& mutex_;
};

}  // namespace heddle
