import type { Clock, Duration } from "../../base/clock/clock.ts";
import type { Correlate, Retrieved } from "../api/descriptor.ts";
import { MisbehaviourError } from "../api/errors.ts";
import type { Graph } from "../graph/graph.ts";
import { isWanted, type Node } from "../graph/node.ts";
import type { Entry } from "../graph/registry.ts";
import type { Caller, MetadataSource } from "./call.ts";
import type { Counters } from "./counters.ts";
import { atMost } from "./pool.ts";
import type { Staging, StagingLog } from "./staging.ts";
import type { Suspensions } from "./suspensions.ts";
import { Truth } from "./truth.ts";
import { eachInSteps, inTurns, type Turn } from "./turn.ts";

export interface RefreshDeps {
  readonly caller: Caller;
  readonly clock: Clock;
  readonly turn: Turn;
  readonly counters: Counters;
  readonly suspensions: Suspensions;
  /** For one reading of a whole key space. */
  readonly deadline: Duration;
  /** Single keys of one descriptor read at once, for descriptors that say nothing. */
  readonly perDescriptor: number;
  readonly log: StagingLog;
}

type Items = readonly Retrieved<unknown, unknown>[];

/** One reading of many key spaces. */
export interface Reading {
  readonly graph: Graph;
  readonly txn: number;
  /** Whether nothing is known of the southbound yet: descriptors then get what is wanted to map by. */
  readonly first: boolean;
  /** Metadata of what was read before. */
  readonly metadata: MetadataSource;
  selects(entry: Entry): boolean;
  /** What a descriptor has found; those that come after it wait for this. */
  take(entry: Entry, items: Items): Promise<void>;
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
   * @returns the names of the descriptors that failed
   */
  async all(staging: Staging, first: boolean): Promise<string[]> {
    const { turn } = this.#deps;
    const { graph } = staging;
    const round = ++rounds;
    const truth = new Truth(staging, round, true);
    const read = new Set<Entry>();
    const failed = await this.read({
      graph,
      txn: staging.seq,
      first,
      metadata: graph,
      selects: () => true,
      take: async (entry, items) => {
        read.add(entry);
        const take = ({ key, value, metadata, origin }: Retrieved<unknown, unknown>): void =>
          truth.found(graph.ensure(key), value, metadata, origin);
        await inTurns(turn, eachInSteps(items, take));
      },
    });
    const judge = (n: Node): void => {
      graph.visited++;
      if (n.descriptor !== undefined && n.seen !== round && read.has(n.descriptor)) truth.lost(n);
    };
    await inTurns(turn, eachInSteps([...graph.nodes.values()], judge));
    return [...failed.keys()].map((e) => e.name).sort();
  }

  /** Reads key spaces, those that others need first. @returns what could not be read, and why */
  async read(reading: Reading): Promise<Map<Entry, Error>> {
    const correlates = await this.#correlates(reading);
    const failed = new Map<Entry, Error>();
    for (const layer of reading.graph.registry.retrieveOrder()) {
      const calls = layer
        .filter((entry) => reading.selects(entry))
        .map(async (entry) => {
          const items = await this.#retrieve(reading.txn, reading.metadata, entry, correlates.get(entry) ?? []);
          if (items instanceof Error) {
            failed.set(entry, items);
            return;
          }
          await reading.take(entry, await this.#valid(entry, items));
          if (this.#deps.turn.isLong()) await this.#deps.turn.breathe();
        });
      await this.#deps.turn.away(Promise.all(calls));
    }
    return failed;
  }

  /** Reads single keys again after something went wrong with them. What cannot be read stays as it was believed to be. */
  async keys(staging: Staging, nodes: Iterable<Node>): Promise<void> {
    const { suspensions, turn } = this.#deps;
    const truth = new Truth(staging, ++rounds, false);
    const single = new Map<Entry, Node[]>();
    const whole = new Map<Entry, Node[]>();
    for (const n of nodes) {
      const entry = n.descriptor;
      if (entry === undefined || n.late) continue;
      if (entry.api.retrieveOne === undefined && entry.api.retrieve === undefined) {
        n.unsure = false;
      } else if (suspensions.of(entry) === undefined) {
        const lists = entry.api.retrieveOne === undefined ? whole : single;
        const list = lists.get(entry);
        if (list === undefined) lists.set(entry, [n]);
        else list.push(n);
      }
    }
    if (single.size === 0 && whole.size === 0) return;
    const work: Promise<void>[] = [];
    for (const [entry, list] of single) {
      const limit = entry.api.concurrency ?? this.#deps.perDescriptor;
      work.push(atMost(limit, list, (n) => this.#one(staging, entry, n, truth)));
    }
    for (const [entry, list] of whole) work.push(this.#some(staging, entry, list, truth));
    await turn.away(Promise.all(work));
  }

  async #correlates(reading: Reading): Promise<Map<Entry, Correlates>> {
    const { turn } = this.#deps;
    const correlates = new Map<Entry, Correlates>();
    const add = (n: Node): void => {
      const entry = n.descriptor;
      if (entry?.api.retrieve === undefined || !reading.selects(entry)) return;
      if (!(reading.first || n.present) || valueOf(n, reading.first) === undefined) return;
      const list = correlates.get(entry);
      if (list === undefined) correlates.set(entry, new Correlates(n, reading.first));
      else list.add(n);
    };
    await inTurns(turn, eachInSteps([...reading.graph.nodes.values()], add));
    return correlates;
  }

  async #one(staging: Staging, entry: Entry, n: Node, truth: Truth): Promise<void> {
    if (this.#deps.suspensions.of(entry) !== undefined) return;
    const found = await this.#call(`retrieve of ${n.key}`, staging.seq, staging.graph, entry, 1, (ctx) =>
      entry.api.retrieveOne!(n.key, correlateOf(n), ctx),
    );
    if (found instanceof Error) {
      this.#deps.log.warn("retrieve failed", { descriptor: entry.name, key: n.key, error: found });
      return;
    }
    if (found === undefined || found === null) {
      truth.lost(n);
      return;
    }
    const item = found as Retrieved<unknown, unknown>;
    const defect = item.key === n.key ? defectOf(entry, item, new Set()) : "it is of another key";
    if (defect === undefined) truth.found(n, item.value, item.metadata, item.origin);
    else this.#ignored(entry, item, defect);
  }

  async #some(staging: Staging, entry: Entry, nodes: readonly Node[], truth: Truth): Promise<void> {
    const list = await this.#retrieve(staging.seq, staging.graph, entry, nodes.map(correlateOf));
    if (list instanceof Error) return;
    const byKey = new Map<string, Retrieved<unknown, unknown>>();
    for (const item of await this.#valid(entry, list)) byKey.set(item.key, item);
    for (const n of nodes) {
      const item = byKey.get(n.key);
      if (item === undefined) truth.lost(n);
      else truth.found(n, item.value, item.metadata, item.origin);
    }
  }

  async #retrieve(
    txn: number,
    metadata: MetadataSource,
    entry: Entry,
    correlate: Iterable<Correlate<unknown, unknown>>,
  ): Promise<Items | Error> {
    const suspended = this.#deps.suspensions.of(entry);
    if (suspended !== undefined) return suspended;
    // One reading takes as long as many operations, so it weighs as much.
    const found = await this.#call(`retrieve of ${entry.name}`, txn, metadata, entry, 3, (ctx) =>
      entry.api.retrieve!(correlate, ctx),
    );
    if (Array.isArray(found)) return found as Items;
    const error = found instanceof Error ? found : new MisbehaviourError(entry.name, "retrieved what is not a list");
    this.#deps.log.warn("retrieve failed", { descriptor: entry.name, error });
    return error;
  }

  /** The result, or why there is none. */
  async #call(
    what: string,
    txn: number,
    metadata: MetadataSource,
    entry: Entry,
    weight: number,
    body: Parameters<Caller["call"]>[3],
  ): Promise<unknown> {
    const { caller, clock, counters, deadline, suspensions, turn } = this.#deps;
    const startedAt = clock.now();
    const end = await turn.away(caller.call(() => what, txn, deadline, body, metadata));
    const late = end.late !== undefined;
    const op = weight === 1 ? "retrieve-one" : "retrieve";
    const outcome = end.error === undefined ? "ok" : late ? "late" : "failed";
    counters.call(entry.name, op, clock.now() - startedAt, outcome);
    if (end.late === undefined) {
      suspensions.answered(entry);
    } else {
      suspensions.expired(entry, weight);
      const over = (): void => suspensions.answered(entry);
      end.late.then(over, over);
    }
    return end.error ?? end.value;
  }

  async #valid(entry: Entry, list: Items): Promise<Items> {
    const { turn } = this.#deps;
    const seen = new Set<string>();
    const valid: Retrieved<unknown, unknown>[] = [];
    const check = (item: Retrieved<unknown, unknown>): void => {
      const defect = defectOf(entry, item, seen);
      if (defect !== undefined) return this.#ignored(entry, item, defect);
      seen.add(item.key);
      valid.push(item);
    };
    await inTurns(turn, eachInSteps(list, check));
    return valid;
  }

  #ignored(entry: Entry, item: Retrieved<unknown, unknown> | undefined, why: string): void {
    this.#deps.log.warn("retrieved value ignored", { descriptor: entry.name, key: item?.key, why });
  }
}

const valueOf = (n: Node, first: boolean): unknown => (first ? (n.eff ?? n.actual) : n.actual);

/** Made when somebody looks at them, which few descriptors do. */
class Correlates implements Iterable<Correlate<unknown, unknown>> {
  readonly #nodes: Node[];
  readonly #first: boolean;

  constructor(n: Node, first: boolean) {
    this.#nodes = [n];
    this.#first = first;
  }

  add(n: Node): void {
    this.#nodes.push(n);
  }

  *[Symbol.iterator](): Generator<Correlate<unknown, unknown>> {
    for (const n of this.#nodes) {
      const value = valueOf(n, this.#first);
      if (value !== undefined) yield { key: n.key, value, metadata: n.metadata };
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
