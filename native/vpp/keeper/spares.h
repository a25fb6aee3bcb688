// Packet sockets that are made before they are asked for.
#pragma once
#include <condition_variable>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <vector>

#include "../protocol.h"
#include "descriptor.h"
#include "workers.h"

namespace heddle {

/**
 * A packet socket of that shape, but for how often it looks for packets, that is bound to nothing; none if that can't be had in
 * this namespace.
 */
Descriptor MakeSocket(int netns, const Shape& shape, unsigned look_every_ms);

/** How often a packet socket is to look for packets, on a node that has that many. */
unsigned LookEveryMs(const Shape& shape, size_t others);

/** Closes a packet socket, in a while. */
class Closer {
 public:
  Closer();
  void Close(Descriptor socket);
  /** One that VPP has a descriptor of and is about to close: the last one to be closed ends the socket. */
  void CloseLast(Descriptor socket);

 private:
  Workers workers_;
};

/** Not to be called by several at a time. */
class Spares {
 public:
  /** `done` is called by a thread of its own when something was made, or could not be: then Collect() is due. */
  Spares(Closer& closer, std::function<void()> done);

  /** Tells what the next one is to be like, beside how many others. False if there won't be one, since few of that shape are ever asked for, or were so far. */
  bool Want(const Shape& shape, std::shared_ptr<const Descriptor> netns, size_t others);

  /** One that is ready. */
  Descriptor Take(const Shape& shape);

  /** Somebody waits: what is to be made later is made now. */
  void Hurry();

  /** None of that shape is ready nor being made. */
  bool IsHopeless(const Shape& shape) const;

  /** Takes in what was made. */
  void Collect();

  /** Closes what is ready, and what was made meanwhile. */
  void Clear();

 private:
  struct Pool {
    Shape shape;
    int asked = 0;
    int making = 0;
    /** One could not be made. */
    bool is_broken = false;
    std::vector<Descriptor> ready;
  };
  struct Made {
    Shape shape;
    Descriptor socket;
  };

  Pool* Find(const Shape& shape);
  void Fill(Pool& pool, std::shared_ptr<const Descriptor> netns, size_t others);
  /** Or until somebody hurries; `since`: how often that had happened when it was asked for. */
  void WaitForQuiet(int since);

  Closer& closer_;
  const std::function<void()> done_;
  /** The latest asked for first. */
  std::list<Pool> pools_;
  std::mutex mutex_;
  std::vector<Made> made_;
  std::condition_variable hurried_;
  /** Written by the one who calls. */
  int hurries_ = 0;
  Workers workers_;
};

}  // namespace heddle
