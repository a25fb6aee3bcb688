import type { Descriptor, Retrieved } from "../../../kvscheduler/api/descriptor.ts";
import {
  checkInterfaceName,
  INTERFACE_UP_PREFIX,
  type InterfaceUpValue,
  interfaceUpKey,
} from "../../../models/vpp/interface.ts";
import { IfStatusFlags } from "../binapi/index.ts";
import { INTERFACES, ifThere, indexOf, onInterface, type VppTarget } from "../target.ts";

/** Brings interfaces up when all they need is in place, and down before any of it goes. */
export function interfaceUpDescriptor(vpp: VppTarget): Descriptor<InterfaceUpValue, undefined> {
  const { api } = vpp;
  return {
    name: "vpp-interface-up",
    keyPrefixes: [INTERFACE_UP_PREFIX],
    retrieveAfter: [INTERFACES],
    concurrency: 64,
    validate: (_key, value) => checkInterfaceName(value.interface),
    // VPP knows that it is up, not what for.
    equivalent: (_key, a, b) => a.interface === b.interface,
    dependencies: (_key, value) => [
      onInterface(value.interface),
      ...[...new Set(value.requires)].map((key) => ({ label: key, key })),
    ],
    describe: (_key, value) => `of ${value.interface}`,
    async create(_key, value, { signal }) {
      const input = { sw_if_index: indexOf(vpp, value.interface), flags: IfStatusFlags.IF_STATUS_API_FLAG_ADMIN_UP };
      await api.request("sw_interface_set_flags", input, { signal });
      return undefined;
    },
    async delete(_key, value, _metadata, { signal }) {
      const sw_if_index = vpp.indexOf(value.interface);
      if (sw_if_index === undefined) return;
      await ifThere(() => api.request("sw_interface_set_flags", { sw_if_index, flags: 0 }, { signal }));
    },
    async retrieve(correlate, ctx) {
      const known = new Map(correlate.map(({ key, value }) => [key, value]));
      const found: Retrieved<InterfaceUpValue, undefined>[] = [];
      for (const { sw_if_index, flags } of await vpp.interfaces(ctx)) {
        const name = vpp.nameOf(sw_if_index);
        if (name === undefined || (flags & IfStatusFlags.IF_STATUS_API_FLAG_ADMIN_UP) === 0) continue;
        const key = interfaceUpKey(name);
        found.push({ key, value: known.get(key) ?? { interface: name, requires: [] }, metadata: undefined });
      }
      return found;
    },
  };
}
