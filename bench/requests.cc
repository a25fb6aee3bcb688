// hdrequests: what a service's clients notice. Each message is 64 bytes, which the server returns.
//
//   hdrequests serve PORT                       on all IPv4 addresses, until it is ended
//   hdrequests connect ADDRESS PORT COUNT       connects so many times, one after the other: microseconds of each
//                                               connect(), separated by spaces
//   hdrequests keep ADDRESS PORT MS             requests for so long, on connections that stay
//   hdrequests new ADDRESS PORT MS              the same, a connection for each request: requests a second
//
// Kept or new, eight are under way at any time. Client and server are each on a processor of their own, where there are
// two: where the scheduler puts them moves the figures more than what is measured. Exits with 1 when anything goes wrong.

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <string>
#include <vector>

namespace {

constexpr size_t kMessage = 64;
constexpr int kAtOnce = 8;
constexpr int kEvents = 64;
constexpr int kStuckMs = 5000;

[[noreturn]] void die(const char* what) {
  perror(what);
  exit(1);
}

double now_us() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_nsec) / 1e3;
}

void pin(int processor) {
  if (sysconf(_SC_NPROCESSORS_ONLN) < 2) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  sched_setaffinity(0, sizeof set, &set);  // elsewhere, if that processor is not ours
}

sockaddr_in endpoint(const char* address, int port) {
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(static_cast<uint16_t>(port));
  if (inet_pton(AF_INET, address, &at.sin_addr) != 1) {
    fprintf(stderr, "no IPv4 address: %s\n", address);
    exit(1);
  }
  return at;
}

int tcp_socket(int flags) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
  if (fd < 0) die("socket");
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

void watch(int epoll, int fd, int op, uint32_t events, int data) {
  epoll_event event{};
  event.events = events;
  event.data.fd = data;
  if (epoll_ctl(epoll, op, fd, &event) != 0) die("epoll_ctl");
}

// Messages are far smaller than any buffer, so that what is sent is taken whole.
int serve(int port) {
  pin(1);
  int listener = tcp_socket(SOCK_NONBLOCK);
  int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in at = endpoint("0.0.0.0", port);
  if (bind(listener, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0) die("bind");
  if (listen(listener, 1024) != 0) die("listen");
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  watch(epoll, listener, EPOLL_CTL_ADD, EPOLLIN, listener);
  epoll_event events[kEvents];
  for (;;) {
    int ready = epoll_wait(epoll, events, kEvents, -1);
    for (int i = 0; i < ready; i++) {
      int fd = events[i].data.fd;
      if (fd == listener) {
        for (int made; (made = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
          setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
          watch(epoll, made, EPOLL_CTL_ADD, EPOLLIN, made);
        }
        continue;
      }
      char message[kMessage];
      ssize_t n = recv(fd, message, sizeof message, 0);
      if (n > 0) n = send(fd, message, static_cast<size_t>(n), MSG_NOSIGNAL);
      if (n == 0 || (n < 0 && errno != EAGAIN)) close(fd);
    }
  }
}

int connect_times(const sockaddr_in& to, int count) {
  pin(0);
  for (int i = 0; i < count; i++) {
    int fd = tcp_socket(0);
    double from = now_us();
    if (connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) die("connect");
    printf("%s%.1f", i == 0 ? "" : " ", now_us() - from);
    close(fd);
  }
  printf("\n");
  return 0;
}

struct Client {
  int fd = -1;
  size_t got = 0;
  bool connecting = false;
};

void begin(int epoll, Client& client, int index, const sockaddr_in& to) {
  client.fd = tcp_socket(SOCK_NONBLOCK);
  client.connecting = true;
  if (connect(client.fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0 && errno != EINPROGRESS) die("connect");
  watch(epoll, client.fd, EPOLL_CTL_ADD, EPOLLOUT, index);
}

void ask(Client& client) {
  static const char message[kMessage] = {'?'};
  client.got = 0;
  if (send(client.fd, message, sizeof message, MSG_NOSIGNAL) != static_cast<ssize_t>(sizeof message)) die("send");
}

int request_rate(const sockaddr_in& to, int ms, bool keep) {
  pin(0);
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  std::vector<Client> clients(kAtOnce);
  for (int i = 0; i < kAtOnce; i++) begin(epoll, clients[static_cast<size_t>(i)], i, to);
  double from = now_us();
  double end = from + ms * 1e3;
  double now = from;
  long requests = 0;
  epoll_event events[kEvents];
  while ((now = now_us()) < end) {
    int ready = epoll_wait(epoll, events, kEvents, kStuckMs);
    if (ready == 0) {
      fprintf(stderr, "no answer within %d ms\n", kStuckMs);
      return 1;
    }
    for (int i = 0; i < ready; i++) {
      int index = events[i].data.fd;
      Client& client = clients[static_cast<size_t>(index)];
      if (client.connecting) {
        int err = 0;
        socklen_t len = sizeof err;
        getsockopt(client.fd, SOL_SOCKET, SO_ERROR, &err, &len);
        if ((errno = err) != 0) die("connect");
        client.connecting = false;
        watch(epoll, client.fd, EPOLL_CTL_MOD, EPOLLIN, index);
        ask(client);
        continue;
      }
      char message[kMessage];
      ssize_t n = recv(client.fd, message, sizeof message - client.got, 0);
      if (n <= 0) die("recv");
      client.got += static_cast<size_t>(n);
      if (client.got < kMessage) continue;
      requests++;
      if (keep) {
        ask(client);
      } else {
        close(client.fd);
        begin(epoll, client, index, to);
      }
    }
  }
  printf("%.1f\n", static_cast<double>(requests) / ((now - from) / 1e6));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  std::string what = argc > 1 ? argv[1] : "";
  if (what == "serve" && argc == 3) return serve(atoi(argv[2]));
  if (argc == 5) {
    sockaddr_in to = endpoint(argv[2], atoi(argv[3]));
    if (what == "connect") return connect_times(to, atoi(argv[4]));
    if (what == "keep" || what == "new") return request_rate(to, atoi(argv[4]), what == "keep");
  }
  fprintf(stderr, "usage: hdrequests serve PORT | connect ADDRESS PORT COUNT | keep|new ADDRESS PORT MS\n");
  return 2;
}
