import type { Descriptor, Retrieved } from "../../../kvscheduler/api/descriptor.ts";
import { checkInterfaceName, GSO_PREFIX, type GsoValue, gsoKey } from "../../../models/vpp/interface.ts";
import { INTERFACES, ifThere, indexOf, onInterface, type VppTarget } from "../target.ts";

/** One of the five nodes that VPP enables and disables together; gso.c. */
const ARC = "ip4-output";
const NODE = "gso-ip4";
/**
 * The arc's end, which is no feature of any interface. VPP's answer for an interface that has a higher number than any that
 * ever had a feature on the arc is yes, whatever is asked for (its error is taken for true): so also for this one.
 */
const END = "interface-output";

/** Segmentation on interfaces. VPP stacks its nodes once more when it is told twice, so they are read back before. */
export function gsoDescriptor(vpp: VppTarget): Descriptor<GsoValue, undefined> {
  const { api } = vpp;
  const isEnabled = async (sw_if_index: number, signal: AbortSignal): Promise<boolean> => {
    const ask = async (feature_name: string): Promise<boolean> =>
      (await api.request("feature_is_enabled", { arc_name: ARC, feature_name, sw_if_index }, { signal })).is_enabled;
    // In this order: should somebody enable the first feature on the arc in between, both answers are no.
    const [beyond, enabled] = await Promise.all([ask(END), ask(NODE)]);
    return enabled && !beyond;
  };
  const set = async (sw_if_index: number, enable_disable: boolean, signal: AbortSignal): Promise<void> => {
    if ((await isEnabled(sw_if_index, signal)) === enable_disable) return;
    await api.request("feature_gso_enable_disable", { sw_if_index, enable_disable }, { signal });
  };
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
      const { signal } = ctx;
      const interfaces = await vpp.interfaces(ctx);
      const found = await Promise.all(
        interfaces.map(async ({ sw_if_index }): Promise<Retrieved<GsoValue, undefined>[]> => {
          const name = vpp.nameOf(sw_if_index);
          if (name === undefined || !(await isEnabled(sw_if_index, signal))) return [];
          return [{ key: gsoKey(name), value: { interface: name }, metadata: undefined }];
        }),
      );
      return found.flat();
    },
  };
}
