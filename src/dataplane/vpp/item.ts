import type { KeyValue } from "../../kvscheduler/api/descriptor.ts";

/** An item under its own key. */
export const item = <V>(keyOf: (value: V) => string, value: V): KeyValue => ({ key: keyOf(value), value });

export const isIpv6 = (address: string): boolean => address.includes(":");
/** An address as a network of its own. */
export const hostCidr = (address: string): string => `${address}/${isIpv6(address) ? 128 : 32}`;
