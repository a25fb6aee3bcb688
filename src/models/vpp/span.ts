import type { Key } from "../../kvscheduler/api/descriptor.ts";
import { check } from "./checks.ts";

/** A copy of what passes one interface leaves by another. */
export interface SpanValue {
  readonly from: string;
  readonly to: string;
  readonly direction: "both" | "rx" | "tx";
  /** At the bridge, where the interface is in one; else at the device. */
  readonly l2: boolean;
}

export const SPAN_PREFIX = "vpp/span/";
export const spanKey = (v: Pick<SpanValue, "from" | "l2" | "to">): Key =>
  `${SPAN_PREFIX}${v.l2 ? "l2" : "device"}/${v.from}/${v.to}`;

/** Throws `InvalidValueError`. */
export function validateSpan({ from, to }: SpanValue): void {
  check(from !== to, "to", "an interface cannot have copies of what passes itself");
}
