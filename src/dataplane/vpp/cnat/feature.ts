import type { Descriptor } from "../../../kvscheduler/api/descriptor.ts";
import { CNAT_FEATURE_PREFIX, type CnatFeatureValue, cnatFeatureKey } from "../../../models/vpp/cnat.ts";
import { type Element, VppApiError } from "../binapi/index.ts";
import { allWith, isEnabledOn } from "../feature-arc.ts";
import { FoundOnInterfaces } from "../found.ts";
import { INTERFACES, ifThere, indexOf, onInterface, type VppTarget } from "../target.ts";

/** One of the eight nodes that VPP enables and disables together; cnat_types.c. */
const NODE = { arc_name: "ip4-unicast", feature_name: "cnat-lookup-ip4" } as const;
/** Two of them. */
const WRITEBACK = [
  { arc_name: "ip4-output", feature_name: "cnat-writeback-ip4" },
  { arc_name: "ip6-output", feature_name: "cnat-writeback-ip6" },
] as const;

/** CNAT on interfaces. VPP stacks its nodes once more when it is told twice, so they are read back before each call. */
export function cnatFeatureDescriptor(vpp: VppTarget): Descriptor<CnatFeatureValue, undefined> {
  const setWriteback = async (sw_if_index: number, enable: boolean, signal: AbortSignal): Promise<undefined> => {
    await Promise.all(
      WRITEBACK.map(async (node) => {
        if ((await isEnabledOn(vpp, node, sw_if_index, signal)) === enable) return;
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
  const found = new FoundOnInterfaces<Element<"sw_interface_dump">, CnatFeatureValue>(vpp, (element) => element);
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
      const isThere = await isEnabledOn(vpp, NODE, index, signal);
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
        if (!(await isEnabledOn(vpp, NODE, index, signal))) return;
        await setWriteback(index, true, signal);
        await toggle(index, false, signal);
      });
    },
    async retrieve(_correlate, ctx) {
      const { signal } = ctx;
      await requirePlugin(signal);
      // Those of both families are set together.
      const [enabled, written] = await Promise.all([allWith(vpp, NODE, ctx), allWith(vpp, WRITEBACK[0], ctx)]);
      return found.of(await vpp.interfaces(ctx), ({ sw_if_index }, name, former) => {
        if (!enabled.has(sw_if_index)) return undefined;
        const writeback = written.has(sw_if_index);
        if (former && (former.value.writeback ?? true) === writeback) return former;
        const value: CnatFeatureValue = { interface: name, ...(writeback ? {} : { writeback }) };
        return { key: cnatFeatureKey(name), value, metadata: undefined };
      });
    },
  };
}
