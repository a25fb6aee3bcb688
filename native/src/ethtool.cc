#include "ethtool.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <vector>

#include "errors.h"

namespace heddle {
namespace {

// What a device is left to do beyond segments of TCP and checksums of TCP and UDP; on in a veth as the kernel makes it.
constexpr const char* kBeyondTcp[] = {"tx-udp-segmentation",
                                      "tx-sctp-segmentation",
                                      "tx-checksum-sctp",
                                      "tx-gso-list",
                                      "tx-udp_tnl-segmentation",
                                      "tx-udp_tnl-csum-segmentation",
                                      "tx-gre-segmentation",
                                      "tx-gre-csum-segmentation",
                                      "tx-ipxip4-segmentation",
                                      "tx-ipxip6-segmentation",
                                      nullptr};

constexpr struct {
  const char* name;
  LinkFeature feature;
} kFeatures[] = {
    {"tso", {ETHTOOL_GTSO, ETHTOOL_STSO}},
    {"gso", {ETHTOOL_GGSO, ETHTOOL_SGSO}},
    {"gro", {ETHTOOL_GGRO, ETHTOOL_SGRO}},
    {"tx", {ETHTOOL_GTXCSUM, ETHTOOL_STXCSUM}},
    {"beyond-tcp", {0, 0, kBeyondTcp}},
};

void Request(int fd, const std::string& link, void* command) {
  struct ifreq request;
  memset(&request, 0, sizeof request);
  link.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_data = static_cast<char*>(command);
  if (ioctl(fd, SIOCETHTOOL, &request) < 0) throw SysError(errno, "ioctl", link);
}

uint32_t Control(int fd, const std::string& link, uint32_t command, uint32_t data) {
  struct ethtool_value value = {command, data};
  Request(fd, link, &value);
  return value.data;
}

// A command that is followed by an array, in memory that is aligned for both.
template <typename Head, typename Item>
class WithItems {
 public:
  explicit WithItems(size_t count) : memory_((sizeof(Head) + count * sizeof(Item) + 7) / 8) {}
  Head* head() { return reinterpret_cast<Head*>(memory_.data()); }
  Item* items() { return reinterpret_cast<Item*>(head() + 1); }

 private:
  std::vector<uint64_t> memory_;
};

// The numbers of these features in this kernel, of those that it has. `total`: how many it has in all.
std::vector<uint32_t> NumbersOf(int fd, const std::string& link, const char* const* names, uint32_t* total) {
  WithItems<struct ethtool_sset_info, uint32_t> count(1);
  count.head()->cmd = ETHTOOL_GSSET_INFO;
  count.head()->sset_mask = uint64_t{1} << ETH_SS_FEATURES;
  Request(fd, link, count.head());
  *total = count.head()->sset_mask == 0 ? 0 : count.items()[0];

  struct Name {
    char text[ETH_GSTRING_LEN];
  };
  WithItems<struct ethtool_gstrings, Name> known(*total);
  known.head()->cmd = ETHTOOL_GSTRINGS;
  known.head()->string_set = ETH_SS_FEATURES;
  known.head()->len = *total;
  Request(fd, link, known.head());
  std::vector<uint32_t> numbers;
  for (uint32_t i = 0; i < *total; i++) {
    for (const char* const* name = names; *name != nullptr; name++) {
      if (strncmp(known.items()[i].text, *name, ETH_GSTRING_LEN) == 0) numbers.push_back(i);
    }
  }
  return numbers;
}

constexpr uint32_t kBits = 32;  // in a block of features

bool IsAnyOn(int fd, const std::string& link, const char* const* names) {
  uint32_t total = 0;
  const std::vector<uint32_t> numbers = NumbersOf(fd, link, names, &total);
  const uint32_t blocks = (total + kBits - 1) / kBits;
  WithItems<struct ethtool_gfeatures, struct ethtool_get_features_block> now(blocks);
  now.head()->cmd = ETHTOOL_GFEATURES;
  now.head()->size = blocks;
  Request(fd, link, now.head());
  for (uint32_t n : numbers) {
    if ((now.items()[n / kBits].active >> (n % kBits) & 1) != 0) return true;
  }
  return false;
}

void SwitchAll(int fd, const std::string& link, const char* const* names, bool on) {
  uint32_t total = 0;
  const std::vector<uint32_t> numbers = NumbersOf(fd, link, names, &total);
  const uint32_t blocks = (total + kBits - 1) / kBits;
  WithItems<struct ethtool_sfeatures, struct ethtool_set_features_block> wanted(blocks);
  wanted.head()->cmd = ETHTOOL_SFEATURES;
  wanted.head()->size = blocks;
  for (uint32_t n : numbers) {
    wanted.items()[n / kBits].valid |= uint32_t{1} << (n % kBits);
    if (on) wanted.items()[n / kBits].requested |= uint32_t{1} << (n % kBits);
  }
  Request(fd, link, wanted.head());
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
  if (feature.names != nullptr) return IsAnyOn(fd, link, feature.names);
  return Control(fd, link, feature.get, 0) != 0;
}

void WriteLinkFeature(int fd, const std::string& link, const LinkFeature& feature, bool on) {
  if (feature.names != nullptr) return SwitchAll(fd, link, feature.names, on);
  Control(fd, link, feature.set, on ? 1 : 0);
}

}  // namespace heddle
