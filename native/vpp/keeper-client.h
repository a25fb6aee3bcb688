// VPP's connection to the keeper of its packet sockets (native/vpp/keeper). All of this does nothing where there is none.
#pragma once
#include "protocol.h"

namespace heddle {

/** A socket from the keeper. */
struct Taken {
  int fd = -1;
  /** Bound to its device, and used by an earlier VPP. */
  bool kept = false;
};

/** A socket of that shape, and if it is a kept one, for that device. None (fd -1) if there was none in time. */
Taken Take(uint64_t id, const Shape& shape, int device, Request::Which which);

/** Has the keeper keep a socket. */
void Hold(uint64_t id, const Shape& shape, int fd);

/** Has the keeper give up a socket, of which nothing may be left here: closing it takes the kernel long. */
void Done(uint64_t id);

/** Has the keeper close another one, too. The caller closes it as well. */
void CloseElsewhere(int fd);

/**
 * Connects if there is no connection: true if there is a new one since the last time, whose keeper knows of nothing yet.
 * Cheap, to be called often.
 */
bool KeepInTouch();

}  // namespace heddle
