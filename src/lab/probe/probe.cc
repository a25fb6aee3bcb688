// hdprobe: echo servers and reachability probes in many network namespaces, from one process.
//
// A socket stays in the namespace it was created in, so one thread enters a namespace, opens a socket there, goes home,
// and waits for all of them in one epoll set. A matrix of 40 pods needs no 40 processes and no process per cell.
//
// Commands come on stdin, one a line, as words; answers go to stdout, one JSON object a line, in order of completion:
//   ID serve NS PORT                         TCP and UDP echo servers, and who accepts SCTP, both families
//   ID close NS                              ends that namespace's servers (they would keep a deleted one alive)
//   ID drain NS                              closes each of its TCP connections behind the next answer
//   ID tcp   NS ADDRESS PORT TIMEOUT_MS      connect, read the greeting, send 4096 bytes, expect them back
//   ID greet NS ADDRESS PORT TIMEOUT_MS      the same without the bytes: for thousands of connections
//   ID keep  NS ADDRESS PORT TIMEOUT_MS EVERY_MS TOTAL_MS
//                                            connect, send 64 bytes and expect them back, after a while again, until the
//                                            time is over, or the server closes between two requests
//   ID udp   NS ADDRESS PORT TIMEOUT_MS      one datagram, expect it back
//   ID sctp  NS ADDRESS PORT TIMEOUT_MS      INIT, expect INIT ACK
//                                            (all four take one word more: the port to come from)
//   ID icmp  NS ADDRESS TIMEOUT_MS           one echo request
//   ID http  NS ADDRESS PORT PATH TIMEOUT_MS GET; answers {"status":200,"body":"..."}
// NS is a name under /run/netns, or "-" for the process's own. A probe answers {"id":7,"ok":true,"us":120,
// "seenAs":"10.0.0.1"} or {"id":7,"ok":false,"error":"ECONNREFUSED"}. `us` is the time of the handshake (tcp) or of the
// round trip; `seenAs` is the client's address as the server saw it, which is what proves a source translation;
// with tcp and udp `answeredBy` is the server's own, which proves one of the destination.
// The process ends when stdin does.

#include <netinet/tcp.h>
#include <signal.h>

#include <sstream>

#include "http.h"
#include "loop.h"
#include "probes.h"
#include "sctp.h"
#include "servers.h"

namespace {

constexpr size_t kMaxLine = 64u << 10;

int connected_socket(const std::string& ns, Endpoint* to, int type, int protocol, int source_port) {
  int fd = socket_in(ns, to->family(), type, protocol);
  if (fd < 0) return -1;
  int on = 1;
  if (type == SOCK_STREAM) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  Endpoint from;
  Endpoint::parse(to->family() == AF_INET ? "0.0.0.0" : "::", source_port, &from);
  if ((source_port != 0 && bind(fd, from.sa(), from.len) != 0) || (connect(fd, to->sa(), to->len) != 0 && errno != EINPROGRESS)) {
    int err = errno;
    close(fd);
    errno = err;
    return -1;
  }
  return fd;
}

void probe(long id, const std::string& kind, const std::vector<std::string>& args) {
  const bool icmp = kind == "icmp";
  const bool keep = kind == "keep";
  const size_t want = icmp ? 3 : keep ? 6 : kind == "http" ? 5 : 4;
  const bool bound = want == 4 && args.size() == 5;
  Endpoint to;
  if ((args.size() != want && !bound) || !Endpoint::parse(args[1], icmp ? 0 : atoi(args[2].c_str()), &to)) {
    return fail(id, "EINVAL");
  }
  const int timeout_ms = atoi(args[keep ? 3 : want - 1].c_str());
  if (timeout_ms <= 0) return fail(id, "EINVAL");
  const bool sctp = kind == "sctp";
  const int type = icmp || sctp ? SOCK_RAW : kind == "udp" ? SOCK_DGRAM : SOCK_STREAM;
  const int icmp_protocol = to.family() == AF_INET ? int{IPPROTO_ICMP} : int{IPPROTO_ICMPV6};
  const int protocol = icmp ? icmp_protocol : sctp ? int{IPPROTO_SCTP} : 0;
  const int from_port = bound ? atoi(args[4].c_str()) : 0;
  if (sctp) to.set_port(0);  // a raw socket's addresses have none
  const int64_t started = now_us();
  const int fd = connected_socket(args[0], &to, type, protocol, sctp ? 0 : from_port);
  if (fd < 0) return fail(id, errno_name(errno));
  const bool greet = kind == "greet";
  if (keep) {
    auto p = std::make_unique<KeepProbe>(fd, id, timeout_ms, atoi(args[4].c_str()), atoi(args[5].c_str()));
    adopt(std::move(p), EPOLLOUT | EPOLLIN);
  } else if (kind == "tcp" || greet || kind == "http") {
    std::unique_ptr<Probe> p;
    if (kind != "http") {
      p = std::make_unique<TcpProbe>(fd, id, timeout_ms, greet ? 0 : kTcpPayload);
    } else {
      p = std::make_unique<HttpProbe>(fd, id, timeout_ms, args[1], args[3]);
    }
    p->since(started);
    adopt(std::move(p), EPOLLOUT | EPOLLIN);
  } else if (sctp) {
    auto p = std::make_unique<SctpProbe>(fd, id, timeout_ms, to, atoi(args[2].c_str()), from_port);
    if (!p->start()) return fail(id, errno_name(errno));
    adopt(std::move(p), EPOLLIN);
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
  if ((verb == "close" || verb == "drain") && args.size() == 1) {
    if (verb == "close") {
      close_servers(args[0]);
    } else {
      drain_servers(args[0]);
    }
    return emit("{\"id\":" + std::to_string(id) + ",\"ok\":true}");
  }
  static const std::set<std::string> probes{"greet", "http", "icmp", "keep", "sctp", "tcp", "udp"};
  if (probes.count(verb) != 0) return probe(id, verb, args);
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
      g_deadlines.erase(g_deadlines.begin());
      if (h->timed_out()) {
        g_deadlines.insert({h->deadline, h});
      } else {
        destroy(h);
      }
    }
  }
}
