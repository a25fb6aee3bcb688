import type { Descriptor } from "../../../kvscheduler/api/descriptor.ts";
import {
  checkInterfaceName,
  INTERFACE_UP_PREFIX,
  type InterfaceUpValue,
  interfaceUpKey,
} from "../../../models/vpp/interface.ts";
import { type Element, IfStatusFlags } from "../binapi/index.ts";
import { FoundOnInterfaces } from "../found.ts";
import { INTERFACES, ifThere, indexOf, onInterface, type VppTarget } from "../target.ts";

/** Brings interfaces up when all they need is in place, and down before any of it goes. */
export function interfaceUpDescriptor(vpp: VppTarget): Descriptor<InterfaceUpValue, undefined> {
  const { api } = vpp;
  const found = new FoundOnInterfaces<Element<"sw_interface_dump">, InterfaceUpValue>(vpp, (element) => element);
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
      const known = new Map(Array.from(correlate, ({ key, value }) => [key, value]));
      return found.of(await vpp.interfaces(ctx), ({ flags }, name, former) => {
        if ((flags & IfStatusFlags.IF_STATUS_API_FLAG_ADMIN_UP) === 0) return undefined;
        const key = former?.key ?? interfaceUpKey(name);
        const value = known.get(key);
        if (former && value === former.value) return former;
        return { key, value: value ?? { interface: name, requires: [] }, metadata: undefined };
      });
    },
  };
}
