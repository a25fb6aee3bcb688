import type { Key } from "../kvscheduler/api/descriptor.ts";
import type { RetryOptions, TxnResult } from "../kvscheduler/api/scheduler.ts";
import type { Entry, StoreChange } from "../stores/api/store.ts";

/** A row of a feature's table before and after an event; `undefined` is "was not" or "is no more". */
export interface Change<Row> {
  readonly old: Row | undefined;
  readonly new: Row | undefined;
}

/** What a handler writes while it handles an event. Later writes to a key replace earlier ones. */
export interface EventOutput {
  /** A southbound item that shall exist. */
  put(key: Key, value: unknown): void;
  /** A southbound item that shall not. Has no meaning (and no effect) in a resync, where what is not put goes. */
  delete(key: Key): void;
  /** Local database: one commit per event, durable before {@link Handler.finish}. `undefined` deletes. */
  remember(key: string, value: string | undefined): void;
}

/** Something that happened. One FIFO, one handler chain, one scheduler transaction each. */
export interface ControllerEvent {
  readonly kind: string;
  /** One line for history and logs. */
  describe(): string;
  /**
   * Takes `next`, which waits directly behind this event, into this one; false leaves it. Called only before this event is
   * handled.
   */
  absorb?(next: ControllerEvent): boolean;
  /** The loop closes and will not handle this event; whoever waits for its outcome must be told. */
  dropped?(): void;
  /** What to do about keys that failed. `heal` (default) schedules a resync; `own` means that a handler's `finish` cares. */
  readonly onFailure?: "heal" | "own";
  /** Absent: the controller's default. `null`: failures are not repeated. */
  readonly retry?: RetryOptions | null;
}

/** Recompute everything. `full` also reads the southbound. */
export interface ResyncEvent extends ControllerEvent {
  readonly kind: "resync";
  readonly reason: string;
  /** The mirrored store, by key. */
  readonly entries: ReadonlyMap<string, Entry>;
}

/** Repair differences between the dataplane and what it should be; handlers are not asked. */
export interface HealingEvent extends ControllerEvent {
  readonly kind: "healing";
  readonly reason: string;
}

/** Entries of the shared store that changed, coalesced by key. */
export interface StoreEvent extends ControllerEvent {
  readonly kind: "store";
  readonly changes: readonly StoreChange[];
  /** When this process learned of the first of them: monotonic milliseconds of its clock. */
  readonly since?: number | undefined;
}

export const isResync = (e: ControllerEvent): e is ResyncEvent => e.kind === "resync";
export const isHealing = (e: ControllerEvent): e is HealingEvent => e.kind === "healing";
export const isStoreEvent = (e: ControllerEvent): e is StoreEvent => e.kind === "store";

/** Outcome of an event's transaction. `undefined` where there was nothing to do. */
export interface EventOutcome {
  readonly txn: TxnResult | undefined;
  /** The local database refused the commit. Nothing may be promised to anyone; it is tried again with the next one. */
  readonly rememberError: Error | undefined;
}

/** A feature's place in the chain. Handlers run in the order of the wiring. */
export interface Handler {
  readonly name: string;
  handles(event: ControllerEvent): boolean;
  /** Everything this feature wants in place, from its own state and the event's. */
  resync(event: ResyncEvent, out: EventOutput): Promise<void> | void;
  /** What the event changes. Throwing fails the event; what other handlers wrote is then not applied either. */
  update(event: ControllerEvent, out: EventOutput): Promise<void> | void;
  /** Called once for every event that the handler handled (and for resyncs), after the transaction. */
  finish?(event: ControllerEvent, outcome: EventOutcome): Promise<void> | void;
  /** Called instead of `finish` when a handler threw before the transaction, or the transaction could not be run. */
  failed?(event: ControllerEvent, error: Error): void;
}

/** How features feed the loop. */
export interface EventQueue {
  /** At the end of the queue. */
  push(event: ControllerEvent): void;
  /** Before everything that waits; for what must follow from the event in hand. */
  followUp(event: ControllerEvent): void;
}
