import type { Descriptor, Retrieved } from "../../../kvscheduler/api/descriptor.ts";
import { STN_PREFIX, type StnRuleValue, stnRuleKey, validateStnRule } from "../../../models/vpp/stn.ts";
import { INTERFACES, ifThere, indexOf, NO_INDEX, onInterface, type VppTarget } from "../target.ts";

/**
 * Addresses whose unwanted packets go to the host. VPP enables IPv4 and IPv6 on the interface of a rule, and leaves them
 * so when the rule goes.
 */
export function stnRuleDescriptor(vpp: VppTarget): Descriptor<StnRuleValue, undefined> {
  const { api } = vpp;
  const request = async (is_add: boolean, sw_if_index: number, ip_address: string, signal: AbortSignal) => {
    await api.request("stn_add_del_rule", { is_add, sw_if_index, ip_address }, { signal });
    return undefined;
  };
  return {
    name: "vpp-stn",
    keyPrefixes: [STN_PREFIX],
    retrieveAfter: [INTERFACES],
    validate: (_key, value) => validateStnRule(value),
    dependencies: (_key, value) => [onInterface(value.interface)],
    describe: (_key, value) => `by ${value.interface}`,
    create: (_key, value, { signal }) => request(true, indexOf(vpp, value.interface), value.address, signal),
    // The rule of an address is replaced.
    update: (_key, _before, value, _metadata, { signal }) =>
      request(true, indexOf(vpp, value.interface), value.address, signal),
    async delete(_key, { address }, _metadata, { signal }) {
      // VPP looks at the address alone.
      await ifThere(() => request(false, NO_INDEX, address, signal));
    },
    async retrieve(_correlate, { signal }) {
      const rules = await api.dump("stn_rules_dump", {}, { signal });
      return rules.flatMap(({ ip_address, sw_if_index }): Retrieved<StnRuleValue, undefined>[] => {
        const name = vpp.nameOf(sw_if_index);
        if (name === undefined) return [];
        const value = { address: ip_address, interface: name };
        return [{ key: stnRuleKey(value), value, metadata: undefined }];
      });
    },
  };
}
