import type { Key } from "../../../src/kvscheduler/api/descriptor.ts";
import { type Fault, RefusedError } from "./mock-value.ts";

/** What is planned to go wrong in a mock, and what hangs there. */
export class MockFaults {
  readonly #planned = new Map<Key, { fault: Fault; times: number; skip: number }>();
  #hanging: (() => void)[] = [];

  /** Keys of which something is still to go wrong. */
  get size(): number {
    return this.#planned.size;
  }

  get hanging(): number {
    return this.#hanging.length;
  }

  /** @param skip operations on the key that go well before */
  plan(key: Key, fault: Fault, times: number, skip: number): void {
    this.#planned.set(key, { fault, times, skip });
  }

  clear(): void {
    this.#planned.clear();
  }

  /** What goes wrong with the next operation on `key`. */
  take(key: Key): Fault | undefined {
    const f = this.#planned.get(key);
    if (f === undefined || f.skip-- > 0) return undefined;
    if (--f.times <= 0) this.#planned.delete(key);
    return f.fault;
  }

  /** Ends when it is released. */
  hang(): Promise<void> {
    return new Promise((resolve) => this.#hanging.push(resolve));
  }

  /** Lets what hangs go on. */
  release(): void {
    for (const go of this.#hanging.splice(0)) go();
  }

  /** Whoever waited for what hangs is dead. Returns how many they were. */
  abandon(): number {
    return this.#hanging.splice(0).length;
  }
}

/** @throws if the operation fails without effect */
export function failBefore(fault: Fault | undefined, kind: string, key: Key): void {
  if (fault === "before") throw new Error(`${kind} of ${key} failed`);
  if (fault === "refuse") throw new RefusedError(`${kind} of ${key} refused for good`);
}
