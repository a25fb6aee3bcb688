import type { Clock } from "../../base/clock/clock.ts";
import { Slice } from "../../base/slice/slice.ts";
import type { Log } from "../../infra/log/log.ts";
import { K8S_PREFIX, type K8sKind } from "../../models/k8s/keys.ts";
import { unstamped } from "../../models/k8s/proto/stamp.ts";
import type { SnapshotItem, Store, StoreChange, Watch } from "../../stores/api/store.ts";
import type { Listing, Sink, Wish } from "../api.ts";
import { latin1 } from "../convert/reflect.ts";
import { RESOURCES } from "../resources.ts";
import { KindState } from "./kind-state.ts";
import type { KindView, ReflectorMetrics, ReflectorView } from "./metrics.ts";
import { type Kind, StoreWriter } from "./store-writer.ts";

export interface ReflectorOptions {
  readonly store: Pick<Store, "bulk" | "snapshotAndWatch">;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: ReflectorMetrics;
  readonly random?: () => number;
}

/**
 * Keeps the store as a source wishes it. Writes only what differs; holds on to the newest wish of each key while the store
 * is away; and sees in the store's own changes when somebody else has changed or lost what was written.
 */
export class Reflector implements Sink {
  readonly #options: ReflectorOptions;
  readonly #kinds: ReadonlyMap<string, Kind>;
  readonly #writer: StoreWriter;
  #watch: Watch | undefined;
  #snapshotSeen = false;

  constructor(options: ReflectorOptions) {
    this.#options = options;
    const kinds = RESOURCES.map(
      ({ kind }): Kind => ({
        kind,
        state: new KindState(),
        due: new Map(),
        underWay: new Map(),
        written: new Map(),
        problems: new Map(),
        odd: undefined,
        listedAt: undefined,
      }),
    );
    this.#kinds = new Map(kinds.map((k) => [k.kind, k]));
    this.#writer = new StoreWriter({
      random: Math.random,
      ...options,
      kinds,
      isCurrent: () => this.#watch?.staleFor() === 0,
    });
  }

  /** Until the signal aborts; resolves then. To be called once. */
  async run(signal: AbortSignal): Promise<void> {
    const failed = new AbortController();
    const either = AbortSignal.any([signal, failed.signal]);
    const watch = this.#options.store.snapshotAndWatch(K8S_PREFIX);
    this.#watch = watch;
    const stop = () => void watch.close(); // ends #follow; awaited below
    either.addEventListener("abort", stop, { once: true });
    if (either.aborted) stop();
    try {
      await Promise.all([this.#follow(watch), this.#writer.run(either)]);
    } finally {
      failed.abort();
      either.removeEventListener("abort", stop);
      await watch.close();
    }
  }

  list(kind: K8sKind): Listing {
    const it = this.#kind(kind);
    const marked = new Set<string>();
    const odd = new Set<string>();
    it.odd = odd;
    return {
      put: (wish) => {
        marked.add(wish.key);
        this.put(wish);
      },
      done: ({ gaps } = { gaps: false }) => {
        it.listedAt = this.#options.clock.wall();
        it.odd = undefined;
        if (gaps) return;
        for (const subject of it.problems.keys()) {
          if (!odd.has(subject) && !marked.has(subject)) it.problems.delete(subject);
        }
        for (const key of it.state.keys()) if (!marked.has(key)) this.remove(kind, key);
        // Until the store has told what it has there is nothing to sweep; what it tells later is swept as it comes.
        for (const key of it.state.sweep()) this.#writer.due(it, key);
      },
    };
  }

  put({ kind, key, value }: Wish): void {
    const it = this.#kind(kind);
    const verdict = it.state.wish(key, value);
    if (verdict === "due") this.#writer.due(it, key);
    else if (verdict === "settled") it.due.delete(key);
  }

  remove(kind: K8sKind, key: string): void {
    const it = this.#kind(kind);
    it.problems.delete(key);
    if (it.state.wish(key, undefined) === "due") this.#writer.due(it, key);
  }

  problem(kind: K8sKind, subject: string, problem: string | undefined): void {
    const { problems, odd } = this.#kind(kind);
    if (problem === undefined) {
      problems.delete(subject);
      return;
    }
    odd?.add(subject);
    if (problems.get(subject) !== problem) this.#options.log.warn({ kind, subject, problem }, "an odd object");
    problems.set(subject, problem);
  }

  /** What is wrong, or has not been done yet. */
  health(): string | undefined {
    if (!this.#snapshotSeen) return "the store has not been read";
    if (this.#writer.problem !== undefined) return this.#writer.problem;
    const missing = [...this.#kinds.values()].filter((k) => k.listedAt === undefined).map((k) => k.kind);
    return missing.length === 0 ? undefined : `not listed yet: ${missing.join(", ")}`;
  }

  /** Objects that can't be reflected as they are. */
  problems(): string[] {
    return [...this.#kinds.values()].flatMap((k) => [...k.problems].map(([s, p]) => `${k.kind} ${s}: ${p}`));
  }

  view(): ReflectorView {
    const now = this.#options.clock.now();
    const kinds = [...this.#kinds.values()].map(({ kind, state, due, underWay, listedAt, problems }): KindView => {
      let oldest = now;
      for (const times of [due, underWay]) for (const since of times.values()) oldest = Math.min(oldest, since);
      const counts = { objects: state.size, unwritten: due.size + underWay.size, problems: problems.size };
      return { kind, ...counts, lagMs: now - oldest, listedAt };
    });
    return { kinds, storeBehindMs: this.#watch?.staleFor() ?? 0 };
  }

  #kind(kind: K8sKind): Kind {
    const found = this.#kinds.get(kind);
    if (!found) throw new TypeError(`no such kind: ${kind}`);
    return found;
  }

  /** Takes notice of what the store has. */
  async #follow(watch: Watch): Promise<void> {
    for await (const item of watch) {
      const slice = new Slice(this.#options.clock);
      for (const change of item.changes) {
        if (slice.isOver()) await slice.pause();
        this.#found(change);
      }
      if (item.kind === "snapshot") this.#snapshot(item);
    }
  }

  #snapshot({ rewound, changes }: SnapshotItem): void {
    if (this.#snapshotSeen) {
      const why = rewound ? "data lost" : "history gone";
      this.#options.metrics.storeGaps.inc({ why });
      this.#options.log.warn({ why, changes: changes.length }, "the store was compared anew");
      return;
    }
    this.#snapshotSeen = true;
    this.#writer.begin();
  }

  #found({ key, new: entry }: StoreChange): void {
    const it = this.#kindOf(key);
    if (!it) return; // of a newer Heddle
    switch (it.state.found(key, entry && latin1(unstamped(entry.value)))) {
      case "due":
        // Before the first snapshot it is what is found at the start, afterwards somebody else did it.
        if (this.#snapshotSeen && !it.due.has(key)) this.#options.metrics.repairs.inc({ kind: it.kind });
        this.#writer.due(it, key);
        break;
      case "settled":
        it.written.delete(key);
        it.due.delete(key);
        break;
      case "same":
        break;
    }
  }

  #kindOf(key: string): Kind | undefined {
    return this.#kinds.get(key.slice(K8S_PREFIX.length, key.indexOf("/", K8S_PREFIX.length)));
  }
}
