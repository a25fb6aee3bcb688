import type { Descriptor } from "../../../src/kvscheduler/api/descriptor.ts";

/** A descriptor of the keys `name/...` that accepts everything and does nothing. */
export function plain(name: string, more: Partial<Descriptor> = {}): Descriptor {
  return { name, keyPrefixes: [`${name}/`], create: () => name, delete: () => undefined, ...more };
}
