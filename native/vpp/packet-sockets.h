#pragma once

namespace heddle {

/**
 * To be called often, between two rounds of VPP's loop: tells a keeper that is new of the packet sockets that VPP has, and
 * maps one for the next time that VPP wants one.
 */
void LookAfterSockets();

}  // namespace heddle
