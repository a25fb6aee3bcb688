import type { Descriptor, Retrieved } from "../../../src/kvscheduler/api/descriptor.ts";
import { InvalidValueError } from "../../../src/kvscheduler/api/errors.ts";

/** A value as the original's benchmark has them. */
export interface Interface {
  readonly name: string;
  readonly type: "tap" | "loopback";
  readonly enabled: boolean;
  readonly physAddress: string;
}

export const INTERFACES = "bench/interface/";

export const interfaceKey = (name: string): string => `${INTERFACES}${name}`;

/** `count` keys with their values, made before the clock starts. */
export function interfaces(count: number, prefix = "if"): [string, Interface][] {
  return Array.from({ length: count }, (_, i) => {
    const name = `${prefix}-${i}`;
    return [interfaceKey(name), { name, type: "tap", enabled: true, physAddress: macOf(i) }];
  });
}

function macOf(i: number): string {
  const hex = i.toString(16).padStart(6, "0");
  return `02:00:00:${hex.slice(0, 2)}:${hex.slice(2, 4)}:${hex.slice(4)}`;
}

/** A southbound of one kind of value: a map, which counts how it is called. */
export class InterfaceTable {
  readonly descriptor: Descriptor<Interface, number>;
  readonly values = new Map<string, Interface>();
  calls = 0;
  retrievals = 0;

  constructor() {
    this.descriptor = {
      name: "interface",
      keyPrefixes: [INTERFACES],
      validate: (_key, value) => {
        if (value.name === "" || value.name.length > 15) throw new InvalidValueError("bad name", ["name"]);
      },
      create: async (key, value) => this.#put(key, value),
      update: async (key, _old, value) => this.#put(key, value),
      delete: async (key) => {
        this.calls++;
        this.values.delete(key);
      },
      retrieve: async () => this.#dump(),
    };
  }

  #put(key: string, value: Interface): number {
    this.calls++;
    this.values.set(key, value);
    return this.calls;
  }

  /** Keys and values are new objects, as if they had been read from somewhere. */
  #dump(): Retrieved<Interface, number>[] {
    this.retrievals++;
    const found: Retrieved<Interface, number>[] = [];
    for (const value of this.values.values()) {
      found.push({ key: interfaceKey(value.name), value: { ...value }, metadata: 1, origin: "northbound" });
    }
    return found;
  }
}
