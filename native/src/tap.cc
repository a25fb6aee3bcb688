#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>

#include "errors.h"
#include "fd.h"

namespace heddle {
namespace {

constexpr char kTun[] = "/dev/net/tun";

}  // namespace

void CreateTap(const std::string& name) {
  Fd fd(open(kTun, O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!fd) throw SysError(errno, "open", kTun);
  struct ifreq request;
  memset(&request, 0, sizeof request);
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_flags = static_cast<short>(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE | IFF_TUN_EXCL);
  if (ioctl(fd.get(), TUNSETIFF, &request) < 0) {
    // tun_set_iff() says so of a name that is taken, by whatever.
    throw SysError(errno == EBUSY ? EEXIST : errno, "ioctl", name);
  }
  if (ioctl(fd.get(), TUNSETPERSIST, 1UL) < 0) throw SysError(errno, "ioctl", name);
}

}  // namespace heddle
