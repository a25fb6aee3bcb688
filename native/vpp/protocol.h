// What the library in VPP and the keeper of its packet sockets say to each other, over a Unix stream socket. Each message has a
// fixed size and is written at once; a descriptor goes along with some.
#pragma once
#include <linux/if_packet.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

namespace heddle {

/** Names the keeper's socket in VPP's environment. */
constexpr char kKeeperVariable[] = "HEDDLE_VPP_SOCKETS";

/** A keeper hangs up on a VPP that speaks another one: a new agent may have adopted either. */
constexpr uint32_t kVersion = 2;

/** All that tells one packet socket with rings from another, but for its device. No padding: compared as bytes. */
struct Shape {
  uint64_t netns;  // SO_NETNS_COOKIE
  /** TPACKET_V2 or TPACKET_V3. */
  int32_t version;
  int32_t unused;
  int32_t loss;
  int32_t vnet_hdr;
  /** Of version 2 without what only version 3 has. */
  tpacket_req3 rx;
  tpacket_req3 tx;

  size_t RxSize() const { return size_t{rx.tp_block_size} * rx.tp_block_nr; }
  size_t TxSize() const { return size_t{tx.tp_block_size} * tx.tp_block_nr; }
  size_t MapSize() const { return RxSize() + TxSize(); }
  /** Of what describes a ring of that version to the kernel. */
  socklen_t RequestSize() const { return version == TPACKET_V3 ? sizeof(tpacket_req3) : sizeof(tpacket_req); }
  bool operator==(const Shape& other) const { return memcmp(this, &other, sizeof *this) == 0; }
};

struct Request {
  enum Kind : uint32_t {
    /** The first one. Who says nothing is an agent. Along with it: VPP's network namespace. */
    kHello = 1,
    /** `id` names this packet socket of VPP's from now on. Along with it: the socket. */
    kHold,
    /** One that is bound to `device`, or to none yet, shall be `id`. Answered by a Reply. */
    kTake,
    /** VPP has done with `id`: neither a descriptor nor a mapping of it is left there. */
    kDone,
    /** To be closed, which takes the kernel long. Along with it: the socket. */
    kClose,
  };
  Kind kind;
  uint32_t version;
  uint64_t id;
  Shape shape;
  int32_t device;
  /** Which ones will do. */
  enum Which : int32_t {
    kAny = 0,
    /** One that an earlier VPP had. */
    kKeptOnly,
    /** One that no VPP had. */
    kSpareOnly,
    /** One that no VPP had, and that is there already. */
    kReadyOnly,
  } which;
};

struct Reply {
  enum Kind : uint32_t {
    kNone = 1,
    /** Not bound, without a protocol. Along with it: the socket. */
    kSpare,
    /** Bound to the device, its rings as an earlier VPP left them. Along with it: the socket. */
    kKept,
  };
  Kind kind;
  uint32_t unused;
  uint64_t id;
};

/** A message with a descriptor, or with -1 without one. Never waits; false if it could not be sent. */
template <typename T>
bool Send(int connection, const T& body, int fd) {
  iovec part{const_cast<T*>(&body), sizeof body};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (fd >= 0) {
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    cmsghdr* const c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
  }
  return sendmsg(connection, &header, MSG_NOSIGNAL | MSG_DONTWAIT) == static_cast<ssize_t>(sizeof body);
}

/** sizeof *body, 0 at the end, or -1 with errno. `fd` is -1 where none came along. Never waits. */
template <typename T>
ssize_t Receive(int connection, T* body, int* fd) {
  iovec part{body, sizeof *body};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof *fd)] = {};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  *fd = -1;
  const ssize_t size = recvmsg(connection, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  const cmsghdr* const c = size > 0 ? CMSG_FIRSTHDR(&header) : nullptr;
  if (c != nullptr && c->cmsg_type == SCM_RIGHTS) memcpy(fd, CMSG_DATA(c), sizeof *fd);
  return size;
}

}  // namespace heddle
