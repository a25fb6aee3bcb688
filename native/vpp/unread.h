// VPP's epoll tells of a packet socket as long as it holds a packet, and VPP reads none while the interface is down: its main
// loop goes round and round then, from when a pod's interface is made until it forwards, and for good with one that may not.
// A socket that stays unread is looked at again a little later only.
#pragma once
#include <sys/epoll.h>

namespace heddle {

/**
 * A socket with rings of version 2, whose mapping begins with the place that is filled first, becomes one of an epoll. Returns
 * what epoll is to be told in place of `event`.
 */
epoll_event Watch(int epoll, int fd, const epoll_event& event, const void* rings);

/** As {@link Watch}, of an event that is to replace the one that is known. */
epoll_event Rewatch(int fd, const epoll_event& event);

/** It is one no longer. */
void Unwatch(int fd);

/** How long to wait at most, in milliseconds, of `timeout` (-1 for ever). Before each wait. */
int BeforeWaiting(int epoll, int timeout);

/** Puts VPP's own events in place of what {@link Watch} has made of them. After each wait. */
void AfterWaiting(epoll_event* events, int count);

}  // namespace heddle
