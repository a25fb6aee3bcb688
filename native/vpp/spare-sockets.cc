// To give a packet socket a ring the kernel waits until all CPUs have passed a quiet state (synchronize_net() in
// packet_set_ring() of net/packet/af_packet.c), once for each ring, and again to take it away: 8 ms each with HZ=250. VPP opens
// and closes on its main thread, which forwards nothing meanwhile. Here a few threads wait in its place, and beforehand; what
// several wait for at a time is one quiet state.
//
// The threads are strangers to VPP. They allocate nothing: VPP has its own malloc(), for its own threads. They have a table of
// descriptors of their own, since VPP closes that of a packet socket twice (af_packet_delete_if, clib_file_del), and would hit
// what got the number in between; a socket pair leads from one table to the other.
#include "spare-sockets.h"

#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

namespace heddle {
namespace {

/** Threads, and with them sockets in the making at a time. They sleep in the kernel most of the time. */
constexpr int kThreads = 6;
/** Of one shape, ready or in the making. A pod's has 27 MB of the kernel's memory. */
constexpr int kSpares = 6;
/** So many of a shape have no spare: a node has no more than two uplinks. */
constexpr int kSeldom = 2;
/** Shapes that spares are kept of: of pods, wires, uplinks. */
constexpr int kShapes = 3;
/** What may wait to be done; with more, VPP waits itself. */
constexpr unsigned kJobs = 1024;
/** VPP is not kept waiting for longer: it can make one itself. */
constexpr int kPatienceMs = 500;

struct Pool {
  Shape shape;
  int asked;
  int making;
  int ready;
  Spare spares[kSpares + 1];
  /** One could not be made. */
  bool broken;
};

struct Job {
  enum Kind { kMake, kClose, kUnmap } kind;
  Pool* pool;
  void* map;
  size_t size;
};

/** What goes along with a descriptor. */
struct Note {
  Pool* pool;
  void* map;
};

pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t job_added = PTHREAD_COND_INITIALIZER;
pthread_cond_t made = PTHREAD_COND_INITIALIZER;
Pool pools[kShapes];
int pool_count = 0;
Job jobs[kJobs];
unsigned first_job = 0, next_job = 0;
enum { kNotStarted, kRunning, kFailed } threads = kNotStarted;
/** Of the socket pair. */
int vpp_end = -1, thread_end = -1;
/** Where the process may run. VPP's main thread is bound to one CPU before it opens anything. */
cpu_set_t cpus;

__attribute__((constructor)) void NoteCpus() { sched_getaffinity(0, sizeof cpus, &cpus); }

struct Message {
  msghdr header{};
  iovec part;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};

  explicit Message(Note* note) : part{note, sizeof *note} {
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
  }
};

bool Send(int by, int fd, Note note) {
  Message message(&note);
  cmsghdr* c = CMSG_FIRSTHDR(&message.header);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN(sizeof fd);
  memcpy(CMSG_DATA(c), &fd, sizeof fd);
  return sendmsg(by, &message.header, MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof note;
}

/** -1 if nothing has come. */
int Receive(int by, Note* note) {
  Message message(note);
  if (recvmsg(by, &message.header, MSG_DONTWAIT) != sizeof *note) return -1;
  const cmsghdr* c = CMSG_FIRSTHDR(&message.header);
  if (c == nullptr || c->cmsg_type != SCM_RIGHTS) return -1;
  int fd;
  memcpy(&fd, CMSG_DATA(c), sizeof fd);
  return fd;
}

bool SetUp(int fd, const Shape& shape, void** map) {
  uint64_t netns = 0;
  socklen_t size = sizeof netns;
  if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &netns, &size) != 0 || netns != shape.netns) return false;
  const int version = TPACKET_V3;
  const auto set = [fd](int option, const void* value, socklen_t length) {
    return syscall(SYS_setsockopt, fd, SOL_PACKET, option, value, length) == 0;
  };
  if (!set(PACKET_VERSION, &version, sizeof version) || !set(PACKET_LOSS, &shape.loss, sizeof shape.loss) ||
      !set(PACKET_VNET_HDR, &shape.vnet_hdr, sizeof shape.vnet_hdr) ||
      !set(PACKET_RX_RING, &shape.rx, sizeof shape.rx) || !set(PACKET_TX_RING, &shape.tx, sizeof shape.tx)) {
    return false;
  }
  const long at = syscall(SYS_mmap, nullptr, shape.MapSize(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_LOCKED, fd, 0);
  if (at == -1) return false;
  *map = reinterpret_cast<void*>(at);
  return true;
}

/** Makes a socket and sends it. Without a protocol it receives nothing until it is bound. */
bool Make(Pool* pool) {
  const int fd = static_cast<int>(syscall(SYS_socket, AF_PACKET, SOCK_RAW, 0));
  if (fd < 0) return false;
  void* map = nullptr;
  const bool sent = SetUp(fd, pool->shape, &map) && Send(thread_end, fd, {pool, map});
  if (!sent && map != nullptr) syscall(SYS_munmap, map, pool->shape.MapSize());
  syscall(SYS_close, fd);
  return sent;
}

bool Do(const Job& job) {
  Note note;
  switch (job.kind) {
    case Job::kMake:
      return Make(job.pool);
    case Job::kClose:
      return syscall(SYS_close, Receive(thread_end, &note)) == 0;
    default:
      return syscall(SYS_munmap, job.map, job.size) == 0;
  }
}

/** A table of descriptors with that one alone: what came along of VPP's would never be closed. */
bool LeaveTable(int fd) {
  const auto close = [](unsigned first, unsigned last) { return syscall(SYS_close_range, first, last, 0) == 0; };
  return unshare(CLONE_FILES) == 0 && close(0, fd - 1) && close(fd + 1, ~0U);
}

/** Never returns: the end of a thread frees memory. */
void* Work(void*) {
  pthread_setname_np(pthread_self(), "hd_sockets");
  sched_setaffinity(0, sizeof cpus, &cpus);
  const bool apart = LeaveTable(thread_end);
  pthread_mutex_lock(&mutex);
  if (!apart) threads = kFailed;
  for (;;) {
    while (!apart || first_job == next_job) pthread_cond_wait(&job_added, &mutex);
    const Job job = jobs[first_job++ % kJobs];
    pthread_mutex_unlock(&mutex);
    const bool done = Do(job);
    pthread_mutex_lock(&mutex);
    if (job.kind != Job::kMake) continue;
    job.pool->making--;
    if (!done) job.pool->broken = true;
    pthread_cond_broadcast(&made);
  }
}

bool AreRunning() {
  if (threads != kNotStarted) return threads == kRunning;
  threads = kFailed;
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return false;
  vpp_end = ends[0];
  thread_end = ends[1];
  // VPP's signals are for its own threads.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  for (int i = 0; i < kThreads; i++) {
    pthread_t thread;
    if (pthread_create(&thread, nullptr, Work, nullptr) == 0) threads = kRunning;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return threads == kRunning;
}

/** False when there is too much to do. */
bool Add(const Job& job) {
  if (!AreRunning() || next_job - first_job == kJobs) return false;
  jobs[next_job++ % kJobs] = job;
  pthread_cond_signal(&job_added);
  return true;
}

Pool* PoolOf(const Shape& shape) {
  for (int i = 0; i < pool_count; i++) {
    if (memcmp(&pools[i].shape, &shape, sizeof shape) == 0) return &pools[i];
  }
  if (pool_count == kShapes) return nullptr;
  Pool* const pool = &pools[pool_count++];
  pool->shape = shape;
  return pool;
}

/** Takes in what the threads have made. */
void Collect() {
  Note note;
  for (int fd; (fd = Receive(vpp_end, &note)) >= 0;) note.pool->spares[note.pool->ready++] = {fd, note.map};
}

timespec FromNow(int ms) {
  timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  t.tv_nsec += ms * 1'000'000L;
  t.tv_sec += t.tv_nsec / 1'000'000'000L;
  t.tv_nsec %= 1'000'000'000L;
  return t;
}

}  // namespace

Spare TakeSpare(const Shape& shape) {
  const Lock lock(mutex);
  Pool* const pool = AreRunning() ? PoolOf(shape) : nullptr;
  if (pool == nullptr || ++pool->asked <= kSeldom) return {};
  Collect();
  // Beside the one that is asked for.
  while (!pool->broken && pool->ready + pool->making < kSpares + 1 && Add({Job::kMake, pool, nullptr, 0})) pool->making++;
  const timespec end = FromNow(kPatienceMs);
  while (pool->ready == 0 && pool->making > 0 && pthread_cond_timedwait(&made, &mutex, &end) == 0) Collect();
  return pool->ready == 0 ? Spare{} : pool->spares[--pool->ready];
}

void CloseLater(int fd) {
  const Lock lock(mutex);
  if (AreRunning() && next_job - first_job < kJobs && Send(vpp_end, fd, {})) Add({Job::kClose, nullptr, nullptr, 0});
  syscall(SYS_close, fd);
}

void UnmapLater(void* map, size_t size) {
  const Lock lock(mutex);
  if (!Add({Job::kUnmap, nullptr, map, size})) syscall(SYS_munmap, map, size);
}

}  // namespace heddle
