import type { Dependency, Key, KeyValue } from "../../../src/kvscheduler/api/descriptor.ts";

/** A value of the mock. `v` is what is compared; the rest says how the value behaves. */
export interface MockValue {
  readonly v: number | string;
  readonly deps?: readonly Dependency[];
  readonly derived?: readonly KeyValue<MockValue>[];
  /** Rejected by validate. */
  readonly invalid?: boolean;
  /** A change to this value is made by delete and create. */
  readonly recreate?: boolean;
}

/**
 * What goes wrong with an operation:
 * - `before`: it fails without effect; `after`: it takes effect, then fails
 * - `refuse`: like `before`, with an error that is not worth a retry
 * - `hang`: it does not end until it is released; then it takes effect
 * - `lost`: it succeeds, and its effect is undone at once by somebody else
 * - `lie`: it says that it succeeded, and has done nothing
 */
export const FAULTS = ["before", "after", "refuse", "hang", "lost", "lie"] as const;
export type Fault = (typeof FAULTS)[number];

/** The error of `refuse`. */
export class RefusedError extends Error {}

/** @param isOpaque whether nobody can read the values under a key, so that nobody compares them either */
export function sameValue(a: MockValue, b: MockValue, isOpaque: (key: Key) => boolean): boolean {
  const shown = (x: MockValue): string => JSON.stringify([x.deps, x.derived?.filter((d) => !isOpaque(d.key)) ?? []]);
  return a.v === b.v && shown(a) === shown(b);
}

/** Whether the southbound drops a value of these needs by itself when `gone` goes. */
export function isCarriedBy(value: MockValue, gone: Key): boolean {
  return value.deps?.some((d) => "key" in d && d.key === gone && d.carries === true) ?? false;
}
