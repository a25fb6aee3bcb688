// The rings of a packet socket that an earlier VPP has used.
#pragma once
#include "protocol.h"

namespace heddle {

/**
 * Maps the socket's rings so that a VPP which begins at their first block and frame gets what the kernel uses next. What has
 * come in so far is dropped, and what was not sent yet. Null if that can't be done; the socket is of no use then.
 */
void* MapInOrder(int fd, const Shape& shape);

}  // namespace heddle
