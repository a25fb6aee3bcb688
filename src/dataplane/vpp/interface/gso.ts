import type { Descriptor } from "../../../kvscheduler/api/descriptor.ts";
import { checkInterfaceName, GSO_PREFIX, type GsoValue, gsoKey } from "../../../models/vpp/interface.ts";
import type { Element } from "../binapi/index.ts";
import { allWith, isEnabledOn } from "../feature-arc.ts";
import { FoundOnInterfaces } from "../found.ts";
import { INTERFACES, ifThere, indexOf, onInterface, type VppTarget } from "../target.ts";

/** One of the five nodes that VPP enables and disables together; gso.c. */
const NODE = { arc_name: "ip4-output", feature_name: "gso-ip4" } as const;

/** Segmentation on interfaces. VPP stacks its nodes once more when it is told twice, so they are read back before. */
export function gsoDescriptor(vpp: VppTarget): Descriptor<GsoValue, undefined> {
  const { api } = vpp;
  const set = async (sw_if_index: number, enable_disable: boolean, signal: AbortSignal): Promise<void> => {
    if ((await isEnabledOn(vpp, NODE, sw_if_index, signal)) === enable_disable) return;
    await api.request("feature_gso_enable_disable", { sw_if_index, enable_disable }, { signal });
  };
  const found = new FoundOnInterfaces<Element<"sw_interface_dump">, GsoValue>(vpp, (element) => element);
  return {
    name: "vpp-gso",
    keyPrefixes: [GSO_PREFIX],
    retrieveAfter: [INTERFACES],
    validate: (_key, value) => checkInterfaceName(value.interface),
    dependencies: (_key, value) => [onInterface(value.interface)],
    async create(_key, value, { signal }) {
      await set(indexOf(vpp, value.interface), true, signal);
      return undefined;
    },
    async delete(_key, value, _metadata, { signal }) {
      const index = vpp.indexOf(value.interface);
      if (index !== undefined) await ifThere(() => set(index, false, signal));
    },
    async retrieve(_correlate, ctx) {
      const enabled = await allWith(vpp, NODE, ctx);
      return found.of(await vpp.interfaces(ctx), ({ sw_if_index }, name, former) => {
        if (!enabled.has(sw_if_index)) return undefined;
        return former ?? { key: gsoKey(name), value: { interface: name }, metadata: undefined };
      });
    },
  };
}
