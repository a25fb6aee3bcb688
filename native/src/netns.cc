#include "netns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "errors.h"

namespace heddle {
namespace {

SysError NotANetns(const std::string& name) {
  SysError e(EINVAL, "setns", name);
  e.code = "NOT_A_NETNS";
  e.message = "'" + name + "' is not a network namespace";
  return e;
}

}  // namespace

std::string NetnsRef::Describe() const {
  return fd ? "fd " + std::to_string(fd.get()) : path;
}

void CheckNetns(int fd, const std::string& name) {
  struct statfs fs;
  if (fstatfs(fd, &fs) != 0) throw SysError(errno, "fstatfs", name);
  if (fs.f_type != NSFS_MAGIC) throw NotANetns(name);
  // Every other kind of namespace is an nsfs file too.
  if (ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET) throw NotANetns(name);
}

Fd OpenNetns(const std::string& path) {
  // Looked at before it is opened: opening a device can have effects, and O_NONBLOCK covers the FIFO that takes the
  // file's place in between.
  struct statfs fs;
  if (statfs(path.c_str(), &fs) != 0) throw SysError(errno, "statfs", path);
  if (fs.f_type != NSFS_MAGIC) throw NotANetns(path);
  Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) throw SysError(errno, "open", path);
  CheckNetns(fd.get(), path);
  return fd;
}

NetnsIdentity IdentifyNetns(int fd, const std::string& name) {
  struct stat st;
  if (fstat(fd, &st) != 0) throw SysError(errno, "fstat", name);
  return {st.st_dev, st.st_ino};
}

NetnsVisit::NetnsVisit(const NetnsRef& target) {
  if (target.IsOwn()) return;
  Fd opened;
  int there = target.fd.get();
  if (target.fd) {
    CheckNetns(there, target.Describe());
  } else {
    opened = OpenNetns(target.path);
    there = opened.get();
  }
  Fd home(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  if (!home) throw SysError(errno, "open", "/proc/thread-self/ns/net");
  if (setns(there, CLONE_NEWNET) != 0) throw SysError(errno, "setns", target.Describe());
  home_ = std::move(home);
}

NetnsVisit::~NetnsVisit() {
  if (!home_) return;
  if (setns(home_.get(), CLONE_NEWNET) != 0) {
    fprintf(stderr, "heddle_native: cannot leave a network namespace (%s); aborting\n", strerror(errno));
    abort();
  }
}

}  // namespace heddle
