import type { Descriptor, Retrieved } from "../../../kvscheduler/api/descriptor.ts";
import { FLOW_FILTER_PREFIX, type FlowFilterValue, flowFilterKey } from "../../../models/vpp/flow-filter.ts";
import { checkInterfaceName } from "../../../models/vpp/interface.ts";
import { INTERFACES, ifThere, indexOf, NO_INDEX, onInterface, type VppTarget } from "../target.ts";
import type { Chains, FlowFilter } from "./filter.ts";

/** Interfaces that the filter looks at. Bound to another table than the filter's, they are bound anew. */
export function flowFilterDescriptor(vpp: VppTarget, filter: FlowFilter): Descriptor<FlowFilterValue, undefined> {
  const { api } = vpp;
  const boundTo = async (sw_if_index: number, signal: AbortSignal): Promise<Chains> => {
    const reply = await api.request("classify_table_by_interface", { sw_if_index }, { signal });
    return { 4: reply.ip4_table_id, 6: reply.ip6_table_id };
  };
  const set = async (sw_if_index: number, is_add: boolean, chains: Chains, signal: AbortSignal): Promise<void> => {
    const tables = { ip4_table_index: chains[4], ip6_table_index: chains[6], l2_table_index: NO_INDEX };
    await api.request("input_acl_set_interface", { sw_if_index, is_add, ...tables }, { signal });
  };
  const unbind = async (sw_if_index: number, signal: AbortSignal): Promise<void> => {
    const now = await boundTo(sw_if_index, signal);
    if (isBound(now)) await set(sw_if_index, false, now, signal);
  };
  return {
    name: "vpp-flow-filter",
    keyPrefixes: [FLOW_FILTER_PREFIX],
    retrieveAfter: [INTERFACES],
    concurrency: 64,
    validate: (_key, value) => checkInterfaceName(value.interface),
    dependencies: (_key, value) => [onInterface(value.interface)],
    async create(_key, value, { signal }) {
      const sw_if_index = indexOf(vpp, value.interface);
      const chains = await filter.chains(signal);
      // What an interface of the same number has left: VPP would take it for done.
      await unbind(sw_if_index, signal);
      await set(sw_if_index, true, chains, signal);
      return undefined;
    },
    async delete(_key, value, _metadata, { signal }) {
      const sw_if_index = vpp.indexOf(value.interface);
      if (sw_if_index !== undefined) await ifThere(() => unbind(sw_if_index, signal));
    },
    async retrieve(_correlate, { signal }) {
      const all = await api.dump("sw_interface_dump", { name_filter_valid: false }, { signal });
      const named = all.flatMap(({ sw_if_index }) => {
        const name = vpp.nameOf(sw_if_index);
        return name === undefined ? [] : [{ name, sw_if_index }];
      });
      const bound = await Promise.all(
        named.map(async ({ name, sw_if_index }) => ({ name, chains: await boundTo(sw_if_index, signal) })),
      );
      filter.forget();
      let own: Chains | undefined;
      for (const { chains } of bound) {
        if (!own && isBound(chains) && (await filter.adopt(chains, signal))) own = chains;
      }
      return bound.flatMap(({ name, chains }): Retrieved<FlowFilterValue, undefined>[] =>
        own && chains[4] === own[4] && chains[6] === own[6]
          ? [{ key: flowFilterKey(name), value: { interface: name }, metadata: undefined }]
          : [],
      );
    },
  };
}

const isBound = (chains: Chains): boolean => chains[4] !== NO_INDEX || chains[6] !== NO_INDEX;
