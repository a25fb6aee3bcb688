// Netlink sockets as the kernel sees them: opening, one request datagram with all its answers, and reading what comes by
// itself. Nothing here looks into a message.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <vector>

#include "fd.h"
#include "netns.h"

namespace heddle {

struct NetlinkOptions {
  int protocol = 0;
  std::vector<uint32_t> groups;
  int receive_buffer = 8 << 20;
};

struct NetlinkSocket {
  Fd fd;
  uint32_t port_id = 0;
};

// Opens a socket in the calling thread's namespace, where it stays whatever the thread does later.
NetlinkSocket OpenNetlink(const NetlinkOptions& options);

// Sends one datagram and reads everything that answers it. rtnetlink and nfnetlink handle a datagram inside sendmsg(),
// in the sender's thread, so that all acknowledgements are queued when it returns; a dump goes on inside each
// recvmsg(), which queues the next part before it returns this one. An empty queue is therefore the end of the answer.
// The answers are appended to each other, each padded to NLMSG_ALIGNTO.
// Throws SysError; ENOBUFS says that answers were lost: what the requests did is not known.
std::vector<uint8_t> Transact(int fd, const uint8_t* data, size_t size);

struct Received {
  std::vector<uint8_t> data;
  // The kernel dropped messages: whoever mirrors state from them must read it anew.
  bool overrun = false;
  // There may be more to read at once.
  bool more = false;
};

// Reads at most `max` waiting datagrams without blocking.
Received ReceiveSome(int fd, int max);

}  // namespace heddle
