import { linkKey } from "../../../models/linux.ts";
import type { AfPacketValue, InterfaceValue } from "../../../models/vpp/interface.ts";
import type { AfXdpValue, PhysicalValue } from "../../../models/vpp/interface-kinds.ts";
import type { TakenUplink } from "../api.ts";
import { DPDK_DEVICE } from "./device.ts";

/** An uplink in VPP, by whichever driver it is had. */
export function uplinkValue({ link, mac, mtu, by }: TakenUplink, name: string): InterfaceValue {
  switch (by?.kind) {
    case "dpdk":
      return { kind: "physical", name, device: DPDK_DEVICE, mtu } satisfies PhysicalValue;
    case "af-xdp": {
      const { mode, queues: rxQueues, program } = by;
      const more = program === undefined ? {} : { program };
      const requires = [linkKey(link)];
      return { kind: "af-xdp", name, device: link, mac, mtu, rxQueues, mode, ...more, requires } satisfies AfXdpValue;
    }
    case "af-packet":
    case undefined:
      return {
        kind: "af-packet",
        name,
        device: link,
        mac,
        mtu,
        queues: 1,
        // VPP itself completes what leaves the node: what it tells the kernel of an IPv4 checksum left to do may be wrong
        // (ip4_pseudo_header_cksum, where the compiler makes use of strict aliasing).
        offload: false,
        qdisc: false,
        requires: [linkKey(link)],
      } satisfies AfPacketValue;
  }
}
