#include "ethtool.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "errors.h"

namespace heddle {
namespace {

constexpr struct {
  const char* name;
  LinkFeature feature;
} kFeatures[] = {
    {"tso", {ETHTOOL_GTSO, ETHTOOL_STSO}},
    {"gso", {ETHTOOL_GGSO, ETHTOOL_SGSO}},
    {"gro", {ETHTOOL_GGRO, ETHTOOL_SGRO}},
    {"tx", {ETHTOOL_GTXCSUM, ETHTOOL_STXCSUM}},
};

uint32_t Control(int fd, const std::string& link, uint32_t command, uint32_t data) {
  struct ethtool_value value = {command, data};
  struct ifreq request;
  memset(&request, 0, sizeof request);
  link.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_data = reinterpret_cast<char*>(&value);
  if (ioctl(fd, SIOCETHTOOL, &request) < 0) throw SysError(errno, "ioctl", link);
  return value.data;
}

}  // namespace

bool FindLinkFeature(const std::string& name, LinkFeature* found) {
  for (const auto& known : kFeatures) {
    if (name != known.name) continue;
    *found = known.feature;
    return true;
  }
  return false;
}

bool FitsLinkName(const std::string& name) {
  return !name.empty() && name.size() < IFNAMSIZ && name.find('\0') == std::string::npos;
}

Fd OpenLinkControl() {
  Fd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) throw SysError(errno, "socket");
  return fd;
}

bool ReadLinkFeature(int fd, const std::string& link, const LinkFeature& feature) {
  return Control(fd, link, feature.get, 0) != 0;
}

void WriteLinkFeature(int fd, const std::string& link, const LinkFeature& feature, bool on) {
  Control(fd, link, feature.set, on ? 1 : 0);
}

}  // namespace heddle
