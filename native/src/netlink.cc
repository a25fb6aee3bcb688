#include "netlink.h"

#include <errno.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>

#include "errors.h"

#ifndef NETLINK_GET_STRICT_CHK
#define NETLINK_GET_STRICT_CHK 12
#endif

namespace heddle {
namespace {

// A dump's datagrams are 32 KiB at most (netlink_dump in af_netlink.c); single answers are far smaller.
constexpr size_t kMaxDatagram = 128 << 10;

void SetOption(int fd, int option, int value, bool required) {
  if (setsockopt(fd, SOL_NETLINK, option, &value, sizeof value) != 0 && required)
    throw SysError(errno, "setsockopt");
}

enum class Got { kData, kNothing, kOverrun };

// One datagram into `out`. Datagrams that do not come from the kernel (port 0) are dropped: any process may send to a
// netlink port.
Got ReceiveOne(int fd, std::vector<uint8_t>& out) {
  thread_local std::vector<uint8_t> buffer(kMaxDatagram);
  for (;;) {
    sockaddr_nl from{};
    iovec iov{buffer.data(), buffer.size()};
    msghdr msg{};
    msg.msg_name = &from;
    msg.msg_namelen = sizeof from;
    msg.msg_iov = &iov;
    msg.msg_iovlen = 1;
    ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_TRUNC);
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) return Got::kNothing;
      if (errno == ENOBUFS) return Got::kOverrun;
      throw SysError(errno, "recvmsg");
    }
    if (msg.msg_namelen < sizeof from || from.nl_pid != 0) continue;
    // A datagram cut off is a message lost.
    if (static_cast<size_t>(n) > buffer.size()) return Got::kOverrun;
    out.insert(out.end(), buffer.data(), buffer.data() + n);
    out.resize((out.size() + NLMSG_ALIGNTO - 1) & ~static_cast<size_t>(NLMSG_ALIGNTO - 1));
    return Got::kData;
  }
}

}  // namespace

NetlinkSocket OpenNetlink(const NetlinkOptions& options) {
  NetlinkSocket result;
  result.fd = Fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, options.protocol));
  int fd = result.fd.get();
  if (fd < 0) throw SysError(errno, "socket");
  // The force variants pass the system's limit, as CAP_NET_ADMIN; without it the limit has to do.
  int receive = options.receive_buffer;
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &receive, sizeof receive) != 0)
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive, sizeof receive);
  int send = 1 << 20;
  if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &send, sizeof send) != 0)
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send, sizeof send);
  SetOption(fd, NETLINK_EXT_ACK, 1, true);
  SetOption(fd, NETLINK_CAP_ACK, 1, true);
  // Strict checking makes the kernel apply the filters of a dump request, or say that it can't.
  if (options.protocol == NETLINK_ROUTE) SetOption(fd, NETLINK_GET_STRICT_CHK, 1, true);

  sockaddr_nl addr{};
  addr.nl_family = AF_NETLINK;
  if (bind(fd, reinterpret_cast<sockaddr*>(&addr), sizeof addr) != 0) throw SysError(errno, "bind");
  for (uint32_t group : options.groups) SetOption(fd, NETLINK_ADD_MEMBERSHIP, static_cast<int>(group), true);

  socklen_t length = sizeof addr;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&addr), &length) != 0) throw SysError(errno, "getsockname");
  result.port_id = addr.nl_pid;
  return result;
}

std::vector<uint8_t> Transact(int fd, const uint8_t* data, size_t size) {
  std::vector<uint8_t> answers;
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  iovec iov{const_cast<uint8_t*>(data), size};
  msghdr msg{};
  msg.msg_name = &kernel;
  msg.msg_namelen = sizeof kernel;
  msg.msg_iov = &iov;
  msg.msg_iovlen = 1;
  ssize_t n;
  do {
    n = sendmsg(fd, &msg, 0);
  } while (n < 0 && errno == EINTR);
  if (n < 0) throw SysError(errno, "sendmsg");
  if (static_cast<size_t>(n) != size) throw SysError(EMSGSIZE, "sendmsg");
  bool overrun = false;
  for (;;) {
    Got got = ReceiveOne(fd, answers);
    if (got == Got::kNothing) break;
    // Read on: what is left in the queue must not be taken for the answer to the next request.
    if (got == Got::kOverrun) overrun = true;
  }
  if (overrun) throw SysError(ENOBUFS, "recvmsg");
  return answers;
}

Received ReceiveSome(int fd, int max) {
  Received result;
  for (int i = 0; i < max; i++) {
    Got got = ReceiveOne(fd, result.data);
    if (got == Got::kNothing) return result;
    if (got == Got::kOverrun) result.overrun = true;
  }
  result.more = true;
  return result;
}

}  // namespace heddle
