import { seconds } from "../../../base/clock/clock.ts";
import { Together } from "../../../base/memo/together.ts";
import type { Descriptor } from "../../../kvscheduler/api/descriptor.ts";
import { FLOW_FILTER_PREFIX, type FlowFilterValue, flowFilterKey } from "../../../models/vpp/flow-filter.ts";
import { checkInterfaceName } from "../../../models/vpp/interface.ts";
import type { Element } from "../binapi/index.ts";
import { FoundOnInterfaces } from "../found.ts";
import type { SctpFilter } from "../sctp/filter.ts";
import { INTERFACES, ifThere, indexOf, NO_INDEX, onInterface, type VppTarget } from "../target.ts";
import { type Bindings, bind, isBound, isEqual, readBindings } from "./bindings.ts";
import type { Chains, FlowFilter } from "./filter.ts";

/**
 * Interfaces that the filter looks at; those of pods ask rules of SCTP first. Bound to other tables than these, they are bound
 * anew.
 */
export function flowFilterDescriptor(
  vpp: VppTarget,
  filter: FlowFilter,
  sctp: SctpFilter,
): Descriptor<FlowFilterValue, undefined> {
  const { api } = vpp;
  // VPP shows those of all interfaces or none.
  const bindings = new Together(() => readBindings(api));
  const wantedFor = async ({ isPod }: FlowFilterValue, signal: AbortSignal): Promise<Bindings> =>
    isPod
      ? { input: await sctp.chains("input"), output: await sctp.chains("output") }
      : { input: await filter.chains(signal), output: { 4: NO_INDEX, 6: NO_INDEX } };
  const found = new FoundOnInterfaces<Element<"sw_interface_dump">, FlowFilterValue>(vpp, (element) => element);
  return {
    name: "vpp-flow-filter",
    // Interfaces wait for each other's rules of SCTP.
    deadline: seconds(10),
    keyPrefixes: [FLOW_FILTER_PREFIX],
    retrieveAfter: [INTERFACES],
    concurrency: 64,
    validate: (_key, value) => checkInterfaceName(value.interface),
    dependencies: (_key, value) => [onInterface(value.interface)],
    async create(_key, value, { signal }) {
      const sw_if_index = indexOf(vpp, value.interface);
      // What an interface of the same number has left: VPP would take it for done.
      const [left, wanted] = await Promise.all([bindings.get(), wantedFor(value, signal)]);
      await bind(api, sw_if_index, { now: left(sw_if_index), wanted }, signal);
      return undefined;
    },
    async delete(_key, value, _metadata, { signal }) {
      const sw_if_index = vpp.indexOf(value.interface);
      if (sw_if_index === undefined) return;
      const now = (await bindings.get())(sw_if_index);
      await ifThere(() => bind(api, sw_if_index, { now }, signal));
    },
    async retrieve(_correlate, ctx) {
      const { signal } = ctx;
      const all = await vpp.interfaces(ctx);
      const bindingsOf = await readBindings(api, signal);
      const ours = all.filter(({ sw_if_index }) => vpp.nameOf(sw_if_index) !== undefined);
      filter.forget();
      sctp.forget();
      let own: Chains | undefined;
      let pods: Bindings | undefined;
      for (const { sw_if_index } of ours) {
        if (own && pods) break;
        const { input, output } = bindingsOf(sw_if_index);
        if (!isBound(input)) continue;
        // Pods' interfaces come to the filter by the rules of SCTP.
        const at = isBound(output) ? await sctp.end(input, signal) : input;
        if (!own && at && (await filter.adopt(at, signal))) own = at;
        if (own && !pods && isBound(output) && (await sctp.adopt({ input, output }, signal))) pods = { input, output };
      }
      return found.of(all, ({ sw_if_index }, name, former) => {
        const { input, output } = bindingsOf(sw_if_index);
        const isOwn = own !== undefined && isEqual(input, own) && !isBound(output);
        const isPod = pods !== undefined && isEqual(input, pods.input) && isEqual(output, pods.output);
        if (!isOwn && !isPod) return undefined;
        if (former && (former.value.isPod ?? false) === isPod) return former;
        const value: FlowFilterValue = { interface: name, ...(isPod ? { isPod } : {}) };
        return { key: flowFilterKey(name), value, metadata: undefined };
      });
    },
  };
}
