import type { Descriptor } from "../../../kvscheduler/api/descriptor.ts";
import {
  INTERFACE_VRF_PREFIX,
  type InterfaceVrfValue,
  interfaceVrfKey,
  validateInterfaceVrf,
  vrfKey,
} from "../../../models/vpp/l3.ts";
import type { Element } from "../binapi/index.ts";
import { FoundOnInterfaces } from "../found.ts";
import { INTERFACES, ifThere, indexOf, OWN_TABLE, onInterface, type VppTarget } from "../target.ts";

/** Interfaces in tables of their own. */
export function interfaceVrfDescriptor(vpp: VppTarget): Descriptor<InterfaceVrfValue, undefined> {
  const { api } = vpp;
  const set = async (sw_if_index: number, family: 4 | 6, vrf_id: number, signal: AbortSignal): Promise<undefined> => {
    await api.request("sw_interface_set_table", { sw_if_index, is_ipv6: family === 6, vrf_id }, { signal });
    return undefined;
  };
  const ofFamily = () =>
    new FoundOnInterfaces<Element<"sw_interface_dump">, InterfaceVrfValue>(vpp, (element) => element);
  const found = { 4: ofFamily(), 6: ofFamily() };
  return {
    name: "vpp-interface-vrf",
    keyPrefixes: [INTERFACE_VRF_PREFIX],
    retrieveAfter: [INTERFACES],
    concurrency: 64,
    validate: (_key, value) => validateInterfaceVrf(value),
    dependencies: (_key, value) => [
      onInterface(value.interface),
      { label: "table", key: vrfKey({ family: value.family, id: value.vrf }) },
    ],
    describe: (_key, value) => `in table ${value.vrf}`,
    // Made anew when the table is another one, so that the addresses that wait for it are taken off before.
    create: (_key, value, { signal }) => set(indexOf(vpp, value.interface), value.family, value.vrf, signal),
    async delete(_key, value, _metadata, { signal }) {
      const index = vpp.indexOf(value.interface);
      if (index !== undefined) await ifThere(() => set(index, value.family, OWN_TABLE, signal));
    },
    async retrieve(_correlate, ctx) {
      const [interfaces, tables] = [await vpp.interfaces(ctx), await vpp.tables(ctx)];
      return ([4, 6] as const).flatMap((family) =>
        found[family].of(interfaces, ({ sw_if_index }, name, former) => {
          const vrf = tables(sw_if_index, family);
          if (vrf === OWN_TABLE) return undefined;
          if (former?.value.vrf === vrf) return former;
          const value = { interface: name, family, vrf };
          return { key: interfaceVrfKey(value), value, metadata: undefined };
        }),
      );
    },
  };
}
