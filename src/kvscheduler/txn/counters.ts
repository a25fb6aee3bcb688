import {
  type CallOp,
  type CallOutcome,
  type CallStats,
  type Distribution,
  LATENCY_BOUNDS_MS,
  type PhaseStats,
  type TxnKind,
  type TxnOutcome,
  type TxnStats,
} from "../api/stats.ts";

class Histogram {
  readonly #buckets = [...LATENCY_BOUNDS_MS.map(() => 0), 0];
  #count = 0;
  #sum = 0;
  #min = Number.POSITIVE_INFINITY;
  #max = 0;

  add(ms: number): void {
    let i = 0;
    while (i < LATENCY_BOUNDS_MS.length && ms > LATENCY_BOUNDS_MS[i]!) i++;
    this.#buckets[i]!++;
    this.#count++;
    this.#sum += ms;
    if (ms < this.#min) this.#min = ms;
    if (ms > this.#max) this.#max = ms;
  }

  view(): Distribution {
    const minMs = this.#count === 0 ? 0 : this.#min;
    return { count: this.#count, sumMs: this.#sum, minMs, maxMs: this.#max, buckets: [...this.#buckets] };
  }
}

class TxnCounter {
  readonly outcomes: Partial<Record<TxnOutcome, number>> = {};
  readonly wait = new Histogram();
  readonly duration = new Histogram();
}

class CallCounter {
  readonly descriptor: string;
  readonly op: CallOp;
  readonly outcomes: Record<CallOutcome, number> = { ok: 0, failed: 0, late: 0 };
  readonly duration = new Histogram();

  constructor(descriptor: string, op: CallOp) {
    this.descriptor = descriptor;
    this.op = op;
  }

  add(ms: number, outcome: CallOutcome): void {
    this.outcomes[outcome]++;
    this.duration.add(ms);
  }
}

const PHASES = ["refresh", "plan", "execute", "record"] as const satisfies readonly PhaseStats["phase"][];
export type Phase = (typeof PHASES)[number];

/** What is counted while the scheduler works: a few additions for each operation, and no allocation. */
export class Counters {
  /** Transactions that did not fit into the queue. */
  refused = 0;
  /** Notified keys that joined one that still waited. */
  merged = 0;
  /** Events that watchers did not get. */
  missed = 0;
  readonly #txns = new Map<TxnKind, TxnCounter>();
  readonly #phases = new Map<Phase, Histogram>();
  /** By descriptor's or group's name; there are few operations of each. */
  readonly #calls = new Map<string, Partial<Record<CallOp, CallCounter>>>();

  txn(kind: TxnKind, outcome: TxnOutcome, waitMs: number, durationMs: number): void {
    let counter = this.#txns.get(kind);
    if (counter === undefined) this.#txns.set(kind, (counter = new TxnCounter()));
    counter.outcomes[outcome] = (counter.outcomes[outcome] ?? 0) + 1;
    counter.wait.add(waitMs);
    counter.duration.add(durationMs);
  }

  phase(phase: Phase, ms: number): void {
    let histogram = this.#phases.get(phase);
    if (histogram === undefined) this.#phases.set(phase, (histogram = new Histogram()));
    histogram.add(ms);
  }

  call(name: string, op: CallOp, ms: number, outcome: CallOutcome): void {
    let calls = this.#calls.get(name);
    if (calls === undefined) this.#calls.set(name, (calls = {}));
    (calls[op] ??= new CallCounter(name, op)).add(ms, outcome);
  }

  runOf(kind: TxnKind): number {
    const outcomes = this.#txns.get(kind)?.outcomes ?? {};
    return Object.values(outcomes).reduce((sum, n) => sum + n, 0);
  }

  txns(): TxnStats[] {
    const kinds = [...this.#txns].sort(([a], [b]) => (a < b ? -1 : 1));
    return kinds.map(([kind, { outcomes, wait, duration }]) => {
      return { kind, outcomes: { ...outcomes }, wait: wait.view(), duration: duration.view() };
    });
  }

  phases(): PhaseStats[] {
    return PHASES.flatMap((phase) => {
      const histogram = this.#phases.get(phase);
      return histogram === undefined ? [] : [{ phase, duration: histogram.view() }];
    });
  }

  calls(): CallStats[] {
    const all = [...this.#calls.values()].flatMap((calls) => Object.values(calls));
    all.sort((a, b) => (a.descriptor === b.descriptor ? (a.op < b.op ? -1 : 1) : a.descriptor < b.descriptor ? -1 : 1));
    return all.map(({ descriptor, op, outcomes, duration }) => {
      return { descriptor, op, outcomes: { ...outcomes }, duration: duration.view() };
    });
  }
}
