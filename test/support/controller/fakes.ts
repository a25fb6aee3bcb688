import type { ControllerEvent, EventOutput, EventQueue, Handler } from "../../../src/controller/api.ts";
import type { Memory } from "../../../src/controller/controller.ts";
import type { Key } from "../../../src/kvscheduler/api/descriptor.ts";
import type { Scheduler, Txn, TxnResult } from "../../../src/kvscheduler/api/scheduler.ts";

/** What a transaction answers: keys that failed, keys that wait. */
export interface Verdict {
  readonly errors?: ReadonlyMap<Key, Error>;
  readonly pending?: readonly Key[];
  /** How many operations the record shows. */
  readonly executed?: number;
}

/** A scheduler that keeps what it is told, and answers as the test says. */
export class FakeScheduler implements Pick<Scheduler, "transact"> {
  readonly txns: Txn[] = [];
  /** The northbound values; a resync replaces them all. */
  readonly items = new Map<Key, unknown>();
  answer: (txn: Txn) => Promise<Verdict> | Verdict = () => ({});

  async transact(txn: Txn): Promise<TxnResult> {
    this.txns.push(txn);
    const seq = this.txns.length;
    if (txn.resync === "full") this.items.clear();
    for (const [key, value] of txn.changes ?? []) {
      if (value === undefined) this.items.delete(key);
      else this.items.set(key, value);
    }
    const { errors, pending, executed } = await this.answer(txn);
    const record = { executed: Array.from({ length: executed ?? 0 }, () => ({})) } as unknown as TxnResult["record"];
    return { seq, errors: errors ?? new Map(), pending: pending ?? [], record };
  }

  get asScheduler(): Scheduler {
    return this as unknown as Scheduler;
  }
}

/** The local database, in memory. */
export class FakeMemory implements Memory {
  readonly records = new Map<string, string>();
  readonly commits: (readonly (readonly [string, string | undefined])[])[] = [];
  /** Refuses commits while it is set. */
  refuse: Error | undefined;

  async commit(writes: readonly (readonly [string, string | undefined])[]): Promise<void> {
    await Promise.resolve();
    if (this.refuse) throw this.refuse;
    this.commits.push(writes);
    for (const [key, value] of writes) {
      if (value === undefined) this.records.delete(key);
      else this.records.set(key, value);
    }
  }
}

/** Collects what a handler writes. */
export class FakeOutput implements EventOutput {
  readonly items = new Map<Key, unknown>();
  readonly memory = new Map<string, string | undefined>();

  put(key: Key, value: unknown): void {
    this.items.set(key, value);
  }

  delete(key: Key): void {
    this.items.set(key, undefined);
  }

  remember(key: string, value: string | undefined): void {
    this.memory.set(key, value);
  }
}

/** Keeps what is pushed. */
export class FakeQueue implements EventQueue {
  readonly pushed: ControllerEvent[] = [];
  readonly followUps: ControllerEvent[] = [];

  push(event: ControllerEvent): void {
    this.pushed.push(event);
  }

  followUp(event: ControllerEvent): void {
    this.followUps.push(event);
  }
}

/** An event that only has a name. */
export const named = (name: string, more: Partial<ControllerEvent> = {}): ControllerEvent => ({
  kind: "test",
  describe: () => name,
  ...more,
});

/** A handler for events of {@link named}, with what the test gives it. */
export const handler = (more: Partial<Handler>): Handler => ({
  name: "test",
  handles: (event) => event.kind === "test",
  resync() {},
  update() {},
  ...more,
});

/** Lets everything run that waits for a turn of the event loop. */
export async function turns(count = 5): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise<void>((resolve) => setImmediate(resolve));
}
