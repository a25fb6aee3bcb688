#include "steps.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <map>

#include "errors.h"
#include "netlink.h"
#include "tap.h"

namespace heddle {
namespace {

// Sysctl values are short texts; the longest of net/ (lists of ports) fit a page.
constexpr size_t kMaxSysctl = 4096;

// /proc/sys/net shows the namespace of the thread that opens the file (net_ctl_header_lookup in net/sysctl_net.c).
std::vector<uint8_t> ReadSysctl(const std::string& path) {
  Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) throw SysError(errno, "open", path);
  std::vector<uint8_t> text(kMaxSysctl);
  ssize_t n = read(fd.get(), text.data(), text.size());
  if (n < 0) throw SysError(errno, "read", path);
  text.resize(static_cast<size_t>(n));
  return text;
}

void WriteSysctl(const std::string& path, const std::string& value) {
  Fd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) throw SysError(errno, "open", path);
  // One write: the kernel parses what a single call brings.
  ssize_t n = write(fd.get(), value.data(), value.size());
  if (n < 0) throw SysError(errno, "write", path);
  if (static_cast<size_t>(n) != value.size()) throw SysError(EIO, "write", path);
}

}  // namespace

bool IsNetSysctl(const std::string& name) {
  if (name.compare(0, 4, "net/") != 0) return false;
  size_t start = 0;
  while (start <= name.size()) {
    size_t end = name.find('/', start);
    if (end == std::string::npos) end = name.size();
    std::string part = name.substr(start, end - start);
    if (part.empty() || part == "." || part == ".." || part.find('\0') != std::string::npos) return false;
    start = end + 1;
  }
  return true;
}

std::vector<StepResult> RunSteps(const NetnsRef& netns, const std::vector<Step>& steps) {
  NetnsVisit visit(netns);
  std::vector<StepResult> results;
  results.reserve(steps.size());
  std::map<int, NetlinkSocket> sockets;
  Fd link_control;
  const auto control = [&link_control] {
    if (!link_control) link_control = OpenLinkControl();
    return link_control.get();
  };
  for (const Step& step : steps) {
    StepResult result;
    try {
      switch (step.kind) {
        case Step::Kind::kReadSysctl:
          result.data = ReadSysctl("/proc/sys/" + step.name);
          break;
        case Step::Kind::kWriteSysctl:
          WriteSysctl("/proc/sys/" + step.name, step.value);
          break;
        case Step::Kind::kReadFeature:
          result.data.push_back(ReadLinkFeature(control(), step.name, step.feature) ? 1 : 0);
          break;
        case Step::Kind::kWriteFeature:
          WriteLinkFeature(control(), step.name, step.feature, step.on);
          break;
        case Step::Kind::kCreateTap:
          CreateTap(step.name);
          break;
        case Step::Kind::kNetlink: {
          auto found = sockets.find(step.protocol);
          if (found == sockets.end()) {
            NetlinkOptions options;
            options.protocol = step.protocol;
            found = sockets.emplace(step.protocol, OpenNetlink(options)).first;
          }
          result.data = Transact(found->second.fd.get(), step.request.data(), step.request.size());
          break;
        }
      }
    } catch (const SysError& e) {
      result.err = e.err;
      result.syscall = e.syscall;
      result.subject = e.subject;
    }
    results.push_back(std::move(result));
  }
  return results;
}

}  // namespace heddle
