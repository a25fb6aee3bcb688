// Tap devices, which rtnetlink shows and removes but does not make.
#pragma once

#include <string>

namespace heddle {

// Makes a tap device in the namespace of the calling thread that stays when nobody has it open. Whoever opens it later must
// want several queues and headers of virtio, as this has (TUNSETIFF: IFF_MULTI_QUEUE, IFF_VNET_HDR), and gets it with the
// carrier off until then. Throws SysError: EEXIST where there is a link of that name, ENOENT without /dev/net/tun.
void CreateTap(const std::string& name);

}  // namespace heddle
