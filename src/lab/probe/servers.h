// The echo servers of hdprobe.
#pragma once

#include <netinet/tcp.h>

#include "loop.h"

// A connection whose client says nothing for so long, or a little longer, is given up.
constexpr int64_t kSilentUs = 60 * 1000000ll;

// "10.0.0.1 10.0.0.2\n": the client's address as the server sees it, and the server's own that was asked in the end.
inline std::string greeting(const std::string& peer, const std::string& own) { return peer + " " + own + "\n"; }

inline std::string own_address(int fd) {
  Endpoint own;
  own.len = sizeof own.ss;
  getsockname(fd, own.sa(), &own.len);
  return own.address();
}

// Greets, then returns what it gets.
class EchoConnection : public Handler {
 public:
  EchoConnection(int fd, const Endpoint& peer) : Handler(fd), out_(greeting(peer.address(), own_address(fd))) {
    deadline = now_us() + kSilentUs;
  }
  bool timed_out() override {
    if (!heard_) return false;
    heard_ = false;
    deadline = now_us() + kSilentUs;
    return true;
  }
  bool ready(uint32_t events) override {
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
      char buf[16384];
      ssize_t n = recv(fd_, buf, sizeof buf, 0);
      if (n == 0 || (n < 0 && errno != EAGAIN)) return false;
      if (n > 0) out_.append(buf, static_cast<size_t>(n));
      if (n > 0) heard_ = asked_ = true;
    }
    while (!out_.empty()) {
      ssize_t n = send(fd_, out_.data(), out_.size(), MSG_NOSIGNAL);
      if (n < 0 && errno == EAGAIN) break;
      if (n < 0) return false;
      out_.erase(0, static_cast<size_t>(n));
    }
    if (draining && asked_ && out_.empty()) return false;
    // One direction at a time bounds the buffer: nothing more is read until the peer has taken what it sent.
    watch(out_.empty() ? EPOLLIN : EPOLLOUT);
    return true;
  }

  // What was asked before has been answered.
  void drain() {
    draining = true;
    asked_ = false;
  }
  bool draining = false;

 private:
  bool asked_ = false;
  bool heard_ = false;  // since the last deadline
  std::string out_;
};

// Of namespaces that drain: connections that begin end behind their first answer, too.
inline std::set<std::string> g_draining;

class TcpServer : public Handler {
 public:
  using Handler::Handler;
  bool ready(uint32_t) override {
    for (;;) {
      Endpoint peer;
      peer.len = sizeof peer.ss;
      int fd = accept4(fd_, peer.sa(), &peer.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return true;
      int on = 1;
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      auto connection = std::make_unique<EchoConnection>(fd, peer);
      connection->owner = owner;
      connection->draining = g_draining.count(owner) != 0;
      adopt(std::move(connection), EPOLLIN | EPOLLOUT);
    }
  }
};

// The address that a message was sent to, as tell_destination has it told.
inline std::string destination(msghdr* msg) {
  Endpoint own;
  for (cmsghdr* c = CMSG_FIRSTHDR(msg); c != nullptr; c = CMSG_NXTHDR(msg, c)) {
    if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
      auto* in = reinterpret_cast<sockaddr_in*>(&own.ss);
      in->sin_family = AF_INET;
      in->sin_addr = reinterpret_cast<in_pktinfo*>(CMSG_DATA(c))->ipi_addr;
    } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
      auto* in6 = reinterpret_cast<sockaddr_in6*>(&own.ss);
      in6->sin6_family = AF_INET6;
      in6->sin6_addr = reinterpret_cast<in6_pktinfo*>(CMSG_DATA(c))->ipi6_addr;
    }
  }
  return own.address();
}

// Has messages tell the address that they were sent to.
inline void tell_destination(int fd, int family) {
  int on = 1;
  if (family == AF_INET6) {
    setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
  } else {
    setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
  }
}

// Of a message that was received makes one that is sent from the address that was asked: a node has several, and the
// routing's choice need not be that one. The interface must not be pinned: only the address is ours to choose.
inline void answer_from_asked(msghdr* msg) {
  for (cmsghdr* c = CMSG_FIRSTHDR(msg); c != nullptr; c = CMSG_NXTHDR(msg, c)) {
    if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
      auto* info = reinterpret_cast<in_pktinfo*>(CMSG_DATA(c));
      info->ipi_ifindex = 0;
      info->ipi_spec_dst = info->ipi_addr;
    } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
      reinterpret_cast<in6_pktinfo*>(CMSG_DATA(c))->ipi6_ifindex = 0;
    }
  }
}

class UdpServer : public Handler {
 public:
  using Handler::Handler;
  bool ready(uint32_t) override {
    for (;;) {
      char data[2048];
      char control[256];
      Endpoint peer;
      iovec in{data, sizeof data};
      msghdr msg{};
      msg.msg_name = &peer.ss;
      msg.msg_namelen = sizeof peer.ss;
      msg.msg_iov = &in;
      msg.msg_iovlen = 1;
      msg.msg_control = control;
      msg.msg_controllen = sizeof control;
      ssize_t n = recvmsg(fd_, &msg, 0);
      if (n < 0) return true;  // EAGAIN, or an ICMP error of an earlier answer
      std::string greeted = greeting(peer.address(), destination(&msg));
      answer_from_asked(&msg);
      iovec out[2] = {{greeted.data(), greeted.size()}, {data, static_cast<size_t>(n)}};
      msg.msg_iov = out;
      msg.msg_iovlen = 2;
      (void)!sendmsg(fd_, &msg, MSG_NOSIGNAL);
    }
  }
};

inline int bind_in(const std::string& ns, int family, int type, int port) {
  int fd = socket_in(ns, family, type, 0);
  if (fd < 0) return -1;
  int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (family == AF_INET6) {
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  }
  tell_destination(fd, family);
  Endpoint any;
  Endpoint::parse(family == AF_INET ? "0.0.0.0" : "::", port, &any);
  if (bind(fd, any.sa(), any.len) != 0 || (type == SOCK_STREAM && listen(fd, 1024) != 0)) {
    int err = errno;
    close(fd);
    errno = err;
    return -1;
  }
  return fd;
}

inline void drain_servers(const std::string& ns) {
  g_draining.insert(ns);
  for (auto& [h, owned] : g_handlers) {
    auto* connection = dynamic_cast<EchoConnection*>(h);
    if (connection != nullptr && connection->owner == ns) connection->drain();
  }
}

inline void close_servers(const std::string& ns) {
  g_draining.erase(ns);
  std::vector<Handler*> ended;
  for (auto& [h, owned] : g_handlers) {
    if (h->owner == ns) ended.push_back(h);
  }
  for (Handler* h : ended) destroy(h);
}
