// hdprobe: echo servers and reachability probes in many network namespaces, from one process.
//
// A socket stays in the namespace it was created in, so one thread enters a namespace, opens a socket there, goes home,
// and waits for all of them in one epoll set. A matrix of 40 pods needs no 40 processes and no process per cell.
//
// Commands come on stdin, one a line, as words; answers go to stdout, one JSON object a line, in order of completion:
//   ID serve NS PORT                         TCP and UDP echo servers, both families
//   ID close NS                              ends that namespace's servers (they would keep a deleted one alive)
//   ID tcp   NS ADDRESS PORT TIMEOUT_MS      connect, read the greeting, send 4096 bytes, expect them back
//   ID udp   NS ADDRESS PORT TIMEOUT_MS      one datagram, expect it back
//   ID icmp  NS ADDRESS TIMEOUT_MS           one echo request
//   ID http  NS ADDRESS PORT PATH TIMEOUT_MS GET; answers {"status":200,"body":"..."}
// NS is a name under /run/netns, or "-" for the process's own. A probe answers {"id":7,"ok":true,"us":120,
// "seenAs":"10.0.0.1"} or {"id":7,"ok":false,"error":"ECONNREFUSED"}. `us` is the time of the handshake (tcp) or of the
// round trip; `seenAs` is the client's address as the server saw it, which is what proves a source translation.
// The process ends when stdin does.

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace {

constexpr size_t kTcpPayload = 4096;  // more than two full segments, so that a path with a wrong MTU shows
constexpr size_t kUdpPayload = 512;
constexpr size_t kMaxBody = 16u << 20;
constexpr size_t kMaxLine = 64u << 10;

int g_epoll = -1;
int g_home = -1;  // our own network namespace

int64_t now_us() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return int64_t{t.tv_sec} * 1000000 + t.tv_nsec / 1000;
}

std::string errno_name(int e) {
  const char* name = strerrorname_np(e);
  return name != nullptr ? name : "errno " + std::to_string(e);
}

std::string quoted(const std::string& s) {
  std::string out = "\"";
  for (unsigned char c : s) {
    char buf[8];
    if (c == '"' || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c < 0x20 || c == 0x7f) {
      snprintf(buf, sizeof buf, "\\u%04x", c);
      out += buf;
    } else {
      out += static_cast<char>(c);
    }
  }
  return out + "\"";
}

void emit(const std::string& json) {
  std::string line = json + "\n";
  for (size_t at = 0; at < line.size();) {
    ssize_t n = write(STDOUT_FILENO, line.data() + at, line.size() - at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) _exit(0);  // nobody reads us any more
    at += static_cast<size_t>(n);
  }
}

void fail(long id, const std::string& error) {
  emit("{\"id\":" + std::to_string(id) + ",\"ok\":false,\"error\":" + quoted(error) + "}");
}

// An IPv4 or IPv6 address with a port.
struct Endpoint {
  sockaddr_storage ss{};
  socklen_t len = 0;

  static bool parse(const std::string& text, int port, Endpoint* out) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&out->ss);
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&out->ss);
    if (inet_pton(AF_INET, text.c_str(), &v4->sin_addr) == 1) {
      v4->sin_family = AF_INET;
      v4->sin_port = htons(static_cast<uint16_t>(port));
      out->len = sizeof *v4;
      return true;
    }
    if (inet_pton(AF_INET6, text.c_str(), &v6->sin6_addr) == 1) {
      v6->sin6_family = AF_INET6;
      v6->sin6_port = htons(static_cast<uint16_t>(port));
      out->len = sizeof *v6;
      return true;
    }
    return false;
  }
  int family() const { return ss.ss_family; }
  sockaddr* sa() { return reinterpret_cast<sockaddr*>(&ss); }
  std::string address() const {
    char buf[INET6_ADDRSTRLEN] = "";
    if (ss.ss_family == AF_INET) {
      inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(&ss)->sin_addr, buf, sizeof buf);
    } else {
      inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6*>(&ss)->sin6_addr, buf, sizeof buf);
    }
    return buf;
  }
};

// Opens a socket in the namespace; -1 with errno set. The thread is back home in every case, or the process ends.
int socket_in(const std::string& ns, int family, int type, int protocol) {
  if (ns == "-") return socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
  if (ns.empty() || ns == "." || ns == ".." || ns.find('/') != std::string::npos) {
    errno = EINVAL;
    return -1;
  }
  int target = open(("/run/netns/" + ns).c_str(), O_RDONLY | O_CLOEXEC);
  if (target < 0) return -1;
  int fd = -1;
  int err = 0;
  if (setns(target, CLONE_NEWNET) != 0) {
    err = errno;
  } else {
    fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
    err = errno;
    if (setns(g_home, CLONE_NEWNET) != 0) abort();  // to go on in a strange namespace would be worse
  }
  close(target);
  errno = err;
  return fd;
}

class Handler {
 public:
  explicit Handler(int fd) : fd_(fd) {}
  virtual ~Handler() {
    if (fd_ >= 0) close(fd_);  // also removes it from the epoll set
  }
  Handler(const Handler&) = delete;
  Handler& operator=(const Handler&) = delete;
  // Returns false when the handler is done and is to be destroyed.
  virtual bool ready(uint32_t events) = 0;
  virtual void timed_out() {}
  void watch(uint32_t events) {
    epoll_event e{};
    e.events = events;
    e.data.ptr = this;
    if (epoll_ctl(g_epoll, watched_ ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd_, &e) != 0) abort();
    watched_ = true;
  }
  int64_t deadline = 0;  // 0: none
  std::string owner;     // the namespace of a server

 protected:
  int fd_;

 private:
  bool watched_ = false;
};

std::map<Handler*, std::unique_ptr<Handler>> g_handlers;
std::set<std::pair<int64_t, Handler*>> g_deadlines;

void adopt(std::unique_ptr<Handler> handler, uint32_t events) {
  Handler* h = handler.get();
  g_handlers[h] = std::move(handler);
  if (h->deadline != 0) g_deadlines.insert({h->deadline, h});
  h->watch(events);
}

void destroy(Handler* h) {
  g_deadlines.erase({h->deadline, h});
  g_handlers.erase(h);
}

// ---- servers -------------------------------------------------------------------------------------------------------

// Greets with the peer's address and a newline, then returns what it gets.
class EchoConnection : public Handler {
 public:
  EchoConnection(int fd, const Endpoint& peer) : Handler(fd), out_(peer.address() + "\n") {
    deadline = now_us() + 60 * 1000000ll;
  }
  bool ready(uint32_t events) override {
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
      char buf[16384];
      ssize_t n = recv(fd_, buf, sizeof buf, 0);
      if (n == 0 || (n < 0 && errno != EAGAIN)) return false;
      if (n > 0) out_.append(buf, static_cast<size_t>(n));
    }
    while (!out_.empty()) {
      ssize_t n = send(fd_, out_.data(), out_.size(), MSG_NOSIGNAL);
      if (n < 0 && errno == EAGAIN) break;
      if (n < 0) return false;
      out_.erase(0, static_cast<size_t>(n));
    }
    // One direction at a time bounds the buffer: nothing more is read until the peer has taken what it sent.
    watch(out_.empty() ? EPOLLIN : EPOLLOUT);
    return true;
  }

 private:
  std::string out_;
};

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
      adopt(std::move(connection), EPOLLIN | EPOLLOUT);
    }
  }
};

// Answers from the address that was asked: a node has several, and the routing's choice need not be that one.
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
      for (cmsghdr* c = CMSG_FIRSTHDR(&msg); c != nullptr; c = CMSG_NXTHDR(&msg, c)) {
        // The interface must not be pinned: only the address is ours to choose.
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
          auto* info = reinterpret_cast<in_pktinfo*>(CMSG_DATA(c));
          info->ipi_ifindex = 0;
          info->ipi_spec_dst = info->ipi_addr;
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
          reinterpret_cast<in6_pktinfo*>(CMSG_DATA(c))->ipi6_ifindex = 0;
        }
      }
      std::string greeting = peer.address() + "\n";
      iovec out[2] = {{greeting.data(), greeting.size()}, {data, static_cast<size_t>(n)}};
      msg.msg_iov = out;
      msg.msg_iovlen = 2;
      (void)!sendmsg(fd_, &msg, MSG_NOSIGNAL);
    }
  }
};

int bind_in(const std::string& ns, int family, int type, int port) {
  int fd = socket_in(ns, family, type, 0);
  if (fd < 0) return -1;
  int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (family == AF_INET6) {
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
  } else {
    setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
  }
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

void close_servers(const std::string& ns) {
  std::vector<Handler*> ended;
  for (auto& [h, owned] : g_handlers) {
    if (h->owner == ns) ended.push_back(h);
  }
  for (Handler* h : ended) destroy(h);
}

void serve(long id, const std::string& ns, int port) {
  std::vector<std::unique_ptr<Handler>> servers;
  for (int family : {AF_INET, AF_INET6}) {
    for (int type : {SOCK_STREAM, SOCK_DGRAM}) {
      int fd = bind_in(ns, family, type, port);
      if (fd < 0) {
        if (family == AF_INET6 && errno == EAFNOSUPPORT) continue;
        return fail(id, errno_name(errno));
      }
      if (type == SOCK_STREAM) {
        servers.push_back(std::make_unique<TcpServer>(fd));
      } else {
        servers.push_back(std::make_unique<UdpServer>(fd));
      }
      servers.back()->owner = ns;
    }
  }
  for (auto& server : servers) adopt(std::move(server), EPOLLIN);
  emit("{\"id\":" + std::to_string(id) + ",\"ok\":true}");
}

// ---- probes --------------------------------------------------------------------------------------------------------

class Probe : public Handler {
 public:
  Probe(int fd, long id, int timeout_ms) : Handler(fd), id_(id), started_(now_us()) {
    deadline = started_ + int64_t{timeout_ms} * 1000;
  }
  void timed_out() override { fail(id_, "ETIMEDOUT"); }
  // The handshake begins inside connect(), before there is a probe.
  void since(int64_t started) { started_ = started; }

 protected:
  bool failed(int err) {
    fail(id_, errno_name(err));
    return false;
  }
  bool failed(const std::string& why) {
    fail(id_, why);
    return false;
  }
  bool reached(int64_t us, const std::string& seen_as = "") {
    std::string extra = seen_as.empty() ? "" : ",\"seenAs\":" + quoted(seen_as);
    emit("{\"id\":" + std::to_string(id_) + ",\"ok\":true,\"us\":" + std::to_string(us) + extra + "}");
    return false;
  }
  int socket_error() const {
    int err = 0;
    socklen_t len = sizeof err;
    getsockopt(fd_, SOL_SOCKET, SO_ERROR, &err, &len);
    return err;
  }
  long id_;
  int64_t started_;
};

// Bytes that no other probe sends: a stray answer must not pass for ours.
std::string payload_for(long id, size_t size) {
  std::string out = std::to_string(getpid()) + "." + std::to_string(id) + ".";
  while (out.size() < size) out += static_cast<char>('a' + (out.size() * 7 + static_cast<size_t>(id)) % 26);
  return out;
}

class TcpProbe : public Probe {
 public:
  TcpProbe(int fd, long id, int timeout_ms) : Probe(fd, id, timeout_ms), payload_(payload_for(id, kTcpPayload)) {}
  bool ready(uint32_t) override {
    if (connected_ == 0) {
      if (int err = socket_error(); err != 0) return failed(err);
      connected_ = now_us();
    }
    char buf[16384];
    for (;;) {
      ssize_t n = recv(fd_, buf, sizeof buf, 0);
      if (n == 0) return failed("closed by the peer");
      if (n < 0 && errno == EAGAIN) break;
      if (n < 0) return failed(errno);
      in_.append(buf, static_cast<size_t>(n));
    }
    size_t eol = in_.find('\n');
    if (eol == std::string::npos) {
      watch(EPOLLIN);
      return true;
    }
    while (sent_ < payload_.size()) {
      ssize_t n = send(fd_, payload_.data() + sent_, payload_.size() - sent_, MSG_NOSIGNAL);
      if (n < 0 && errno == EAGAIN) break;
      if (n < 0) return failed(errno);
      sent_ += static_cast<size_t>(n);
    }
    size_t echoed = in_.size() - eol - 1;
    if (echoed > payload_.size() || in_.compare(eol + 1, echoed, payload_, 0, echoed) != 0) {
      return failed("wrong bytes came back");
    }
    if (echoed == payload_.size()) return reached(connected_ - started_, in_.substr(0, eol));
    watch(sent_ < payload_.size() ? EPOLLIN | EPOLLOUT : EPOLLIN);
    return true;
  }

 private:
  std::string payload_;
  std::string in_;
  size_t sent_ = 0;
  int64_t connected_ = 0;
};

class UdpProbe : public Probe {
 public:
  UdpProbe(int fd, long id, int timeout_ms) : Probe(fd, id, timeout_ms), payload_(payload_for(id, kUdpPayload)) {}
  bool start() {
    started_ = now_us();
    return send(fd_, payload_.data(), payload_.size(), 0) >= 0;
  }
  bool ready(uint32_t) override {
    char buf[4096];
    ssize_t n = recv(fd_, buf, sizeof buf, 0);
    if (n < 0) return errno == EAGAIN ? true : failed(errno);
    int64_t us = now_us() - started_;
    std::string in(buf, static_cast<size_t>(n));
    size_t eol = in.find('\n');
    if (eol == std::string::npos || in.substr(eol + 1) != payload_) return failed("wrong bytes came back");
    return reached(us, in.substr(0, eol));
  }

 private:
  std::string payload_;
};

class IcmpProbe : public Probe {
 public:
  IcmpProbe(int fd, long id, int timeout_ms, int family) : Probe(fd, id, timeout_ms), family_(family) {
    // struct icmphdr and struct icmp6_hdr begin alike: type, code, checksum, identifier, sequence. The checksum of
    // ICMPv6 is the kernel's work on a raw socket (RFC 3542, section 3.1), that of ICMP ours.
    std::string token = payload_for(id, 56);
    uint8_t type = family == AF_INET ? ICMP_ECHO : ICMP6_ECHO_REQUEST;
    packet_.assign(8, '\0');
    packet_[0] = static_cast<char>(type);
    packet_[4] = static_cast<char>(id >> 8);
    packet_[5] = static_cast<char>(id);
    packet_[7] = 1;
    packet_ += token;
    if (family == AF_INET) {
      uint32_t sum = 0;
      for (size_t i = 0; i + 1 < packet_.size(); i += 2) {
        sum += (uint32_t{static_cast<uint8_t>(packet_[i])} << 8) | static_cast<uint8_t>(packet_[i + 1]);
      }
      while ((sum >> 16) != 0) sum = (sum & 0xffff) + (sum >> 16);
      packet_[2] = static_cast<char>(~sum >> 8);
      packet_[3] = static_cast<char>(~sum);
      icmp_filter filter{~(1u << ICMP_ECHOREPLY)};
      setsockopt(fd, SOL_RAW, ICMP_FILTER, &filter, sizeof filter);
    } else {
      icmp6_filter filter{};
      ICMP6_FILTER_SETBLOCKALL(&filter);
      ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &filter);
      setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof filter);
    }
  }
  bool start() {
    started_ = now_us();
    return send(fd_, packet_.data(), packet_.size(), 0) >= 0;
  }
  bool ready(uint32_t) override {
    for (;;) {
      uint8_t buf[2048];
      ssize_t n = recv(fd_, buf, sizeof buf, 0);
      if (n < 0) return errno == EAGAIN ? true : failed(errno);
      int64_t us = now_us() - started_;
      // A raw IPv4 socket delivers the IP header too; its length is in 32-bit words (RFC 791, section 3.1).
      size_t at = family_ == AF_INET && n > 0 ? size_t{buf[0] & 0x0fu} * 4 : 0;
      size_t size = static_cast<size_t>(n);
      // Every raw socket of a namespace gets every echo reply: ours carries our identifier and payload.
      if (size < at || size - at != packet_.size() || memcmp(buf + at + 4, packet_.data() + 4, packet_.size() - 4) != 0) {
        continue;
      }
      return reached(us);
    }
  }

 private:
  int family_;
  std::string packet_;
};

class HttpProbe : public Probe {
 public:
  HttpProbe(int fd, long id, int timeout_ms, const std::string& host, const std::string& path)
      : Probe(fd, id, timeout_ms), request_("GET " + path + " HTTP/1.0\r\nHost: " + host + "\r\n\r\n") {}
  bool ready(uint32_t events) override {
    if (!sent_) {
      if (int err = socket_error(); err != 0) return failed(err);
      if (send(fd_, request_.data(), request_.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request_.size())) {
        return failed(errno);
      }
      sent_ = true;
      watch(EPOLLIN);
      if ((events & EPOLLIN) == 0) return true;
    }
    char buf[65536];
    for (;;) {
      ssize_t n = recv(fd_, buf, sizeof buf, 0);
      if (n < 0 && errno == EAGAIN) return true;
      if (n < 0) return failed(errno);
      if (n == 0) break;
      in_.append(buf, static_cast<size_t>(n));
      if (in_.size() > kMaxBody) return failed("answer too long");
    }
    // HTTP/1.1 200 OK\r\n...\r\n\r\nbody
    size_t head = in_.find("\r\n\r\n");
    size_t space = in_.find(' ');
    if (in_.compare(0, 5, "HTTP/") != 0 || head == std::string::npos || space == std::string::npos) {
      return failed("not an HTTP answer");
    }
    emit("{\"id\":" + std::to_string(id_) + ",\"ok\":true,\"us\":" + std::to_string(now_us() - started_) +
         ",\"status\":" + std::to_string(atoi(in_.c_str() + space)) + ",\"body\":" + quoted(in_.substr(head + 4)) + "}");
    return false;
  }

 private:
  std::string request_;
  std::string in_;
  bool sent_ = false;
};

int connected_socket(const std::string& ns, Endpoint* to, int type, int protocol) {
  int fd = socket_in(ns, to->family(), type, protocol);
  if (fd < 0) return -1;
  int on = 1;
  if (type == SOCK_STREAM) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (connect(fd, to->sa(), to->len) != 0 && errno != EINPROGRESS) {
    int err = errno;
    close(fd);
    errno = err;
    return -1;
  }
  return fd;
}

void probe(long id, const std::string& kind, const std::vector<std::string>& args) {
  const bool icmp = kind == "icmp";
  const size_t want = icmp ? 3 : kind == "http" ? 5 : 4;
  Endpoint to;
  if (args.size() != want || !Endpoint::parse(args[1], icmp ? 0 : atoi(args[2].c_str()), &to)) return fail(id, "EINVAL");
  const int timeout_ms = atoi(args.back().c_str());
  if (timeout_ms <= 0) return fail(id, "EINVAL");
  const int type = icmp ? SOCK_RAW : kind == "udp" ? SOCK_DGRAM : SOCK_STREAM;
  const int protocol = !icmp ? 0 : to.family() == AF_INET ? int{IPPROTO_ICMP} : int{IPPROTO_ICMPV6};
  const int64_t started = now_us();
  const int fd = connected_socket(args[0], &to, type, protocol);
  if (fd < 0) return fail(id, errno_name(errno));
  if (kind == "tcp" || kind == "http") {
    std::unique_ptr<Probe> p;
    if (kind == "tcp") {
      p = std::make_unique<TcpProbe>(fd, id, timeout_ms);
    } else {
      p = std::make_unique<HttpProbe>(fd, id, timeout_ms, args[1], args[3]);
    }
    p->since(started);
    adopt(std::move(p), EPOLLOUT | EPOLLIN);
  } else if (icmp) {
    auto p = std::make_unique<IcmpProbe>(fd, id, timeout_ms, to.family());
    if (!p->start()) return fail(id, errno_name(errno));
    adopt(std::move(p), EPOLLIN);
  } else {
    auto p = std::make_unique<UdpProbe>(fd, id, timeout_ms);
    if (!p->start()) return fail(id, errno_name(errno));
    adopt(std::move(p), EPOLLIN);
  }
}

void command(const std::string& line) {
  std::istringstream words(line);
  long id = 0;
  std::string verb;
  if (!(words >> id >> verb)) return fail(-1, "cannot read the command: " + line.substr(0, 80));
  std::vector<std::string> args;
  for (std::string word; words >> word;) args.push_back(word);
  if (verb == "serve" && args.size() == 2) return serve(id, args[0], atoi(args[1].c_str()));
  if (verb == "close" && args.size() == 1) {
    close_servers(args[0]);
    return emit("{\"id\":" + std::to_string(id) + ",\"ok\":true}");
  }
  if (verb == "tcp" || verb == "udp" || verb == "icmp" || verb == "http") return probe(id, verb, args);
  fail(id, "unknown command: " + verb.substr(0, 40));
}

void read_commands() {
  static std::string pending;
  char buf[65536];
  ssize_t n = read(STDIN_FILENO, buf, sizeof buf);
  if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (n <= 0) _exit(0);
  pending.append(buf, static_cast<size_t>(n));
  size_t from = 0;
  for (size_t eol; (eol = pending.find('\n', from)) != std::string::npos; from = eol + 1) {
    command(pending.substr(from, eol - from));
  }
  pending.erase(0, from);
  if (pending.size() > kMaxLine) _exit(2);
}

}  // namespace

int main() {
  signal(SIGPIPE, SIG_IGN);
  g_home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  g_epoll = epoll_create1(EPOLL_CLOEXEC);
  epoll_event in{};
  in.events = EPOLLIN;
  in.data.ptr = nullptr;
  if (g_home < 0 || g_epoll < 0 || epoll_ctl(g_epoll, EPOLL_CTL_ADD, STDIN_FILENO, &in) != 0) {
    perror("hdprobe");
    return 2;
  }
  for (;;) {
    int wait_ms = -1;
    if (!g_deadlines.empty()) {
      int64_t left = g_deadlines.begin()->first - now_us();
      wait_ms = left <= 0 ? 0 : static_cast<int>(left / 1000 + 1);
    }
    epoll_event events[64];
    int n = epoll_wait(g_epoll, events, 64, wait_ms);
    bool commands = false;
    for (int i = 0; i < n; i++) {
      auto* h = static_cast<Handler*>(events[i].data.ptr);
      if (h == nullptr) {
        commands = true;
      } else if (g_handlers.count(h) != 0 && !h->ready(events[i].events)) {
        destroy(h);
      }
    }
    // Commands last: one of them may destroy handlers or reuse the address of one that is still in `events`.
    if (commands) read_commands();
    while (!g_deadlines.empty() && g_deadlines.begin()->first <= now_us()) {
      Handler* h = g_deadlines.begin()->second;
      h->timed_out();
      destroy(h);
    }
  }
}
