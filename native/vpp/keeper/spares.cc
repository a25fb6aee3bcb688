// To give a packet socket a ring the kernel waits until all CPUs have passed a quiet state (synchronize_net() in
// packet_set_ring() of net/packet/af_packet.c), once for each ring, and again to take it away: 8 ms each with HZ=250. VPP opens
// and closes on its main thread, which forwards nothing meanwhile.
#include "spares.h"

#include <linux/if_packet.h>
#include <sched.h>

#include <algorithm>
#include <chrono>

namespace heddle {
namespace {

/** Sockets in the making at a time. The threads sleep in the kernel most of the time. */
constexpr int kMakers = 6;
/** A whole node's sockets end within a second when VPP is stopped. */
constexpr int kClosers = 24;
/** By then VPP has closed what it is about to close. */
constexpr std::chrono::milliseconds kLast{20};
/** Of one shape, ready or in the making. A pod's has 32 MiB of the kernel's memory. */
constexpr size_t kSpares = 6;
/**
 * With so many ready there is time to make the others when VPP and the agent have done with what they are at: to make one takes 5 ms of
 * a CPU in the kernel, which nobody gets in between.
 */
constexpr size_t kEnough = 2;
constexpr std::chrono::milliseconds kQuiet{60};
/** So many of a shape have no spare. */
constexpr int kSeldom = 2;
/** Shapes that spares are kept of: of pods with offloads, and without. */
constexpr size_t kShapes = 2;

/**
 * A socket of version 2 has no timers. One of version 3 hands on what has come in when a timer of its own says so, also where nothing comes. 6.18 and later
 * have one that fires after a millisecond as VPP asks for, and 100 pods' take 3/4 of two CPUs of a virtual machine for nothing.
 * So many sockets have theirs each millisecond, the next ones each second one, and so on up to what kernels with 250 ticks a
 * second made of it. Beyond, all of them together are to have no more than so many a millisecond.
 */
constexpr size_t kEachMs = 8;
constexpr size_t kTickMs = 4;
constexpr size_t kAllEachMs = 32;

}  // namespace

unsigned LookEveryMs(const Shape& shape, size_t others) {
  const size_t share = std::max(std::min(others / kEachMs + 1, kTickMs), others / kAllEachMs);
  return std::max(shape.rx.tp_retire_blk_tov, static_cast<unsigned>(share));
}

Descriptor MakeSocket(int netns, const Shape& shape, unsigned look_every_ms) {
  if (setns(netns, CLONE_NEWNET) != 0) return {};
  // Without a protocol it receives nothing until it is bound.
  Descriptor made(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  tpacket_req3 rx = shape.rx;
  if (shape.version == TPACKET_V3) rx.tp_retire_blk_tov = look_every_ms;
  const auto set = [&](int option, const void* value, socklen_t length) {
    return setsockopt(made.get(), SOL_PACKET, option, value, length) == 0;
  };
  const bool is_set = getsockopt(made.get(), SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) == 0 && cookie == shape.netns &&
                      set(PACKET_VERSION, &shape.version, sizeof shape.version) && set(PACKET_LOSS, &shape.loss, sizeof shape.loss) &&
                      set(PACKET_VNET_HDR, &shape.vnet_hdr, sizeof shape.vnet_hdr) &&
                      set(PACKET_RX_RING, &rx, shape.RequestSize()) && set(PACKET_TX_RING, &shape.tx, shape.RequestSize());
  return is_set ? std::move(made) : Descriptor();
}

Closer::Closer() : workers_(kClosers) {}

void Closer::Close(Descriptor socket) {
  if (!socket) return;
  workers_.Add([fd = socket.release()] { close(fd); });
}

void Closer::CloseLast(Descriptor socket) {
  workers_.Add([fd = socket.release()] {
    std::this_thread::sleep_for(kLast);
    close(fd);
  });
}

Spares::Spares(Closer& closer, std::function<void()> done) : closer_(closer), done_(std::move(done)), workers_(kMakers) {}

bool Spares::Want(const Shape& shape, std::shared_ptr<const Descriptor> netns, size_t others) {
  // Those of version 3 are for the node's own few devices.
  if (shape.version != TPACKET_V2) return false;
  Pool* pool = Find(shape);
  if (pool == nullptr) {
    if (pools_.size() == kShapes) {
      for (Descriptor& spare : pools_.back().ready) closer_.Close(std::move(spare));
      pools_.pop_back();
    }
    pools_.emplace_front();
    pool = &pools_.front();
    pool->shape = shape;
  }
  if (++pool->asked <= kSeldom) return false;
  Fill(*pool, std::move(netns), others);
  return true;
}

Descriptor Spares::Take(const Shape& shape) {
  Pool* const pool = Find(shape);
  if (pool == nullptr || pool->ready.empty()) return {};
  Descriptor spare = std::move(pool->ready.back());
  pool->ready.pop_back();
  return spare;
}

void Spares::Hurry() {
  {
    const std::lock_guard lock(mutex_);
    hurries_++;
  }
  hurried_.notify_all();
}

void Spares::WaitForQuiet(int since) {
  std::unique_lock lock(mutex_);
  hurried_.wait_for(lock, kQuiet, [this, since] { return hurries_ != since; });
}

bool Spares::IsHopeless(const Shape& shape) const {
  for (const Pool& pool : pools_) {
    if (pool.shape == shape) return pool.ready.empty() && pool.making == 0;
  }
  return true;
}

void Spares::Collect() {
  std::vector<Made> made;
  {
    const std::lock_guard lock(mutex_);
    made.swap(made_);
  }
  for (Made& one : made) {
    Pool* const pool = Find(one.shape);
    if (pool == nullptr) {
      closer_.Close(std::move(one.socket));
      continue;
    }
    // It may be another pool of that shape than the one that asked.
    if (pool->making > 0) pool->making--;
    if (one.socket) pool->ready.push_back(std::move(one.socket));
    else pool->is_broken = true;
  }
}

void Spares::Clear() {
  Collect();
  for (Pool& pool : pools_) {
    for (Descriptor& spare : pool.ready) closer_.Close(std::move(spare));
    pool.ready.clear();
  }
}

Spares::Pool* Spares::Find(const Shape& shape) {
  for (auto pool = pools_.begin(); pool != pools_.end(); ++pool) {
    if (!(pool->shape == shape)) continue;
    pools_.splice(pools_.begin(), pools_, pool);
    return &pools_.front();
  }
  return nullptr;
}

void Spares::Fill(Pool& pool, std::shared_ptr<const Descriptor> netns, size_t others) {
  const unsigned look_every_ms = LookEveryMs(pool.shape, others);
  const bool is_urgent = pool.ready.size() < kEnough;
  // Beside the one that is asked for.
  while (!pool.is_broken && pool.ready.size() + static_cast<size_t>(pool.making) < kSpares + 1) {
    pool.making++;
    workers_.Add([this, shape = pool.shape, netns, look_every_ms, is_urgent, since = hurries_] {
      if (!is_urgent) WaitForQuiet(since);
      Descriptor socket = MakeSocket(netns->get(), shape, look_every_ms);
      {
        const std::lock_guard lock(mutex_);
        made_.push_back({shape, std::move(socket)});
      }
      done_();
    });
  }
}

}  // namespace heddle
