import type { Descriptor } from "../../../kvscheduler/api/descriptor.ts";
import { PUNT_UNKNOWN_UDP_PREFIX, type PuntUnknownUdpValue, puntUnknownUdpKey } from "../../../models/vpp/punt.ts";
import { AddressFamily, IpProto, PuntType } from "../binapi/index.ts";
import type { VppTarget } from "../target.ts";
import { parseUdpPunt } from "./parse.ts";

/** Stands for "whatever nobody listens at": punt_l4_add_del. */
const ALL_PORTS = 0xffff;

/** UDP to ports that nobody listens at is punted. VPP has one switch per family; its API only sets it, its CLI shows it. */
export function puntUnknownUdpDescriptor({ api }: VppTarget): Descriptor<PuntUnknownUdpValue, undefined> {
  const set = async (is_add: boolean, { family }: PuntUnknownUdpValue, signal: AbortSignal): Promise<undefined> => {
    const af = family === 4 ? AddressFamily.ADDRESS_IP4 : AddressFamily.ADDRESS_IP6;
    const l4 = { af, protocol: IpProto.IP_API_PROTO_UDP, port: ALL_PORTS };
    await api.request("set_punt", { is_add, punt: { type: PuntType.PUNT_API_TYPE_L4, punt: { l4 } } }, { signal });
    return undefined;
  };
  return {
    name: "vpp-punt-unknown-udp",
    keyPrefixes: [PUNT_UNKNOWN_UDP_PREFIX],
    create: (_key, value, { signal }) => set(true, value, signal),
    async delete(_key, value, _metadata, { signal }) {
      await set(false, value, signal);
    },
    async retrieve(_correlate, { signal }) {
      return parseUdpPunt(await api.cli("show udp punt", { signal })).map((family) => ({
        key: puntUnknownUdpKey(family),
        value: { family },
        metadata: undefined,
      }));
    },
  };
}
