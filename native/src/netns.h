// Network namespaces: opening one by path and visiting it from a worker thread.
#pragma once

#include <sys/types.h>

#include <string>

#include "fd.h"

namespace heddle {

// Where something is to happen: the process's own namespace (empty), a path, or a descriptor that the caller owns.
struct NetnsRef {
  std::string path;
  Fd fd;
  bool IsOwn() const { return path.empty() && !fd; }
  std::string Describe() const;
};

// Opens `path` and makes sure that it is a network namespace. Throws SysError: ENOENT, ENOTDIR and EACCES from the file
// system, code NOT_A_NETNS for everything that is a file but no network namespace. Never blocks on a FIFO or device.
Fd OpenNetns(const std::string& path);

// Throws NOT_A_NETNS unless `fd` refers to a network namespace.
void CheckNetns(int fd, const std::string& name);

struct NetnsIdentity {
  dev_t dev;
  ino_t ino;
};
NetnsIdentity IdentifyNetns(int fd, const std::string& name);

// The calling thread is in the namespace for as long as this object lives. The namespace belongs to the thread, not to
// the process, and the thread goes back to libuv's pool afterwards, where anything may run on it: when the way back
// fails, the process is aborted.
class NetnsVisit {
 public:
  explicit NetnsVisit(const NetnsRef& target);
  ~NetnsVisit();
  NetnsVisit(const NetnsVisit&) = delete;
  NetnsVisit& operator=(const NetnsVisit&) = delete;

 private:
  Fd home_;
};

}  // namespace heddle
