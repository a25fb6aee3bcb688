import type { Descriptor, Retrieved } from "../../../kvscheduler/api/descriptor.ts";
import { nameOfTag, TAG_PREFIX } from "../../../models/vpp/checks.ts";
import { POLICER_PREFIX, type PolicerValue, policerKey, validatePolicer } from "../../../models/vpp/policer.ts";
import {
  type Element,
  Sse2QosActionType,
  Sse2QosPolicerType,
  Sse2QosRateType,
  Sse2QosRoundType,
} from "../binapi/index.ts";
import { isEnabledOn } from "../feature-arc.ts";
import { INTERFACES, ifThere, indexOf, NO_INDEX, onInterface, type VppTarget } from "../target.ts";

const { SSE2_QOS_ACTION_API_DROP: DROP, SSE2_QOS_ACTION_API_TRANSMIT: TRANSMIT } = Sse2QosActionType;
/** One rate, two colours: what conforms, and what violates. */
const TYPE = Sse2QosPolicerType.SSE2_QOS_POLICER_TYPE_API_1R2C;
const RATE_TYPE = Sse2QosRateType.SSE2_QOS_RATE_API_KBPS;
const BITS_PER_KILOBIT = 1000;
/** All but the limits. */
const CONFIGURATION = {
  cir: 0,
  eir: 0,
  cb: 0,
  eb: 0,
  rate_type: RATE_TYPE,
  round_type: Sse2QosRoundType.SSE2_QOS_ROUND_API_TO_CLOSEST,
  type: TYPE,
  color_aware: false,
  conform_action: { type: TRANSMIT, dscp: 0 },
  exceed_action: { type: DROP, dscp: 0 },
  violate_action: { type: DROP, dscp: 0 },
} as const;
/** One of the three nodes that VPP enables and disables together; policer_op.c. */
const NODE = { arc_name: "ip4-unicast", feature_name: "policer-input" } as const;

/**
 * Policers of what interfaces receive. They are changed by delete and create: by name, as the index that an update asks for
 * is in no dump. Also the place is set by name: VPP 26.06 answers `policer_input_v2` with the other message's reply.
 */
export function policerDescriptor(vpp: VppTarget): Descriptor<PolicerValue, undefined> {
  const { api } = vpp;
  const isPlaced = (sw_if_index: number, signal: AbortSignal) => isEnabledOn(vpp, NODE, sw_if_index, signal);
  const place = (name: string, sw_if_index: number, apply: boolean, signal: AbortSignal) =>
    api.request("policer_input", { name, sw_if_index, apply }, { signal });
  /** Not unless there is one: VPP would write behind the end of its table. */
  const displace = async (name: string, sw_if_index: number, signal: AbortSignal): Promise<void> => {
    if (await isPlaced(sw_if_index, signal)) await place(name, sw_if_index, false, signal);
  };
  const remove = async (name: string, sw_if_index: number | undefined, signal: AbortSignal): Promise<void> => {
    // First: VPP would go on policing by what is free to be the next one's.
    if (sw_if_index !== undefined) await ifThere(() => displace(name, sw_if_index, signal));
    await ifThere(() => api.request("policer_add_del", { is_add: false, name, ...CONFIGURATION }, { signal }));
  };
  return {
    name: "vpp-policer",
    keyPrefixes: [POLICER_PREFIX],
    retrieveAfter: [INTERFACES],
    validate: (_key, value) => validatePolicer(value),
    equivalent: (_key, a, b) =>
      a.interface === b.interface &&
      kilobits(a.rate) === kilobits(b.rate) &&
      a.burst === b.burst &&
      a.state === b.state,
    dependencies: (_key, value) => [onInterface(value.interface)],
    describe: (_key, { rate, burst, state }) =>
      `${rate} bit/s, burst ${burst} bytes${state === "other" ? ", not in force" : ""}`,
    async create(_key, value, { signal }) {
      const sw_if_index = indexOf(vpp, value.interface);
      const name = nameOf(value);
      const limits = { cir: kilobits(value.rate), cb: value.burst };
      // What an attempt has left that ended half way.
      await remove(name, sw_if_index, signal);
      await api.request("policer_add_del", { is_add: true, name, ...CONFIGURATION, ...limits }, { signal });
      // What an interface of the same number has left: placed twice, a policer would count every packet twice.
      await displace(name, sw_if_index, signal);
      await place(name, sw_if_index, true, signal);
      return undefined;
    },
    delete: (_key, value, _metadata, { signal }) => remove(nameOf(value), vpp.indexOf(value.interface), signal),
    async retrieve(_correlate, { signal }) {
      const policers = await api.dump("policer_dump_v2", { policer_index: NO_INDEX }, { signal });
      const found = policers.map(async (policer): Promise<Retrieved<PolicerValue, undefined>[]> => {
        const name = nameOfTag(policer.name);
        if (name === undefined) return [];
        const sw_if_index = vpp.indexOf(name);
        const placed = sw_if_index !== undefined && (await isPlaced(sw_if_index, signal));
        const value: PolicerValue = {
          interface: name,
          rate: policer.cir * BITS_PER_KILOBIT,
          burst: Number(policer.cb),
          state: placed && isOfOurKind(policer) ? "policing" : "other",
        };
        return [{ key: policerKey(name), value, metadata: undefined }];
      });
      return (await Promise.all(found)).flat();
    },
  };
}

/** Of 64 bytes: an interface's name and the prefix fit. */
const nameOf = (value: PolicerValue): string => `${TAG_PREFIX}${value.interface}`;

const kilobits = (rate: number): number => Math.round(rate / BITS_PER_KILOBIT);

function isOfOurKind(policer: Element<"policer_dump_v2">): boolean {
  const { type, rate_type, conform_action, exceed_action, violate_action, color_aware } = policer;
  return (
    type === TYPE &&
    rate_type === RATE_TYPE &&
    !color_aware &&
    conform_action.type === TRANSMIT &&
    exceed_action.type === DROP &&
    violate_action.type === DROP
  );
}
