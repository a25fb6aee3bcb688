// VPP's main thread forwards nothing while it is in here: nothing waits for the keeper but Take(), and that not for long. A
// keeper that does not take what it is told is done with.
#include "keeper-client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "lock.h"

namespace heddle {
namespace {

/** VPP can make a socket itself. */
constexpr int kPatienceMs = 500;
/** Between two looks whether the keeper is there. */
constexpr int64_t kLookMs = 500;
/**
 * Descriptors from here on are for connections: VPP closes a packet socket's descriptor twice (af_packet_delete_if,
 * clib_file_del), and would hit what got the number in between.
 */
constexpr int kFirstDescriptor = 512;

/** Taking is one at a time; `mutex` is held for moments only. */
pthread_mutex_t taking = PTHREAD_MUTEX_INITIALIZER;
pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
int connection = -1;
bool is_new = false;
int64_t looked_at = 0;

int64_t Now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
  return t.tv_sec * int64_t{1000} + t.tv_nsec / 1'000'000;
}

/** VPP's close() has a meaning of its own: see packet-sockets.cc. */
void Close(int fd) {
  if (fd >= 0) syscall(SYS_close, fd);
}

/** Holding `mutex`. */
void HangUp() {
  Close(connection);
  connection = -1;
}

/** Holding `mutex`. */
bool Tell(const Request& request, int fd) {
  if (connection < 0) return false;
  if (Send(connection, request, fd)) return true;
  HangUp();
  return false;
}

/** Holding `mutex`. Does not wait: a local connection is there at once, or not at all. */
void Connect() {
  const char* const path = getenv(kKeeperVariable);
  sockaddr_un address{};
  if (path == nullptr || strlen(path) >= sizeof address.sun_path) return;
  address.sun_family = AF_UNIX;
  strcpy(address.sun_path, path);
  const int fd = static_cast<int>(syscall(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (fd < 0) return;
  const int high = fcntl(fd, F_DUPFD_CLOEXEC, kFirstDescriptor);
  if (high >= 0) Close(fd);
  connection = high >= 0 ? high : fd;
  if (connect(connection, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return HangUp();
  const int netns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  Request hello{};
  hello.kind = Request::kHello;
  hello.version = kVersion;
  is_new = Tell(hello, netns);
  Close(netns);
}

/** Holding `mutex`. The keeper says nothing unasked: what there is to read was too late, or is the end. */
void Look() {
  looked_at = Now();
  Reply late;
  int fd;
  for (ssize_t size = 1; connection >= 0 && size > 0; Close(fd)) {
    size = Receive(connection, &late, &fd);
    if (size == 0 || (size < 0 && errno != EAGAIN)) HangUp();
  }
  if (connection < 0) Connect();
}

}  // namespace

Taken Take(uint64_t id, const Shape& shape, int device, Request::Which which) {
  const Lock one(taking);
  Request request{};
  request.kind = Request::kTake;
  request.id = id;
  request.shape = shape;
  request.device = device;
  request.which = which;
  pollfd waited{-1, POLLIN, 0};
  {
    const Lock lock(mutex);
    if (!Tell(request, -1)) return {};
    waited.fd = connection;
  }
  const int64_t end = Now() + kPatienceMs;
  for (int64_t left = kPatienceMs; left > 0; left = end - Now()) {
    if (poll(&waited, 1, static_cast<int>(left)) <= 0) continue;
    const Lock lock(mutex);
    Reply reply;
    int fd;
    const ssize_t size = connection == waited.fd ? Receive(connection, &reply, &fd) : 0;
    if (size < 0 && errno == EAGAIN) continue;
    if (size != sizeof reply) {
      if (connection == waited.fd) HangUp();
      return {};
    }
    if (reply.id == id) return {fd, reply.kind == Reply::kKept};
    // Of an earlier call, which has said that it is done with it.
    Close(fd);
  }
  Done(id);
  return {};
}

void Hold(uint64_t id, const Shape& shape, int fd) {
  Request request{};
  request.kind = Request::kHold;
  request.id = id;
  request.shape = shape;
  const Lock lock(mutex);
  Tell(request, fd);
}

void Done(uint64_t id) {
  Request request{};
  request.kind = Request::kDone;
  request.id = id;
  const Lock lock(mutex);
  Tell(request, -1);
}

void CloseElsewhere(int fd) {
  Request request{};
  request.kind = Request::kClose;
  const Lock lock(mutex);
  Tell(request, fd);
}

bool KeepInTouch() {
  if (Now() - __atomic_load_n(&looked_at, __ATOMIC_RELAXED) < kLookMs || pthread_mutex_trylock(&mutex) != 0) return false;
  // One that is taking hears it itself.
  if (pthread_mutex_trylock(&taking) == 0) {
    Look();
    pthread_mutex_unlock(&taking);
  }
  const bool was_new = is_new;
  is_new = false;
  pthread_mutex_unlock(&mutex);
  return was_new;
}

}  // namespace heddle
