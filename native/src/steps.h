// Several small things done in a namespace in one hop to a worker thread.
#pragma once

#include <stdint.h>

#include <string>
#include <vector>

#include "ethtool.h"
#include "netns.h"

namespace heddle {

struct Step {
  enum class Kind { kReadSysctl, kWriteSysctl, kReadFeature, kWriteFeature, kCreateTap, kNetlink };
  Kind kind = Kind::kNetlink;
  // Of a sysctl: under /proc/sys, with slashes, "net/ipv4/ip_forward". Of a feature: the link's. Of a tap: its own.
  std::string name;
  std::string value;
  LinkFeature feature;
  bool on = false;
  int protocol = 0;
  std::vector<uint8_t> request;
};

struct StepResult {
  // 0, or what failed in `syscall`.
  int err = 0;
  std::string syscall;
  std::string subject;
  // The sysctl's text, the feature (one byte, 0 or 1), or the netlink answers.
  std::vector<uint8_t> data;
};

// True for a name that stays under /proc/sys/net.
bool IsNetSysctl(const std::string& name);

// Does the steps in order inside `netns`, each with its own outcome; a failed one does not stop the next. Throws
// SysError when the namespace can't be entered. Netlink steps with the same protocol share a socket.
std::vector<StepResult> RunSteps(const NetnsRef& netns, const std::vector<Step>& steps);

}  // namespace heddle
