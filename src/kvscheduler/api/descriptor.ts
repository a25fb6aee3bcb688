import type { Duration } from "../../base/clock/clock.ts";

/** A `/`-separated path that names one value: `linux/route/host/10.1.2.0/24`. */
export type Key = string;

export interface KeyValue<V = unknown> {
  readonly key: Key;
  readonly value: V;
}

/** The value waits (PENDING) until `key` is in place. */
export interface KeyDependency {
  /** What this dependency is for, unique within the value; shown to people: `"interface"`. */
  readonly label: string;
  readonly key: Key;
  /**
   * The southbound removes the value by itself when `key` is removed (the kernel drops a link's routes with the link).
   * When both go in one transaction the value's own `delete` is not called; the record shows the operation as carried.
   */
  readonly carries?: boolean;
}

/** The value waits until at least one key matches: any of the prefixes, and the selector where there is one. */
export interface AnyOfDependency {
  readonly label: string;
  readonly anyOf: {
    readonly prefixes: readonly Key[];
    readonly selects?: (key: Key) => boolean;
  };
}

export type Dependency = KeyDependency | AnyOfDependency;

/** What an operation may use beside its own arguments. */
export interface OpContext {
  /** Aborts at the operation's deadline, or when the scheduler closes. An operation should stop then. */
  readonly signal: AbortSignal;
  /** Number of the transaction. */
  readonly txn: number;
  /** Metadata that another value's `create`, `update` or `retrieve` returned, if that value is in place. */
  metadata<M>(key: Key): M | undefined;
}

/** One value found in the southbound by {@link Descriptor.retrieve}. */
export interface Retrieved<V, M> {
  readonly key: Key;
  readonly value: V;
  readonly metadata: M;
  /**
   * `"northbound"`: somebody configured it through us, so a resync may delete it. `"southbound"`: it exists by itself
   * and is only observed. `"unknown"` (the default): northbound if we know the key, or if the descriptor's key space is
   * exclusively ours (see {@link Descriptor.exclusive}).
   */
  readonly origin?: "northbound" | "southbound" | "unknown";
}

/** What the scheduler believes to be in place, handed to `retrieve` to help it to map what it finds back to keys. */
export interface Correlate<V, M> {
  readonly key: Key;
  readonly value: V;
  readonly metadata: M | undefined;
}

/**
 * Teaches the scheduler one kind of value. All callbacks are optional except `create` and `delete`; each says what
 * happens when it is absent. Callbacks may be synchronous or asynchronous; whatever they throw fails their own key only.
 * Pure callbacks (`validate`, `equivalent`, `derived`, `dependencies`, `updateNeedsRecreate`, `describe`) must not
 * depend on anything but their arguments.
 *
 * @template V the value's type; values are opaque to the scheduler
 * @template M metadata: what the southbound answered and later operations need (an ifindex, a table id)
 */
export interface Descriptor<V = unknown, M = unknown> {
  /** Unique; shown in records, metrics and status. */
  readonly name: string;
  /** The key space: every key that starts with one of these. Overlap with another descriptor is refused at registration. */
  readonly keyPrefixes: readonly Key[];
  /** Whether anything found in the southbound in this key space may be removed by a resync. Default true. */
  readonly exclusive?: boolean;

  /** Equality of two values of one key; structural equality of plain data if absent. */
  equivalent?(key: Key, a: V, b: V): boolean;
  /** Called before a northbound value is first applied or changed. Throw {@link InvalidValueError} to reject it. */
  validate?(key: Key, value: V): void;
  create(key: Key, value: V, ctx: OpContext): Promise<M> | M;
  /**
   * If absent, a change is made by delete and create. Returns the new metadata. With `group` it is not called: a change
   * is one `update` operation of the group then, unless {@link updateNeedsRecreate} says otherwise.
   */
  update?(key: Key, oldValue: V, newValue: V, metadata: M, ctx: OpContext): Promise<M> | M;
  /** Whether this change needs delete and create although `update` exists. Default false. */
  updateNeedsRecreate?(key: Key, oldValue: V, newValue: V, metadata: M): boolean;
  delete(key: Key, value: V, metadata: M, ctx: OpContext): Promise<void> | void;
  /**
   * Everything of this key space that is in the southbound now. If absent the key space is never refreshed; derived
   * values without it are taken to be as their base is found. A value that is the same object as one returned before must be as
   * it was then: it is not compared again.
   */
  retrieve?(correlate: Iterable<Correlate<V, M>>, ctx: OpContext): Promise<readonly Retrieved<V, M>[]>;
  /** One key, for the check after a failure; `retrieve` is used if absent. `undefined`: it is not there. */
  retrieveOne?(key: Key, correlate: Correlate<V, M>, ctx: OpContext): Promise<Retrieved<V, M> | undefined>;
  /** Names of the descriptors whose `retrieve` must have run before this one's. */
  readonly retrieveAfter?: readonly string[];
  /** Values that exist with this one: created after it, removed before it. They may have descriptors and dependencies. */
  derived?(key: Key, value: V): readonly KeyValue[];
  /** What must be in place first; all must be met. Default none. */
  dependencies?(key: Key, value: V): readonly Dependency[];
  /** Whether an operation that failed so is worth repeating. Default true. */
  isRetriable?(error: Error): boolean;

  /**
   * How many operations may run at once. Default 16. Ignored with `group`. In one transaction all removals of one
   * descriptor end before it makes or changes anything: what goes may be in the way of what comes.
   */
  readonly concurrency?: number;
  /**
   * How long one operation may take; the scheduler's default (2 s) if absent. With `group` a commit's: the longest of its operations',
   * and a second more for each thousand of them.
   */
  readonly deadline?: Duration;
  /** Commit group that carries out this kind's operations instead of `create`, `update` and `delete`. A kind whose
   * southbound takes many operations in one call has a group of its own: that is what makes a descriptor a batching one. */
  readonly group?: CommitGroup;

  /** Short text of a value for records and logs; JSON if absent. Must not contain secrets. */
  describe?(key: Key, value: V): string;
}

/** One operation of a commit group. `metadata` is the current one for update and delete. */
export interface GroupOp {
  readonly kind: "create" | "update" | "delete";
  readonly descriptor: string;
  readonly key: Key;
  /** The new value, or for delete the one that goes. */
  readonly value: unknown;
  /** Only for update. */
  readonly oldValue?: unknown;
  readonly metadata?: unknown;
}

/** Result of one operation: its metadata (undefined for delete), or why it failed. */
export type GroupOpResult =
  | { readonly ok: true; readonly metadata?: unknown }
  | { readonly ok: false; readonly error: Error };

/**
 * Descriptors that share a group have their operations of one transaction carried out by one southbound commit. The
 * operations are ordered (removals of dependents first, dependencies before dependents), and a dependency inside the
 * group counts as met by being earlier in the same commit.
 */
export interface CommitGroup {
  readonly name: string;
  /**
   * Carries out `ops` in order. If it throws, nothing was applied: the scheduler narrows the commit down so that only the
   * guilty keys fail. If single operations can fail on their own, return one result for each operation instead.
   */
  commit(ops: readonly GroupOp[], ctx: OpContext): Promise<readonly GroupOpResult[] | void>;
  /** How many operations one commit may carry at most; unlimited if absent. */
  readonly maxOps?: number;
}
