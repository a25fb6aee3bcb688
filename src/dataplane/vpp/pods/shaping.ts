import type { KeyValue } from "../../../kvscheduler/api/descriptor.ts";
import { type ShaperValue, shaperKey } from "../../../models/linux.ts";
import {
  MAX_POLICER_BURST,
  MAX_POLICER_RATE,
  MIN_POLICER_BURST,
  MIN_POLICER_RATE,
  type PolicerValue,
  policerKey,
} from "../../../models/vpp/policer.ts";
import type { PodRow } from "../../../pods/api.ts";
import { item } from "../item.ts";

/** By how much the policer lets more through than the shaper before it: each has a clock of its own. */
const SLACK = 1.1;

/**
 * What goes to the pod is shaped by the kernel, as VPP sends it through the device's queueing discipline. What comes from
 * the pod VPP takes before any discipline of the node sees it: it is shaped at the pod's end. A pod that may, and takes that
 * away, meets a policer, which drops what is too much instead of having it wait; TCP gets a third of the rate by that.
 */
export function* shapingItems({ hostIf, bandwidth }: PodRow): Iterable<KeyValue> {
  if (bandwidth && bandwidth.ingressRate > 0) {
    const { ingressRate: rate, ingressBurst: burst } = bandwidth;
    yield item(shaperKey, { link: hostIf, rate, burst } satisfies ShaperValue);
  }
  if (bandwidth && bandwidth.egressRate > 0) {
    const { egressRate: rate, egressBurst: burst } = bandwidth;
    yield item(shaperKey, { link: hostIf, end: "pod", rate, burst } satisfies ShaperValue);
    const value: PolicerValue = {
      interface: hostIf,
      rate: within(MIN_POLICER_RATE, rate * SLACK, MAX_POLICER_RATE),
      // Less than a segment would let none pass.
      burst: within(MIN_POLICER_BURST, (burst / 8) * SLACK + MIN_POLICER_BURST, MAX_POLICER_BURST),
      state: "policing",
    };
    yield item((v) => policerKey(v.interface), value);
  }
}

const within = (min: number, value: number, max: number): number => Math.min(Math.max(Math.floor(value), min), max);
