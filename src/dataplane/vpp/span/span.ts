import type { Descriptor, Retrieved } from "../../../kvscheduler/api/descriptor.ts";
import { SPAN_PREFIX, type SpanValue, spanKey, validateSpan } from "../../../models/vpp/span.ts";
import { SpanState } from "../binapi/index.ts";
import { INTERFACES, ifThere, indexOf, onInterface, type VppTarget } from "../target.ts";

const { SPAN_STATE_API_DISABLED, SPAN_STATE_API_RX, SPAN_STATE_API_TX, SPAN_STATE_API_RX_TX } = SpanState;
const STATES = { rx: SPAN_STATE_API_RX, tx: SPAN_STATE_API_TX, both: SPAN_STATE_API_RX_TX } as const;

/** Mirrored interfaces. */
export function spanDescriptor(vpp: VppTarget): Descriptor<SpanValue, undefined> {
  const set = async (from: number, to: number, state: SpanState, is_l2: boolean, signal: AbortSignal) => {
    const input = { sw_if_index_from: from, sw_if_index_to: to, state, is_l2 };
    await vpp.api.request("sw_interface_span_enable_disable", input, { signal });
  };
  return {
    name: "vpp-span",
    keyPrefixes: [SPAN_PREFIX],
    retrieveAfter: [INTERFACES],
    validate: (_key, value) => validateSpan(value),
    dependencies: (_key, { from, to }) => [onInterface(from), { ...onInterface(to), label: "copy's interface" }],
    describe: (_key, value) => value.direction,
    async create(_key, { from, to, direction, l2 }, { signal }) {
      await set(indexOf(vpp, from), indexOf(vpp, to), STATES[direction], l2, signal);
      return undefined;
    },
    async delete(_key, { from, to, l2 }, _metadata, { signal }) {
      const [source, copy] = [vpp.indexOf(from), vpp.indexOf(to)];
      if (source === undefined || copy === undefined) return;
      await ifThere(() => set(source, copy, SPAN_STATE_API_DISABLED, l2, signal));
    },
    async retrieve(_correlate, { signal }) {
      const dumps = await Promise.all(
        [true, false].map((is_l2) => vpp.api.dump("sw_interface_span_dump", { is_l2 }, { signal })),
      );
      return dumps.flat().flatMap(({ sw_if_index_from, sw_if_index_to, state, is_l2 }): Found[] => {
        const [from, to] = [vpp.nameOf(sw_if_index_from), vpp.nameOf(sw_if_index_to)];
        if (from === undefined || to === undefined) return [];
        const direction = state === SPAN_STATE_API_RX_TX ? "both" : state === SPAN_STATE_API_RX ? "rx" : "tx";
        const value: SpanValue = { from, to, direction, l2: is_l2 };
        return [{ key: spanKey(value), value, metadata: undefined }];
      });
    },
  };
}

type Found = Retrieved<SpanValue, undefined>;
