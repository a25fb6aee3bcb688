import type { Descriptor, Retrieved } from "../../../kvscheduler/api/descriptor.ts";
import {
  BOND_MEMBER_PREFIX,
  type BondMemberValue,
  bondMemberKey,
  validateBondMember,
} from "../../../models/vpp/bond.ts";
import { INTERFACES, ifThere, indexOf, NO_INDEX, onInterface, type VppTarget } from "../target.ts";

/** Members of bonds. */
export function bondMemberDescriptor(vpp: VppTarget): Descriptor<BondMemberValue, undefined> {
  const { api } = vpp;
  const setWeight = async (sw_if_index: number, weight: number, signal: AbortSignal) => {
    await api.request("sw_interface_set_bond_weight", { sw_if_index, weight }, { signal });
  };
  return {
    name: "vpp-bond-member",
    keyPrefixes: [BOND_MEMBER_PREFIX],
    retrieveAfter: [INTERFACES],
    validate: (_key, value) => validateBondMember(value),
    dependencies: (_key, value) => [onInterface(value.interface), { ...onInterface(value.bond), label: "bond" }],
    describe: (_key, { bond, weight }) => `of ${bond}, weight ${weight}`,
    async create(_key, value, { signal }) {
      const sw_if_index = indexOf(vpp, value.interface);
      const input = {
        sw_if_index,
        bond_sw_if_index: indexOf(vpp, value.bond),
        is_passive: value.passive,
        is_long_timeout: value.longTimeout,
      };
      await api.request("bond_add_member", input, { signal });
      if (value.weight !== 0) await setWeight(sw_if_index, value.weight, signal);
      return undefined;
    },
    async update(_key, _before, value, _metadata, { signal }) {
      await setWeight(indexOf(vpp, value.interface), value.weight, signal);
      return undefined;
    },
    updateNeedsRecreate: (_key, a, b) =>
      a.bond !== b.bond || a.passive !== b.passive || a.longTimeout !== b.longTimeout,
    async delete(_key, value, _metadata, { signal }) {
      const sw_if_index = vpp.indexOf(value.interface);
      if (sw_if_index !== undefined) {
        await ifThere(() => api.request("bond_detach_member", { sw_if_index }, { signal }));
      }
    },
    async retrieve(_correlate, { signal }) {
      const bonds = await api.dump("sw_bond_interface_dump", { sw_if_index: NO_INDEX }, { signal });
      const found = await Promise.all(
        bonds.map(async ({ sw_if_index }): Promise<Retrieved<BondMemberValue, undefined>[]> => {
          const bond = vpp.nameOf(sw_if_index);
          if (bond === undefined) return [];
          const members = await api.dump("sw_member_interface_dump", { sw_if_index }, { signal });
          return members.flatMap((member) => {
            const name = vpp.nameOf(member.sw_if_index);
            if (name === undefined) return [];
            const { is_passive: passive, is_long_timeout: longTimeout, weight } = member;
            const value = { interface: name, bond, passive, longTimeout, weight };
            return [{ key: bondMemberKey(name), value, metadata: undefined }];
          });
        }),
      );
      return found.flat();
    },
  };
}
