import type { Descriptor, Retrieved } from "../../../kvscheduler/api/descriptor.ts";
import {
  INTERFACE_VRF_PREFIX,
  type InterfaceVrfValue,
  interfaceVrfKey,
  validateInterfaceVrf,
  vrfKey,
} from "../../../models/vpp/l3.ts";
import { INTERFACES, ifThere, indexOf, onInterface, type VppTarget } from "../target.ts";

/** VPP's own table: where an interface is that was not put into another one. */
export const OWN_TABLE = 0;

/** Interfaces in tables of their own. */
export function interfaceVrfDescriptor(vpp: VppTarget): Descriptor<InterfaceVrfValue, undefined> {
  const { api } = vpp;
  const set = async (sw_if_index: number, family: 4 | 6, vrf_id: number, signal: AbortSignal): Promise<undefined> => {
    await api.request("sw_interface_set_table", { sw_if_index, is_ipv6: family === 6, vrf_id }, { signal });
    return undefined;
  };
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
      // There is no dump; the requests of all interfaces go out together.
      const interfaces = await vpp.interfaces(ctx);
      const asked = interfaces.flatMap(({ sw_if_index }) => {
        const name = vpp.nameOf(sw_if_index);
        return name === undefined ? [] : ([4, 6] as const).map((family) => ({ name, sw_if_index, family }));
      });
      const found = await Promise.all(
        asked.map(async ({ name, sw_if_index, family }): Promise<Retrieved<InterfaceVrfValue, undefined>[]> => {
          const vrf = await vpp.tableOf(ctx, sw_if_index, family);
          if (vrf === OWN_TABLE) return [];
          const value = { interface: name, family, vrf };
          return [{ key: interfaceVrfKey(value), value, metadata: undefined }];
        }),
      );
      return found.flat();
    },
  };
}
