import type { Clock, Duration } from "../../base/clock/clock.ts";
import type { Correlate, Retrieved } from "../api/descriptor.ts";
import { isWanted, type Node } from "../graph/node.ts";
import type { Entry } from "../graph/registry.ts";
import type { Caller } from "./call.ts";
import { breathe, Slice } from "./slice.ts";
import type { Staging, StagingLog } from "./staging.ts";
import { Truth } from "./truth.ts";

export interface RefreshDeps {
  readonly caller: Caller;
  readonly clock: Clock;
  /** For one reading of a whole key space. */
  readonly deadline: Duration;
  readonly log: StagingLog;
}

let rounds = 0;

/** Reads the southbound and brings the graph up to date with it. */
export class Refresh {
  readonly #deps: RefreshDeps;

  constructor(deps: RefreshDeps) {
    this.#deps = deps;
  }

  /**
   * Reads everything that can be read. A descriptor that fails is reported and keeps its part of the graph as it is.
   * @param first whether nothing is known of the southbound yet: descriptors then get what is wanted to map by
   * @returns the names of the descriptors that failed
   */
  async all(staging: Staging, first: boolean): Promise<string[]> {
    const { clock } = this.#deps;
    const round = ++rounds;
    const truth = new Truth(staging, round, true);
    const slice = new Slice(clock);
    const correlates = new Map<Entry, Correlate<unknown, unknown>[]>();
    for (const n of staging.graph.nodes.values()) {
      const entry = n.descriptor;
      if (entry?.api.retrieve === undefined) continue;
      const value = first ? (n.eff ?? n.actual) : n.actual;
      if (value === undefined || !(first || n.present)) continue;
      let list = correlates.get(entry);
      if (list === undefined) correlates.set(entry, (list = []));
      list.push({ key: n.key, value, metadata: n.metadata });
      if (slice.isOver()) {
        await breathe();
        slice.restart();
      }
    }
    const read = new Set<Entry>();
    const failed: string[] = [];
    for (const layer of staging.graph.registry.retrieveOrder()) {
      await Promise.all(
        layer.map(async (entry) => {
          const list = await this.#retrieve(staging, entry, correlates.get(entry) ?? []);
          if (list === undefined) {
            failed.push(entry.name);
            return;
          }
          read.add(entry);
          slice.restart();
          for (const item of this.#valid(entry, list)) {
            truth.found(staging.graph.ensure(item.key), item.value, item.metadata, item.origin);
            if (slice.isOver()) {
              await breathe();
              slice.restart();
            }
          }
        }),
      );
    }
    slice.restart();
    for (const n of staging.graph.nodes.values()) {
      if (n.descriptor !== undefined && n.seen !== round && read.has(n.descriptor)) truth.lost(n);
      if (slice.isOver()) {
        await breathe();
        slice.restart();
      }
    }
    return failed.sort();
  }

  /** Reads single keys again after something went wrong with them. What cannot be read stays as it was believed to be. */
  async keys(staging: Staging, nodes: Iterable<Node>): Promise<void> {
    const truth = new Truth(staging, ++rounds, false);
    const whole = new Map<Entry, Node[]>();
    const work: Promise<void>[] = [];
    for (const n of nodes) {
      const entry = n.descriptor;
      if (entry === undefined || n.late !== undefined) continue;
      if (entry.api.retrieveOne !== undefined) {
        work.push(this.#one(staging, entry, n, truth));
      } else if (entry.api.retrieve !== undefined) {
        const list = whole.get(entry);
        if (list === undefined) whole.set(entry, [n]);
        else list.push(n);
      } else {
        n.unsure = false;
      }
    }
    for (const [entry, list] of whole) work.push(this.#some(staging, entry, list, truth));
    await Promise.all(work);
  }

  async #one(staging: Staging, entry: Entry, n: Node, truth: Truth): Promise<void> {
    const end = await this.#deps.caller.call(
      () => `retrieve of ${n.key}`,
      staging.seq,
      this.#deps.deadline,
      (ctx) => entry.api.retrieveOne!(n.key, correlateOf(n), ctx),
    );
    if (end.error !== undefined) {
      this.#deps.log.warn("retrieve failed", { descriptor: entry.name, key: n.key, error: end.error });
      return;
    }
    const found = end.value as Retrieved<unknown, unknown> | undefined;
    if (found === undefined || found === null) truth.lost(n);
    else truth.found(n, found.value, found.metadata, found.origin);
  }

  async #some(staging: Staging, entry: Entry, nodes: readonly Node[], truth: Truth): Promise<void> {
    const list = await this.#retrieve(staging, entry, nodes.map(correlateOf));
    if (list === undefined) return;
    const byKey = new Map<string, Retrieved<unknown, unknown>>();
    for (const item of this.#valid(entry, list)) byKey.set(item.key, item);
    for (const n of nodes) {
      const item = byKey.get(n.key);
      if (item === undefined) truth.lost(n);
      else truth.found(n, item.value, item.metadata, item.origin);
    }
  }

  async #retrieve(
    staging: Staging,
    entry: Entry,
    correlate: readonly Correlate<unknown, unknown>[],
  ): Promise<readonly Retrieved<unknown, unknown>[] | undefined> {
    const end = await this.#deps.caller.call(
      () => `retrieve of ${entry.name}`,
      staging.seq,
      this.#deps.deadline,
      (ctx) => entry.api.retrieve!(correlate, ctx),
    );
    if (end.error === undefined && Array.isArray(end.value)) return end.value as Retrieved<unknown, unknown>[];
    const error = end.error ?? new Error(`retrieve did not return a list`);
    this.#deps.log.warn("retrieve failed", { descriptor: entry.name, error });
    return undefined;
  }

  *#valid(entry: Entry, list: readonly Retrieved<unknown, unknown>[]): Generator<Retrieved<unknown, unknown>> {
    const seen = new Set<string>();
    for (const item of list) {
      const defect = defectOf(entry, item, seen);
      if (defect === undefined) {
        seen.add(item.key);
        yield item;
      } else {
        this.#deps.log.warn("retrieved value ignored", { descriptor: entry.name, key: item?.key, why: defect });
      }
    }
  }
}

function correlateOf(n: Node): Correlate<unknown, unknown> {
  return { key: n.key, value: isWanted(n) ? (n.eff ?? n.actual) : n.actual, metadata: n.metadata };
}

function defectOf(entry: Entry, item: Retrieved<unknown, unknown>, seen: ReadonlySet<string>): string | undefined {
  if (typeof item?.key !== "string" || item.key === "") return "it has no key";
  if (item.value == null) return "it has no value";
  if (seen.has(item.key)) return "the key was reported before";
  if (!entry.api.keyPrefixes.some((p) => item.key.startsWith(p))) return "the key is not in the descriptor's key space";
  return undefined;
}
