// Loaded (LD_PRELOAD) into a VPP that is to find a /dev/vhost-net where the kernel has none: for tests.
#include <errno.h>
#include <fcntl.h>
#include <new>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "device.h"

namespace {

using vhost_net::Device;

constexpr int kMost = 4096;

pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
/** By descriptor. */
Device* devices[kMost];

Device* DeviceAt(int fd) {
  pthread_mutex_lock(&mutex);
  Device* const device = fd >= 0 && fd < kMost ? devices[fd] : nullptr;
  pthread_mutex_unlock(&mutex);
  return device;
}

/** Past whatever else is loaded: that may hold a lock while it closes something. */
long Call(long number, long a, long b, long c, long d, long e, long f) {
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  register long r9 asm("r9") = f;
  long result;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  if (result >= 0 || result < -4095) return result;
  errno = static_cast<int>(-result);
  return -1;
}

int OpenDevice() {
  const long at = Call(SYS_mmap, 0, sizeof(Device), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == -1) return -1;
  // Only its number is used.
  const int fd = eventfd(0, EFD_CLOEXEC);
  if (fd < 0 || fd >= kMost) {
    errno = EMFILE;
    return -1;
  }
  pthread_mutex_lock(&mutex);
  devices[fd] = new (reinterpret_cast<void*>(at)) Device();
  pthread_mutex_unlock(&mutex);
  return fd;
}

/** Before the descriptor is closed: its owner frees its rings then. */
void CloseDevice(int fd) {
  Device* const device = DeviceAt(fd);
  if (device == nullptr) return;
  pthread_mutex_lock(&mutex);
  devices[fd] = nullptr;
  pthread_mutex_unlock(&mutex);
  device->Stop();
  Call(SYS_munmap, reinterpret_cast<long>(device), sizeof *device, 0, 0, 0, 0);
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

int open(const char* path, int flags, ...) {
  if (strcmp(path, "/dev/vhost-net") == 0) return OpenDevice();
  va_list arguments;
  va_start(arguments, flags);
  const int mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, int) : 0;
  va_end(arguments);
  return static_cast<int>(Call(SYS_openat, AT_FDCWD, reinterpret_cast<long>(path), flags, mode, 0, 0));
}

int ioctl(int fd, unsigned long request, ...) noexcept {
  va_list arguments;
  va_start(arguments, request);
  void* const argument = va_arg(arguments, void*);
  va_end(arguments);
  Device* const device = _IOC_TYPE(request) == VHOST_VIRTIO ? DeviceAt(fd) : nullptr;
  if (device != nullptr) return device->Control(request, argument);
  return static_cast<int>(Call(SYS_ioctl, fd, static_cast<long>(request), reinterpret_cast<long>(argument), 0, 0, 0));
}

int close(int fd) {
  CloseDevice(fd);
  return static_cast<int>(Call(SYS_close, fd, 0, 0, 0, 0, 0));
}

/** Another library that is loaded before has a close() of its own, which ends here. */
long syscall(long number, ...) noexcept {
  va_list arguments;
  va_start(arguments, number);
  long a[6];
  for (long& argument : a) argument = va_arg(arguments, long);
  va_end(arguments);
  if (number == SYS_close) CloseDevice(static_cast<int>(a[0]));
  return Call(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

}  // extern "C"
#pragma GCC visibility pop
