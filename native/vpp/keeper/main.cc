// heddle-vpp-sockets SOCKET: keeps the packet sockets of the VPP that connects to SOCKET. It ends when it is told to (SIGTERM),
// or half a minute after the last one has hung up, VPP or agent. An agent is who connects and says nothing.
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/un.h>

#include "keeper.h"

namespace heddle {
namespace {

/** How long it waits for VPP or an agent to come, or to come back. */
constexpr int64_t kAloneMs = 30'000;
constexpr int kSweepMs = 1'000;

struct Connection {
  Descriptor fd;
  /** Null for an agent. */
  std::unique_ptr<Vpp> vpp;
};

class Server {
 public:
  Server(Descriptor listening, Descriptor signals)
      : listening_(std::move(listening)), signals_(std::move(signals)), made_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        keeper_([this] { eventfd_write(made_.get(), 1); }) {}

  /** Returns when there is nothing left to be there for. */
  void Run() {
    int64_t alone_since = Now();
    while (!is_told_to_end_ && (!connections_.empty() || Now() - alone_since < kAloneMs)) {
      if (!connections_.empty()) alone_since = Now();
      Wait();
      keeper_.Sweep();
    }
    for (auto& [fd, connection] : connections_) {
      if (connection.vpp) keeper_.End(*connection.vpp);
    }
    keeper_.Clear();
  }

 private:
  void Wait() {
    std::vector<pollfd> all{{signals_.get(), POLLIN, 0}, {made_.get(), POLLIN, 0}, {listening_.get(), POLLIN, 0}};
    for (const auto& [fd, connection] : connections_) all.push_back({fd, POLLIN, 0});
    if (poll(all.data(), all.size(), kSweepMs) <= 0) return;
    is_told_to_end_ = all[0].revents != 0;
    // What a VPP had that is gone is kept before the next one asks.
    for (size_t i = 3; i < all.size(); i++) {
      if (all[i].revents != 0) Hear(connections_.find(all[i].fd));
    }
    eventfd_t count;
    if (all[1].revents != 0 && eventfd_read(made_.get(), &count) == 0) Serve();
    if (all[2].revents != 0) Accept();
  }

  void Accept() {
    Descriptor fd(accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    const int number = fd.get();
    if (fd) connections_[number] = {std::move(fd), nullptr};
  }

  void Hear(std::map<int, Connection>::iterator it) {
    Connection& connection = it->second;
    for (;;) {
      Request request;
      int along;
      const ssize_t size = Receive(it->first, &request, &along);
      Descriptor fd(along);
      if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
      if (size == sizeof request && Understand(connection, request, std::move(fd))) continue;
      if (connection.vpp) keeper_.End(*connection.vpp);
      connections_.erase(it);
      return;
    }
  }

  bool Understand(Connection& connection, const Request& request, Descriptor fd) {
    if (connection.vpp) return keeper_.Do(*connection.vpp, request, std::move(fd));
    if (request.kind != Request::kHello || request.version != kVersion || !fd) return false;
    const auto netns = std::make_shared<const Descriptor>(std::move(fd));
    connection.vpp = std::make_unique<Vpp>(Vpp{connection.fd.get(), netns, {}, {}});
    keeper_.Begin(*connection.vpp);
    return true;
  }

  void Serve() {
    std::vector<Vpp*> all;
    for (auto& [fd, connection] : connections_) {
      if (connection.vpp) all.push_back(connection.vpp.get());
    }
    keeper_.Serve(all);
  }

  const Descriptor listening_;
  const Descriptor signals_;
  const Descriptor made_;
  std::map<int, Connection> connections_;
  bool is_told_to_end_ = false;
  /** Its threads are gone before what they use is. */
  Keeper keeper_;
};

/** Bound under a name of its own and moved into place: who finds it can connect. */
Descriptor Listen(const char* path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (snprintf(address.sun_path, sizeof address.sun_path, "%s~", path) >= static_cast<int>(sizeof address.sun_path)) {
    errno = ENAMETOOLONG;
    return {};
  }
  unlink(address.sun_path);
  Descriptor fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const bool is_there = fd && bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
                        listen(fd.get(), 16) == 0 && rename(address.sun_path, path) == 0;
  return is_there ? std::move(fd) : Descriptor();
}

/** A descriptor for each socket, of which a node may have more than are allowed at first. */
void AllowDescriptors() {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

int Main(int argc, char** argv) {
  if (argc != 2) {
    fputs("usage: heddle-vpp-sockets SOCKET\n", stderr);
    return 2;
  }
  AllowDescriptors();
  sigset_t ending;
  sigemptyset(&ending);
  sigaddset(&ending, SIGTERM);
  sigaddset(&ending, SIGINT);
  // Before there are threads.
  sigprocmask(SIG_BLOCK, &ending, nullptr);
  Descriptor signals(signalfd(-1, &ending, SFD_CLOEXEC | SFD_NONBLOCK));
  Descriptor listening = Listen(argv[1]);
  if (!listening) {
    fprintf(stderr, "%s: %s\n", argv[1], strerror(errno));
    return 1;
  }
  Server(std::move(listening), std::move(signals)).Run();
  unlink(argv[1]);
  return 0;
}

}  // namespace
}  // namespace heddle

int main(int argc, char** argv) { return heddle::Main(argc, argv); }
