import type { Descriptor, Retrieved } from "../../../kvscheduler/api/descriptor.ts";
import { CNAT_FEATURE_PREFIX, type CnatFeatureValue, cnatFeatureKey } from "../../../models/vpp/cnat.ts";
import { VppApiError } from "../binapi/index.ts";
import { INTERFACES, ifThere, indexOf, onInterface, type VppTarget } from "../target.ts";

/** One of the eight nodes that VPP enables and disables together; cnat_types.c. */
const NODE = { arc_name: "ip4-unicast", feature_name: "cnat-lookup-ip4" };
/** Two of them. */
const WRITEBACK = ([4, 6] as const).map((f) => ({ arc_name: `ip${f}-output`, feature_name: `cnat-writeback-ip${f}` }));
type Node = typeof NODE;

/** CNAT on interfaces. VPP stacks its nodes once more when it is told twice, so they are read back before each call. */
export function cnatFeatureDescriptor(vpp: VppTarget): Descriptor<CnatFeatureValue, undefined> {
  const isEnabled = async (sw_if_index: number, signal: AbortSignal, node: Node = NODE): Promise<boolean> =>
    (await vpp.api.request("feature_is_enabled", { ...node, sw_if_index }, { signal })).is_enabled;
  const setWriteback = async (sw_if_index: number, enable: boolean, signal: AbortSignal): Promise<undefined> => {
    await Promise.all(
      WRITEBACK.map(async (node) => {
        if ((await isEnabled(sw_if_index, signal, node)) === enable) return;
        await vpp.api.request("feature_enable_disable", { ...node, sw_if_index, enable }, { signal });
      }),
    );
    return undefined;
  };
  /** VPP says yes of a node that it doesn't have, too. This message is unknown then; that CNAT refuses it says nothing. */
  const requirePlugin = async (signal: AbortSignal): Promise<void> => {
    await vpp.api.request("cnat_get_snat_addresses", {}, { signal }).catch((e: unknown) => {
      if (!(e instanceof VppApiError)) throw e;
    });
  };
  const toggle = (sw_if_index: number, enable: boolean, signal: AbortSignal) =>
    vpp.api.request("feature_cnat_enable_disable", { sw_if_index, enable_disable: enable }, { signal });
  return {
    name: "vpp-cnat-feature",
    keyPrefixes: [CNAT_FEATURE_PREFIX],
    retrieveAfter: [INTERFACES],
    equivalent: (_key, a, b) => a.interface === b.interface && a.writeback === b.writeback,
    dependencies: (_key, value) => [
      onInterface(value.interface),
      ...(value.requires ?? []).map((key) => ({ label: key, key })),
    ],
    async create(_key, value, { signal }) {
      const index = indexOf(vpp, value.interface);
      const isThere = await isEnabled(index, signal);
      // VPP does what it is asked in the order of the questions.
      await Promise.all([
        isThere ? requirePlugin(signal) : toggle(index, true, signal),
        setWriteback(index, value.writeback ?? true, signal),
      ]);
      return undefined;
    },
    update: (_key, _before, value, _metadata, { signal }) =>
      setWriteback(indexOf(vpp, value.interface), value.writeback ?? true, signal),
    async delete(_key, value, _metadata, { signal }) {
      const index = vpp.indexOf(value.interface);
      if (index === undefined) return;
      await ifThere(async () => {
        // All of them go together, so all have to be there.
        if (!(await isEnabled(index, signal))) return;
        await setWriteback(index, true, signal);
        await toggle(index, false, signal);
      });
    },
    async retrieve(_correlate, ctx) {
      const { signal } = ctx;
      await requirePlugin(signal);
      const interfaces = await vpp.interfaces(ctx);
      const found = await Promise.all(
        interfaces.map(async ({ sw_if_index }): Promise<Retrieved<CnatFeatureValue, undefined>[]> => {
          const name = vpp.nameOf(sw_if_index);
          if (name === undefined || !(await isEnabled(sw_if_index, signal))) return [];
          // Those of both families are set together.
          const writeback = await isEnabled(sw_if_index, signal, WRITEBACK[0]);
          const value: CnatFeatureValue = { interface: name, ...(writeback ? {} : { writeback: false }) };
          return [{ key: cnatFeatureKey(name), value, metadata: undefined }];
        }),
      );
      return found.flat();
    },
  };
}
