import type { Descriptor, Retrieved } from "../../../kvscheduler/api/descriptor.ts";
import { CNAT_FEATURE_PREFIX, type CnatFeatureValue, cnatFeatureKey } from "../../../models/vpp/cnat.ts";
import { VppApiError } from "../binapi/index.ts";
import { INTERFACES, ifThere, indexOf, onInterface, type VppTarget } from "../target.ts";

/** One of the eight nodes that VPP enables and disables together; cnat_types.c. */
const NODE = { arc_name: "ip4-unicast", feature_name: "cnat-lookup-ip4" };

/** CNAT on interfaces. VPP stacks its nodes once more when it is told twice, so they are read back before each call. */
export function cnatFeatureDescriptor(vpp: VppTarget): Descriptor<CnatFeatureValue, undefined> {
  const isEnabled = async (sw_if_index: number, signal: AbortSignal): Promise<boolean> =>
    (await vpp.api.request("feature_is_enabled", { ...NODE, sw_if_index }, { signal })).is_enabled;
  /** VPP says yes of a node that it doesn't have, too. This message is unknown then; that CNAT refuses it says nothing. */
  const requirePlugin = async (signal: AbortSignal): Promise<void> => {
    await vpp.api.request("cnat_get_snat_addresses", {}, { signal }).catch((e: unknown) => {
      if (!(e instanceof VppApiError)) throw e;
    });
  };
  const set = async (sw_if_index: number, enable: boolean, signal: AbortSignal): Promise<void> => {
    if ((await isEnabled(sw_if_index, signal)) === enable) {
      if (enable) await requirePlugin(signal);
      return;
    }
    await vpp.api.request("feature_cnat_enable_disable", { sw_if_index, enable_disable: enable }, { signal });
  };
  return {
    name: "vpp-cnat-feature",
    keyPrefixes: [CNAT_FEATURE_PREFIX],
    retrieveAfter: [INTERFACES],
    equivalent: (_key, a, b) => a.interface === b.interface,
    dependencies: (_key, value) => [
      onInterface(value.interface),
      ...(value.requires ?? []).map((key) => ({ label: key, key })),
    ],
    async create(_key, value, { signal }) {
      await set(indexOf(vpp, value.interface), true, signal);
      return undefined;
    },
    async delete(_key, value, _metadata, { signal }) {
      const index = vpp.indexOf(value.interface);
      if (index !== undefined) await ifThere(() => set(index, false, signal));
    },
    async retrieve(_correlate, ctx) {
      const { signal } = ctx;
      await requirePlugin(signal);
      const interfaces = await vpp.interfaces(ctx);
      const found = await Promise.all(
        interfaces.map(async ({ sw_if_index }): Promise<Retrieved<CnatFeatureValue, undefined>[]> => {
          const name = vpp.nameOf(sw_if_index);
          if (name === undefined || !(await isEnabled(sw_if_index, signal))) return [];
          return [{ key: cnatFeatureKey(name), value: { interface: name }, metadata: undefined }];
        }),
      );
      return found.flat();
    },
  };
}
