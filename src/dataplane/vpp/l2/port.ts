import type { Dependency, Descriptor, Retrieved } from "../../../kvscheduler/api/descriptor.ts";
import {
  BRIDGE_MEMBER_PREFIX,
  type BridgeMemberValue,
  type BridgePort,
  bridgeDomainKey,
  bridgeMemberKey,
  L2_CROSS_CONNECT_PREFIX,
  type L2CrossConnectValue,
  l2CrossConnectKey,
  validateBridgeMember,
  validateL2CrossConnect,
} from "../../../models/vpp/l2.ts";
import { L2PortType } from "../binapi/index.ts";
import { INTERFACES, ifThere, indexOf, NO_INDEX, onInterface, type VppTarget } from "../target.ts";

const PORTS: Readonly<Record<BridgePort, L2PortType>> = {
  normal: L2PortType.L2_API_PORT_TYPE_NORMAL,
  bvi: L2PortType.L2_API_PORT_TYPE_BVI,
  "uu-fwd": L2PortType.L2_API_PORT_TYPE_UU_FWD,
};

type L2PortValue = BridgeMemberValue | L2CrossConnectValue;

/**
 * Interfaces that VPP does not route on: members of bridge domains, and those that are connected to another one. Both are
 * one mode of an interface for VPP, which leaving either resets; as values of one descriptor, what an interface leaves
 * comes before what it joins.
 */
export function l2PortDescriptor(vpp: VppTarget): Descriptor<L2PortValue, undefined> {
  const { api } = vpp;
  const bridges = (bd_id: number, signal: AbortSignal) => api.dump("bridge_domain_dump", { bd_id }, { signal });
  const join = async (value: BridgeMemberValue, signal: AbortSignal): Promise<void> => {
    const rx_sw_if_index = indexOf(vpp, value.interface);
    const { bridge: bd_id, port, splitHorizon: shg } = value;
    if (port !== "normal") {
      // Of a second BVI VPP keeps half; another uu-fwd replaces the first, which is then in the domain for nothing.
      const [domain] = await bridges(bd_id, signal);
      const holder = (port === "bvi" ? domain?.bvi_sw_if_index : domain?.uu_fwd_sw_if_index) ?? NO_INDEX;
      if (holder !== NO_INDEX && holder !== rx_sw_if_index) {
        throw new Error(`bridge domain ${bd_id} has a ${port}: ${vpp.nameOf(holder) ?? `interface ${holder}`}`);
      }
    }
    const input = { rx_sw_if_index, bd_id, port_type: PORTS[port], shg, enable: true };
    await api.request("sw_interface_set_l2_bridge", input, { signal });
  };
  const set = async (value: L2PortValue, signal: AbortSignal): Promise<undefined> => {
    if (isMember(value)) await join(value, signal);
    else {
      const input = { rx_sw_if_index: indexOf(vpp, value.rx), tx_sw_if_index: indexOf(vpp, value.tx), enable: true };
      await api.request("sw_interface_set_l2_xconnect", input, { signal });
    }
    return undefined;
  };
  return {
    name: "vpp-l2-port",
    keyPrefixes: [BRIDGE_MEMBER_PREFIX, L2_CROSS_CONNECT_PREFIX],
    retrieveAfter: [INTERFACES],
    concurrency: 64,
    validate: (_key, value) => (isMember(value) ? validateBridgeMember(value) : validateL2CrossConnect(value)),
    dependencies: (_key, value) => dependencies(value),
    describe: (_key, value) => (isMember(value) ? `${value.port}, group ${value.splitHorizon}` : `to ${value.tx}`),
    create: (_key, value, { signal }) => set(value, signal),
    update: (_key, _before, value, _metadata, { signal }) => set(value, signal),
    // VPP forgets that an interface was a uu-fwd only when it leaves.
    updateNeedsRecreate: (_key, a, b) => isMember(a) && isMember(b) && a.port !== b.port,
    async delete(_key, value, _metadata, { signal }) {
      const rx_sw_if_index = vpp.indexOf(isMember(value) ? value.interface : value.rx);
      if (rx_sw_if_index === undefined) return;
      // "Not enabled" makes it an interface that routes, whatever it was.
      const off = { rx_sw_if_index, bd_id: 0, port_type: PORTS.normal, shg: 0, enable: false };
      await ifThere(() => api.request("sw_interface_set_l2_bridge", off, { signal }));
    },
    async retrieve(_correlate, { signal }) {
      const found: Retrieved<L2PortValue, undefined>[] = [];
      const foundMember = (bridge: number, index: number, port: BridgePort, splitHorizon: number): void => {
        const name = index === NO_INDEX ? undefined : vpp.nameOf(index);
        if (name === undefined) return;
        const value: BridgeMemberValue = { bridge, interface: name, port, splitHorizon };
        found.push({ key: bridgeMemberKey(value), value, metadata: undefined });
      };
      for (const domain of await bridges(NO_INDEX, signal)) {
        // One that is gone and whose place is free.
        if (domain.bd_id === NO_INDEX) continue;
        foundMember(domain.bd_id, domain.uu_fwd_sw_if_index, "uu-fwd", 0);
        for (const { sw_if_index, shg } of domain.sw_if_details) {
          foundMember(domain.bd_id, sw_if_index, sw_if_index === domain.bvi_sw_if_index ? "bvi" : "normal", shg);
        }
      }
      for (const { rx_sw_if_index, tx_sw_if_index } of await api.dump("l2_xconnect_dump", {}, { signal })) {
        const rx = vpp.nameOf(rx_sw_if_index);
        if (rx === undefined) continue;
        // What isn't ours has a name that nothing of ours has, so that it is seen to be wrong.
        const value: L2CrossConnectValue = { rx, tx: vpp.nameOf(tx_sw_if_index) ?? `#${tx_sw_if_index}` };
        found.push({ key: l2CrossConnectKey(rx), value, metadata: undefined });
      }
      return found;
    },
  };
}

const isMember = (value: L2PortValue): value is BridgeMemberValue => "bridge" in value;

function dependencies(value: L2PortValue): readonly Dependency[] {
  if (!isMember(value)) return [onInterface(value.rx), { ...onInterface(value.tx), label: "other interface" }];
  return [onInterface(value.interface), { label: "bridge domain", key: bridgeDomainKey(value.bridge) }];
}
