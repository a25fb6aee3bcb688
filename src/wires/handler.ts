import { isDeepStrictEqual } from "node:util";
import {
  type ControllerEvent,
  type EventOutput,
  type Handler,
  isStoreEvent,
  type ResyncEvent,
} from "../controller/api.ts";
import type { Log } from "../infra/log/log.ts";
import type { Key } from "../kvscheduler/api/descriptor.ts";
import { decodeWire, type Wire } from "../models/wire.ts";
import type { Entry } from "../stores/api/store.ts";
import type { ItemProblem, WireRow, WireStatus, WireSurroundings, WireWiring } from "./api.ts";
import { resolveWires, type Unresolved } from "./resolve.ts";

export interface WiresOptions {
  /** Absent: the dataplane has no wires. */
  readonly wiring: WireWiring | undefined;
  /** Of this node's wires in the store. */
  readonly prefix: string;
  readonly surroundings: () => WireSurroundings;
  /** Whether an event changes what {@link surroundings} tells. */
  readonly changesSurroundings: (event: ControllerEvent) => boolean;
  readonly log: Log;
}

type Outcome = Unresolved | (WireRow & { readonly keys: readonly Key[] });

/**
 * Keeps the wires of this node, as they and the pods at their ends come and go. Stands behind the pods in the chain: a pod's
 * interface and the wire from it are made in one transaction.
 */
export class WiresHandler implements Handler {
  readonly name = "wires";
  readonly #options: WiresOptions;
  readonly #wires = new Map<string, Wire>();
  /** By key in the store. */
  readonly #unreadable = new Map<string, string>();
  #outcomes: ReadonlyMap<string, Outcome> = new Map();
  #items: ReadonlyMap<Key, unknown> = new Map();

  constructor(options: WiresOptions) {
    this.#options = options;
  }

  /** All wires, by name. `problemOf` an item that is not as asked. */
  status(problemOf: ItemProblem): WireStatus[] {
    const { prefix } = this.#options;
    const found: WireStatus[] = [...this.#unreadable].map(([key, reason]) => ({
      name: key.slice(prefix.length),
      state: "refused",
      reason,
    }));
    for (const [name, outcome] of this.#outcomes) {
      if ("state" in outcome) {
        found.push({ name, ...outcome });
        continue;
      }
      const problems = outcome.keys.flatMap((key) => problemOf(key) ?? []);
      const worst = problems.find((p) => p.failed) ?? problems[0];
      const { mtu } = outcome;
      if (!worst) found.push({ name, state: "in-force", mtu });
      else found.push({ name, state: worst.failed ? "failed" : "waiting", reason: worst.reason, mtu });
    }
    return found.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  handles(event: ControllerEvent): boolean {
    if (this.#options.changesSurroundings(event)) return this.#wires.size > 0;
    return isStoreEvent(event) && event.changes.some(({ key }) => key.startsWith(this.#options.prefix));
  }

  resync(event: ResyncEvent, out: EventOutput): void {
    this.#wires.clear();
    this.#unreadable.clear();
    for (const [key, entry] of event.entries) if (key.startsWith(this.#options.prefix)) this.#take(key, entry);
    this.#items = this.#render();
    for (const [key, value] of this.#items) out.put(key, value);
  }

  update(event: ControllerEvent, out: EventOutput): void {
    if (isStoreEvent(event)) {
      for (const change of event.changes) {
        if (change.key.startsWith(this.#options.prefix)) this.#take(change.key, change.new);
      }
    }
    const before = this.#items;
    this.#items = this.#render();
    for (const key of before.keys()) if (!this.#items.has(key)) out.delete(key);
    for (const [key, value] of this.#items) if (!isDeepStrictEqual(before.get(key), value)) out.put(key, value);
  }

  #take(key: string, entry: Entry | undefined): void {
    const { prefix, log } = this.#options;
    this.#wires.delete(key);
    this.#unreadable.delete(key);
    if (!entry) return;
    try {
      this.#wires.set(key, decodeWire(prefix, key, entry.value));
    } catch (e) {
      const reason = e instanceof Error ? e.message : String(e);
      this.#unreadable.set(key, reason);
      log.warn({ key, reason }, "unusable wire in the store");
    }
  }

  /** All items of all wires. */
  #render(): ReadonlyMap<Key, unknown> {
    const { wiring, surroundings } = this.#options;
    const outcomes = new Map<string, Outcome>();
    const items = new Map<Key, unknown>();
    const resolved = this.#wires.size === 0 ? [] : resolveWires(this.#wires.values(), surroundings());
    for (const [name, row] of resolved) {
      if ("state" in row) outcomes.set(name, row);
      else if (!wiring) {
        outcomes.set(name, { state: "refused", reason: "wires need the VPP dataplane, which this node does not run" });
      } else {
        const own = [...wiring.renderWire(row)];
        for (const { key, value } of own) items.set(key, value);
        outcomes.set(name, { ...row, keys: own.map(({ key }) => key) });
      }
    }
    this.#outcomes = outcomes;
    return items;
  }
}
