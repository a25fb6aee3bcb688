// Sockets in other namespaces, the epoll loop's handlers, and the output of hdprobe.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
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
#include <string>
#include <utility>
#include <vector>

inline int g_epoll = -1;
inline int g_home = -1;  // our own network namespace

inline int64_t now_us() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return int64_t{t.tv_sec} * 1000000 + t.tv_nsec / 1000;
}

inline std::string errno_name(int e) {
  const char* name = strerrorname_np(e);
  return name != nullptr ? name : "errno " + std::to_string(e);
}

inline std::string quoted(const std::string& s) {
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

inline void emit(const std::string& json) {
  std::string line = json + "\n";
  for (size_t at = 0; at < line.size();) {
    ssize_t n = write(STDOUT_FILENO, line.data() + at, line.size() - at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) _exit(0);  // nobody reads us any more
    at += static_cast<size_t>(n);
  }
}

inline void fail(long id, const std::string& error) {
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
  void set_port(int port) {
    // sin_port and sin6_port are at the same place.
    reinterpret_cast<sockaddr_in*>(&ss)->sin_port = htons(static_cast<uint16_t>(port));
  }
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
inline int socket_in(const std::string& ns, int family, int type, int protocol) {
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
  // At the deadline. Returns true if there is another one, in `deadline`; else the handler is destroyed.
  virtual bool timed_out() { return false; }
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

inline std::map<Handler*, std::unique_ptr<Handler>> g_handlers;
inline std::set<std::pair<int64_t, Handler*>> g_deadlines;

inline void adopt(std::unique_ptr<Handler> handler, uint32_t events) {
  Handler* h = handler.get();
  g_handlers[h] = std::move(handler);
  if (h->deadline != 0) g_deadlines.insert({h->deadline, h});
  h->watch(events);
}

inline void destroy(Handler* h) {
  g_deadlines.erase({h->deadline, h});
  g_handlers.erase(h);
}
