import type { Key } from "./descriptor.ts";

/** Which part of the southbound is to be read: all conditions that are given must hold. */
export interface SouthboundFilter {
  /** Key spaces outside of it are not read. */
  readonly prefix?: Key;
  readonly descriptor?: string;
}

/** A value as a descriptor reports it. */
export interface SouthboundValue {
  readonly key: Key;
  readonly value: unknown;
  readonly descriptor: string;
  readonly origin: "northbound" | "southbound" | "unknown";
  /** What the scheduler believes about it, where that differs: it does not know the key, or another value of it. */
  readonly differs?: "unknown" | "value";
}

/** What is in the southbound now, as the descriptors tell. */
export interface SouthboundDump {
  /** Sorted by key. */
  readonly values: readonly SouthboundValue[];
  /** Keys that the scheduler believes to be in place and that were not found. */
  readonly missing: readonly Key[];
  /** Descriptors that could not be read, or cannot be, and why. */
  readonly unread: readonly { readonly descriptor: string; readonly error?: Error }[];
}
