import type { Dependency, Descriptor, Retrieved } from "../../../kvscheduler/api/descriptor.ts";
import { checkIp } from "../../../models/vpp/checks.ts";
import {
  NAT44_ADDRESS_PREFIX,
  NAT44_INTERFACE_PREFIX,
  NAT44_KEY,
  type Nat44AddressValue,
  type Nat44InterfaceValue,
  type Nat44Value,
  nat44AddressKey,
  nat44InterfaceKey,
  validateNat44,
} from "../../../models/vpp/nat.ts";
import { NatConfigFlags } from "../binapi/index.ts";
import { INTERFACES, ifThere, indexOf, NO_INDEX, onInterface, type VppTarget } from "../target.ts";

/** VPP removes everything of NAT44 when it is disabled. */
export const onNat44: Dependency = { label: "nat44", key: NAT44_KEY, carries: true };

/** NAT44-ed itself. */
export function nat44Descriptor({ api }: VppTarget): Descriptor<Nat44Value, undefined> {
  const plugin = (enable: boolean, sessions: number, signal: AbortSignal) =>
    api.request(
      "nat44_ed_plugin_enable_disable",
      { inside_vrf: 0, outside_vrf: 0, sessions, session_memory: 0, enable },
      { signal },
    );
  const set = async ({ forwarding, timeouts }: Nat44Value, signal: AbortSignal): Promise<undefined> => {
    const { udp, tcpEstablished, tcpTransitory, icmp } = timeouts;
    const input = { udp, tcp_established: tcpEstablished, tcp_transitory: tcpTransitory, icmp };
    await api.request("nat44_forwarding_enable_disable", { enable: forwarding }, { signal });
    await api.request("nat_set_timeouts", input, { signal });
    return undefined;
  };
  return {
    name: "vpp-nat44",
    keyPrefixes: [NAT44_KEY],
    validate: (_key, value) => validateNat44(value),
    async create(_key, value, { signal }) {
      await plugin(true, value.sessions, signal);
      return set(value, signal);
    },
    update: (_key, _before, value, _metadata, { signal }) => set(value, signal),
    updateNeedsRecreate: (_key, a, b) => a.sessions !== b.sessions,
    async delete(_key, _value, _metadata, { signal }) {
      await plugin(false, 0, signal);
    },
    async retrieve(_correlate, { signal }) {
      const config = await api.request("nat44_show_running_config", {}, { signal });
      if (config.sessions === 0) return []; // disabled
      const { udp, tcp_established, tcp_transitory, icmp } = config.timeouts;
      const value: Nat44Value = {
        sessions: config.sessions,
        forwarding: config.forwarding_enabled,
        timeouts: { udp, tcpEstablished: tcp_established, tcpTransitory: tcp_transitory, icmp },
      };
      return [{ key: NAT44_KEY, value, metadata: undefined }];
    },
  };
}

/** Where NAT44 looks at packets. */
export function nat44InterfaceDescriptor(vpp: VppTarget): Descriptor<Nat44InterfaceValue, undefined> {
  const set = async (is_add: boolean, sw_if_index: number, side: Nat44InterfaceValue["side"], signal: AbortSignal) => {
    if (side === "output") {
      await vpp.api.request("nat44_ed_add_del_output_interface", { is_add, sw_if_index }, { signal });
      return;
    }
    for (const [name, flags] of SIDES) {
      if (side !== "both" && side !== name) continue;
      await vpp.api.request("nat44_interface_add_del_feature", { is_add, sw_if_index, flags }, { signal });
    }
  };
  return {
    name: "vpp-nat44-interface",
    keyPrefixes: [NAT44_INTERFACE_PREFIX],
    retrieveAfter: [INTERFACES],
    dependencies: (_key, value) => [onInterface(value.interface), onNat44],
    describe: (_key, value) => value.side,
    async create(_key, value, { signal }) {
      await set(true, indexOf(vpp, value.interface), value.side, signal);
      return undefined;
    },
    async delete(_key, value, _metadata, { signal }) {
      const index = vpp.indexOf(value.interface);
      if (index !== undefined) await ifThere(() => set(false, index, value.side, signal));
    },
    async retrieve(_correlate, { signal }) {
      const [features, outputs] = await Promise.all([
        vpp.api.dump("nat44_interface_dump", {}, { signal }),
        vpp.api.dump("nat44_ed_output_interface_get", {}, { signal }),
      ]);
      const found = [
        ...features.map(({ sw_if_index, flags }) => [sw_if_index, sideOf(flags)] as const),
        ...outputs.map(({ sw_if_index }) => [sw_if_index, "output"] as const),
      ];
      return found.flatMap(([index, side]): Retrieved<Nat44InterfaceValue, undefined>[] => {
        const name = vpp.nameOf(index);
        if (name === undefined) return [];
        return [{ key: nat44InterfaceKey(name), value: { interface: name, side }, metadata: undefined }];
      });
    },
  };
}

const { NAT_IS_INSIDE, NAT_IS_OUTSIDE, NAT_IS_TWICE_NAT } = NatConfigFlags;
const SIDES = [
  ["inside", NAT_IS_INSIDE],
  ["outside", NAT_IS_OUTSIDE],
] as const;

function sideOf(flags: number): Nat44InterfaceValue["side"] {
  const inside = (flags & NAT_IS_INSIDE) !== 0;
  if (inside && (flags & NAT_IS_OUTSIDE) !== 0) return "both";
  return inside ? "inside" : "outside";
}

/** The pools: addresses that sources (and with twice-NAT clients) are translated to. */
export function nat44AddressDescriptor({ api }: VppTarget): Descriptor<Nat44AddressValue, undefined> {
  const set = (is_add: boolean, { address, twice }: Nat44AddressValue, signal: AbortSignal) =>
    api.request(
      "nat44_add_del_address_range",
      {
        is_add,
        first_ip_address: address,
        last_ip_address: address,
        vrf_id: NO_INDEX,
        flags: twice ? NAT_IS_TWICE_NAT : 0,
      },
      { signal },
    );
  return {
    name: "vpp-nat44-address",
    keyPrefixes: [NAT44_ADDRESS_PREFIX],
    validate: (_key, value) => void checkIp(value.address, "address", 4),
    dependencies: () => [onNat44],
    async create(_key, value, { signal }) {
      await set(true, value, signal);
      return undefined;
    },
    async delete(_key, value, _metadata, { signal }) {
      await ifThere(() => set(false, value, signal));
    },
    async retrieve(_correlate, { signal }) {
      const addresses = await api.dump("nat44_address_dump", {}, { signal });
      return addresses.map(({ ip_address, flags }) => {
        const value = { address: ip_address, twice: (flags & NAT_IS_TWICE_NAT) !== 0 };
        return { key: nat44AddressKey(value), value, metadata: undefined };
      });
    },
  };
}
