// Offload features of links, which rtnetlink shows but does not set: ethtool's ioctl.
#pragma once

#include <stdint.h>

#include <string>

#include "fd.h"

namespace heddle {

// A pair of ethtool commands that take a struct ethtool_value, 1 for on and 0 for off; or features by the names that the
// kernel gives them, those that it has: on if any of them is.
struct LinkFeature {
  uint32_t get = 0;
  uint32_t set = 0;
  const char* const* names = nullptr;  // ends with a null pointer
};

// The feature that ethtool -K calls so: "tso", "gso", "gro" or "tx"; or "beyond-tcp". False for any other.
bool FindLinkFeature(const std::string& name, LinkFeature* found);

// True for a name that a link can have as far as its length goes: longer ones would be cut to that of another link.
bool FitsLinkName(const std::string& name);

// A socket for the ioctl: it asks about the links of the namespace that it was opened in. Throws SysError.
Fd OpenLinkControl();

// Throw SysError: ENODEV where there is no such link, EOPNOTSUPP where its feature can't be changed.
bool ReadLinkFeature(int fd, const std::string& link, const LinkFeature& feature);
void WriteLinkFeature(int fd, const std::string& link, const LinkFeature& feature, bool on);

}  // namespace heddle
