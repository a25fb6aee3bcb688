import { isDeepStrictEqual } from "node:util";
import type { Entry, SnapshotItem, StoreChange, Watch, WatchItem } from "../../src/stores/api/store.ts";
import { until } from "./until.ts";

/**
 * Consumes a watch and holds it to its contract: a snapshot first, `old` always as delivered before, no change delivered
 * twice, snapshots that agree with their changes.
 */
export class WatchLog {
  readonly items: WatchItem[] = [];
  readonly state = new Map<string, Entry>();
  /** Breaches of the contract, in words. */
  readonly faults: string[] = [];
  readonly done: Promise<void>;
  error: unknown;
  readonly #seen = new Set<string>();

  /** `pause` is awaited before each item is taken. */
  constructor(watch: Watch, pause?: () => Promise<void>) {
    this.done = (async () => {
      try {
        await pause?.();
        for await (const item of watch) {
          this.#take(item);
          await pause?.();
        }
      } catch (e) {
        this.error = e;
      }
    })();
  }

  get snapshots(): SnapshotItem[] {
    return this.items.filter((i) => i.kind === "snapshot");
  }

  get changes(): StoreChange[] {
    return this.items.flatMap((i) => i.changes);
  }

  /** Values by key, as text. */
  get values(): Record<string, string> {
    return Object.fromEntries([...this.state].map(([k, e]) => [k, Buffer.from(e.value).toString()]));
  }

  /** Waits until the delivered state is this. */
  async reaches(values: Record<string, string>, within?: number): Promise<void> {
    const what = `watch reaches ${JSON.stringify(values).slice(0, 300)}`;
    try {
      await until(what, () => isDeepStrictEqual(sorted(this.values), sorted(values)), within);
    } catch (e) {
      throw new Error(`${what}; it has ${JSON.stringify(this.values).slice(0, 300)}`, { cause: e });
    }
  }

  #take(item: WatchItem): void {
    if (this.items.length === 0 && item.kind !== "snapshot") this.faults.push("the first item is not a snapshot");
    this.items.push(item);
    for (const { key, old, new: now } of item.changes) {
      if (old !== this.state.get(key)) this.faults.push(`${key}: old is not what was delivered before`);
      if (!old && !now) this.faults.push(`${key}: neither old nor new`);
      if (now && now.key !== key) this.faults.push(`${key}: entry of ${now.key}`);
      if (now) {
        const id = `${key} ${now.revision} ${Buffer.from(now.value).toString("latin1").slice(0, 64)}`;
        if (this.#seen.has(id)) this.faults.push(`${key} at ${now.revision} twice`);
        this.#seen.add(id);
        this.state.set(key, now);
      } else this.state.delete(key);
    }
    if (item.kind === "snapshot") {
      const same = item.entries.length === this.state.size && item.entries.every((e) => this.state.get(e.key) === e);
      if (!same) this.faults.push("a snapshot's entries are not what its changes make");
    }
  }
}

const sorted = (r: Record<string, string>) => Object.entries(r).sort(([a], [b]) => (a < b ? -1 : 1));
