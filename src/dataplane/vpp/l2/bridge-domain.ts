import type { Descriptor, Retrieved } from "../../../kvscheduler/api/descriptor.ts";
import { nameOfTag, TAG_PREFIX } from "../../../models/vpp/checks.ts";
import {
  BRIDGE_DOMAIN_PREFIX,
  type BridgeDomainValue,
  bridgeDomainKey,
  validateBridgeDomain,
} from "../../../models/vpp/l2.ts";
import { BdFlags } from "../binapi/index.ts";
import { ifThere, NO_INDEX, type VppTarget } from "../target.ts";

/** What can be changed in place by `bridge_flags`. */
const FLAGS = {
  flood: BdFlags.BRIDGE_API_FLAG_FLOOD,
  uuFlood: BdFlags.BRIDGE_API_FLAG_UU_FLOOD,
  forward: BdFlags.BRIDGE_API_FLAG_FWD,
  learn: BdFlags.BRIDGE_API_FLAG_LEARN,
  arpTerm: BdFlags.BRIDGE_API_FLAG_ARP_TERM,
} as const satisfies Partial<Record<keyof BridgeDomainValue, BdFlags>>;
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the keys of a constant
const FLAG_NAMES = Object.keys(FLAGS) as (keyof typeof FLAGS)[];

/** Bridge domains, known as ours by their tags. */
export function bridgeDomainDescriptor({ api }: VppTarget): Descriptor<BridgeDomainValue, undefined> {
  const change = async (before: BridgeDomainValue, value: BridgeDomainValue, signal: AbortSignal): Promise<void> => {
    for (const is_set of [true, false]) {
      const changed = FLAG_NAMES.filter((flag) => before[flag] !== value[flag] && value[flag] === is_set);
      if (changed.length === 0) continue;
      const flags = changed.reduce((bits, flag) => bits | FLAGS[flag], 0);
      await api.request("bridge_flags", { bd_id: value.id, is_set, flags }, { signal });
    }
    if (before.macAge === value.macAge) return;
    await api.requestAny("bridge_domain_set_mac_age", { bd_id: value.id, mac_age: value.macAge }, { signal });
  };
  return {
    name: "vpp-bridge-domain",
    keyPrefixes: [BRIDGE_DOMAIN_PREFIX],
    validate: (_key, value) => validateBridgeDomain(value),
    describe: (_key, value) => [value.name, ...FLAG_NAMES.filter((flag) => value[flag])].join(", "),
    async create(_key, value, { signal }) {
      const { id: bd_id, flood, forward, learn, uuFlood: uu_flood, arpTerm: arp_term, macAge: mac_age } = value;
      const flags = { flood, uu_flood, forward, learn, arp_term, arp_ufwd: false };
      const input = { is_add: true, bd_id, ...flags, mac_age, bd_tag: `${TAG_PREFIX}${value.name}` };
      await api.request("bridge_domain_add_del_v2", input, { signal });
      return undefined;
    },
    async update(_key, before, value, _metadata, { signal }) {
      await change(before, value, signal);
      return undefined;
    },
    // A tag is given once, at creation.
    updateNeedsRecreate: (_key, before, value) => before.name !== value.name,
    async delete(_key, { id: bd_id }, _metadata, { signal }) {
      const flags = { flood: false, uu_flood: false, forward: false, learn: false, arp_term: false, arp_ufwd: false };
      const input = { is_add: false, bd_id, ...flags, mac_age: 0 };
      await ifThere(() => api.request("bridge_domain_add_del_v2", input, { signal }));
    },
    async retrieve(_correlate, { signal }) {
      const found: Retrieved<BridgeDomainValue, undefined>[] = [];
      for (const details of await api.dump("bridge_domain_dump", { bd_id: NO_INDEX }, { signal })) {
        const name = nameOfTag(details.bd_tag);
        if (name === undefined) continue;
        const { bd_id: id, flood, forward, learn, uu_flood, arp_term, mac_age } = details;
        const flags = { flood, uuFlood: uu_flood, forward, learn, arpTerm: arp_term };
        const value: BridgeDomainValue = { id, name, ...flags, macAge: mac_age };
        found.push({ key: bridgeDomainKey(id), value, metadata: undefined });
      }
      return found;
    },
  };
}
