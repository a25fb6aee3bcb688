import type { Dependency, Descriptor, Retrieved } from "../../../kvscheduler/api/descriptor.ts";
import {
  bridgeDomainKey,
  bridgeMemberKey,
  L2_FIB_PREFIX,
  type L2FibValue,
  l2FibKey,
  validateL2Fib,
} from "../../../models/vpp/l2.ts";
import type { Element } from "../binapi/index.ts";
import { INTERFACES, ifThere, indexOf, NO_INDEX, type VppTarget } from "../target.ts";

/** To be removed whatever interface it leads to: l2fib_del_entry. */
const ANY_INTERFACE = 0;

/** MAC addresses that bridge domains were told; neither what they learn nor what VPP adds for their BVIs. */
export function l2FibDescriptor(vpp: VppTarget): Descriptor<L2FibValue, undefined> {
  const { api } = vpp;
  const add = async (value: L2FibValue, signal: AbortSignal): Promise<undefined> => {
    const filter_mac = value.kind === "filter";
    const sw_if_index = value.kind === "filter" ? NO_INDEX : indexOf(vpp, value.interface);
    const flags = { static_mac: true, filter_mac, bvi_mac: false };
    const input = { is_add: true, mac: value.mac, bd_id: value.bridge, sw_if_index, ...flags };
    await api.request("l2fib_add_del", input, { signal });
    return undefined;
  };
  return {
    name: "vpp-l2-fib",
    keyPrefixes: [L2_FIB_PREFIX],
    retrieveAfter: [INTERFACES],
    concurrency: 64,
    validate: (_key, value) => validateL2Fib(value),
    dependencies: (_key, value) => dependencies(value),
    describe: (_key, value) => (value.kind === "static" ? value.interface : "dropped"),
    create: (_key, value, { signal }) => add(value, signal),
    update: (_key, _before, value, _metadata, { signal }) => add(value, signal),
    async delete(_key, { mac, bridge: bd_id }, _metadata, { signal }) {
      const flags = { static_mac: false, filter_mac: false, bvi_mac: false };
      const input = { is_add: false, mac, bd_id, sw_if_index: ANY_INTERFACE, ...flags };
      await ifThere(() => api.request("l2fib_add_del", input, { signal }));
    },
    async retrieve(_correlate, { signal }) {
      const found: Retrieved<L2FibValue, undefined>[] = [];
      // Learnt entries are most of them: they are not kept.
      await api.dumpEach(
        "l2_fib_table_dump",
        { bd_id: NO_INDEX },
        (entry) => {
          const value = decode(vpp, entry);
          if (value !== undefined) found.push({ key: l2FibKey(value), value, metadata: undefined });
        },
        { signal },
      );
      return found;
    },
  };
}

function decode(vpp: VppTarget, entry: Element<"l2_fib_table_dump">): L2FibValue | undefined {
  // A domain that is gone has no number; VPP's entries for BVIs are static as well.
  if (!entry.static_mac || entry.bvi_mac || entry.bd_id === NO_INDEX) return undefined;
  const { bd_id: bridge, mac } = entry;
  if (entry.filter_mac) return { bridge, mac, kind: "filter" };
  const name = vpp.nameOf(entry.sw_if_index);
  return name === undefined ? undefined : { bridge, mac, kind: "static", interface: name };
}

/** VPP keeps static entries when a domain or a member goes, and hands them on to the next one with its number. */
function dependencies(value: L2FibValue): readonly Dependency[] {
  const { bridge } = value;
  if (value.kind === "filter") return [{ label: "bridge domain", key: bridgeDomainKey(bridge) }];
  return [{ label: "member", key: bridgeMemberKey({ bridge, interface: value.interface }) }];
}
