import type { Descriptor, Retrieved } from "../../../kvscheduler/api/descriptor.ts";
import {
  MACIP_INTERFACE_PREFIX,
  MACIP_PREFIX,
  type MacipAclValue,
  type MacipInterfaceValue,
  macipInterfaceKey,
  macipKey,
  validateMacip,
} from "../../../models/vpp/acl.ts";
import { nameOfTag, TAG_PREFIX } from "../../../models/vpp/checks.ts";
import { INTERFACES, ifThere, indexOf, NO_INDEX, onInterface, type VppTarget } from "../target.ts";
import { decodeMacip, encodeMacip } from "./codec.ts";
import { Numbers } from "./numbers.ts";

export interface MacipDescriptors {
  /** Metadata: VPP's number of the list. */
  readonly macip: Descriptor<MacipAclValue, number>;
  readonly macipInterface: Descriptor<MacipInterfaceValue, undefined>;
}

/** Lists of permitted pairs of MAC and IP addresses, and the interfaces that have one. */
export function macipDescriptors(vpp: VppTarget): MacipDescriptors {
  const numbers = new Numbers();
  return { macip: lists(vpp, numbers), macipInterface: bindings(vpp, numbers) };
}

function lists({ api }: VppTarget, numbers: Numbers): MacipDescriptors["macip"] {
  const set = async (acl_index: number, { name, rules }: MacipAclValue, signal: AbortSignal): Promise<number> => {
    const input = { acl_index, tag: `${TAG_PREFIX}${name}`, r: rules.map(encodeMacip) };
    const reply = await api.request("macip_acl_add_replace", input, { signal });
    numbers.set(name, reply.acl_index);
    return reply.acl_index;
  };
  return {
    name: "vpp-macip-acl",
    keyPrefixes: [MACIP_PREFIX],
    validate: (_key, value) => validateMacip(value),
    describe: (_key, { name, rules }) => `${name}: ${rules.length} rules`,
    create: (_key, value, { signal }) => set(NO_INDEX, value, signal),
    update: (_key, _before, value, number, { signal }) => set(number, value, signal),
    async delete(_key, { name }, acl_index, { signal }) {
      await ifThere(() => api.request("macip_acl_del", { acl_index }, { signal }));
      numbers.delete(name);
    },
    async retrieve(_correlate, { signal }) {
      numbers.clear();
      const found: Retrieved<MacipAclValue, number>[] = [];
      for (const { acl_index, tag, r } of await api.dump("macip_acl_dump", {}, { signal })) {
        const name = nameOfTag(tag);
        if (name === undefined) continue;
        numbers.set(name, acl_index);
        found.push({ key: macipKey(name), value: { name, rules: r.map(decodeMacip) }, metadata: acl_index });
      }
      return found;
    },
  };
}

function bindings(vpp: VppTarget, numbers: Numbers): MacipDescriptors["macipInterface"] {
  const bind = async (value: MacipInterfaceValue, signal: AbortSignal): Promise<undefined> => {
    const input = { sw_if_index: indexOf(vpp, value.interface), acl_index: numbers.of(value.acl) };
    await vpp.api.request("macip_acl_interface_add_del", { is_add: true, ...input }, { signal });
    return undefined;
  };
  return {
    name: "vpp-macip-acl-interface",
    keyPrefixes: [MACIP_INTERFACE_PREFIX],
    retrieveAfter: [INTERFACES, "vpp-macip-acl"],
    dependencies: (_key, value) => [onInterface(value.interface), { label: "acl", key: macipKey(value.acl) }],
    describe: (_key, value) => value.acl,
    create: (_key, value, { signal }) => bind(value, signal),
    // VPP takes the old list off by itself.
    update: (_key, _before, value, _metadata, { signal }) => bind(value, signal),
    async delete(_key, value, _metadata, { signal }) {
      const sw_if_index = vpp.indexOf(value.interface);
      if (sw_if_index === undefined) return;
      // VPP doesn't look at the list's number: an interface has one at most.
      const input = { is_add: false, sw_if_index, acl_index: 0 };
      await ifThere(() => vpp.api.request("macip_acl_interface_add_del", input, { signal }));
    },
    async retrieve(_correlate, { signal }) {
      const found: Retrieved<MacipInterfaceValue, undefined>[] = [];
      const input = { sw_if_index: NO_INDEX };
      for (const { sw_if_index, acls } of await vpp.api.dump("macip_acl_interface_list_dump", input, { signal })) {
        const name = vpp.nameOf(sw_if_index);
        const [number] = acls;
        if (name === undefined || number === undefined || number === NO_INDEX) continue;
        const value = { interface: name, acl: numbers.name(number) };
        found.push({ key: macipInterfaceKey(name), value, metadata: undefined });
      }
      return found;
    },
  };
}
