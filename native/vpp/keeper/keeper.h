// What the keeper knows of VPP's packet sockets. It holds a descriptor of each; so they outlive VPP, bound and with their rings.
#pragma once
#include <map>
#include <memory>
#include <vector>

#include "spares.h"

namespace heddle {

/** One life of VPP, as long as its connection. */
struct Vpp {
  int connection;
  std::shared_ptr<const Descriptor> netns;
  struct Held {
    Descriptor socket;
    Shape shape;
  };
  std::map<uint64_t, Held> held;
  /** It waits for an answer. */
  struct Asked {
    uint64_t id;
    Shape shape;
  };
  std::vector<Asked> asked;
};

class Keeper {
 public:
  /** `made` is called by another thread: Serve() is due. */
  explicit Keeper(std::function<void()> made);

  /** A VPP that has begun. */
  void Begin(Vpp& vpp);
  /** False if that made no sense. `fd` came along. */
  bool Do(Vpp& vpp, const Request& request, Descriptor fd);
  /** It has died: what it had is kept. */
  void End(Vpp& vpp);
  /** Answers those who wait for what was made meanwhile. */
  void Serve(const std::vector<Vpp*>& all);
  /** Closes what nobody will ask for: to be called every now and then. */
  void Sweep();
  /** Closes all. */
  void Clear();

 private:
  struct Kept {
    Descriptor socket;
    Shape shape;
  };

  void Take(Vpp& vpp, const Request& request);
  Descriptor TakeKept(const Shape& shape, int device);
  void Answer(Vpp& vpp, uint64_t id, const Shape& shape, Reply::Kind kind, Descriptor socket);

  Closer closer_;
  Spares spares_;
  std::vector<Kept> kept_;
  int vpps_ = 0;
  /** When those that are kept are closed, if there is a VPP then. */
  int64_t due_ = 0;
};

/** Milliseconds of a clock that nobody sets. */
int64_t Now();

}  // namespace heddle
