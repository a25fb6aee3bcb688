#include "keeper.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <time.h>

#include <algorithm>

namespace heddle {
namespace {

/** How long after its beginning a VPP may ask for what an earlier one had. */
constexpr int64_t kKeptMs = 30'000;

/** The device that a packet socket is bound to; -1 if that is gone, 0 if none. */
int DeviceOf(const Descriptor& socket) {
  sockaddr_ll address{};
  socklen_t size = sizeof address;
  if (getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) return -1;
  return address.sll_protocol == htons(ETH_P_ALL) ? address.sll_ifindex : 0;
}

}  // namespace

int64_t Now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * int64_t{1000} + t.tv_nsec / 1'000'000;
}

Keeper::Keeper(std::function<void()> made) : spares_(closer_, std::move(made)) {}

void Keeper::Begin(Vpp&) {
  vpps_++;
  due_ = Now() + kKeptMs;
}

bool Keeper::Do(Vpp& vpp, const Request& request, Descriptor fd) {
  switch (request.kind) {
    case Request::kHold:
      if (!fd) return false;
      vpp.held[request.id] = {std::move(fd), request.shape};
      return true;
    case Request::kTake:
      Take(vpp, request);
      return true;
    case Request::kDone: {
      const auto asked = [&](const Vpp::Asked& a) { return a.id == request.id; };
      vpp.asked.erase(std::remove_if(vpp.asked.begin(), vpp.asked.end(), asked), vpp.asked.end());
      const auto held = vpp.held.find(request.id);
      if (held == vpp.held.end()) return true;
      closer_.Close(std::move(held->second.socket));
      vpp.held.erase(held);
      return true;
    }
    case Request::kClose:
      closer_.CloseLast(std::move(fd));
      return true;
    default:
      return false;
  }
}

void Keeper::End(Vpp& vpp) {
  vpps_--;
  // If the next one is there already, it has that long from now.
  due_ = Now() + kKeptMs;
  for (auto& [id, held] : vpp.held) {
    if (DeviceOf(held.socket) > 0) kept_.push_back({std::move(held.socket), held.shape});
    else closer_.Close(std::move(held.socket));
  }
  vpp.held.clear();
}

void Keeper::Take(Vpp& vpp, const Request& request) {
  if (request.which == Request::kAny || request.which == Request::kKeptOnly) {
    Descriptor kept = TakeKept(request.shape, request.device);
    if (kept) return Answer(vpp, request.id, request.shape, Reply::kKept, std::move(kept));
  }
  if (request.which == Request::kKeptOnly) return Answer(vpp, request.id, request.shape, Reply::kNone, {});
  const size_t others = vpp.held.size() + kept_.size();
  const bool is_wanted = spares_.Want(request.shape, vpp.netns, others);
  if (request.which == Request::kReadyOnly) {
    spares_.Collect();
    Descriptor spare = spares_.Take(request.shape);
    const Reply::Kind kind = spare ? Reply::kSpare : Reply::kNone;
    return Answer(vpp, request.id, request.shape, kind, std::move(spare));
  }
  if (!is_wanted) return Answer(vpp, request.id, request.shape, Reply::kNone, {});
  vpp.asked.push_back({request.id, request.shape});
  Serve({&vpp});
}

void Keeper::Serve(const std::vector<Vpp*>& all) {
  spares_.Collect();
  for (Vpp* const vpp : all) {
    const auto is_served = [&](const Vpp::Asked& asked) {
      Descriptor spare = spares_.Take(asked.shape);
      if (!spare && !spares_.IsHopeless(asked.shape)) {
        spares_.Hurry();
        return false;
      }
      const Reply::Kind kind = spare ? Reply::kSpare : Reply::kNone;
      Answer(*vpp, asked.id, asked.shape, kind, std::move(spare));
      return true;
    };
    vpp->asked.erase(std::remove_if(vpp->asked.begin(), vpp->asked.end(), is_served), vpp->asked.end());
  }
}

Descriptor Keeper::TakeKept(const Shape& shape, int device) {
  for (auto kept = kept_.begin(); kept != kept_.end(); ++kept) {
    if (!(kept->shape == shape) || DeviceOf(kept->socket) != device) continue;
    Descriptor socket = std::move(kept->socket);
    kept_.erase(kept);
    return socket;
  }
  return {};
}

void Keeper::Answer(Vpp& vpp, uint64_t id, const Shape& shape, Reply::Kind kind, Descriptor socket) {
  // One that can't be told has hung up, which is heard soon.
  const bool is_told = Send(vpp.connection, Reply{kind, 0, id}, socket.get());
  if (!socket) return;
  if (is_told) vpp.held[id] = {std::move(socket), shape};
  else closer_.Close(std::move(socket));
}

void Keeper::Sweep() {
  const bool is_over = vpps_ > 0 && Now() >= due_;
  const auto is_useless = [&](Kept& kept) {
    if (!is_over && DeviceOf(kept.socket) > 0) return false;
    closer_.Close(std::move(kept.socket));
    return true;
  };
  kept_.erase(std::remove_if(kept_.begin(), kept_.end(), is_useless), kept_.end());
}

void Keeper::Clear() {
  for (Kept& kept : kept_) closer_.Close(std::move(kept.socket));
  kept_.clear();
  spares_.Clear();
}

}  // namespace heddle
