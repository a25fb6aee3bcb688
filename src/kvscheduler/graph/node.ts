import type { AnyOfDependency, Key } from "../api/descriptor.ts";
import type { RetryOptions } from "../api/scheduler.ts";
import type { ValueState } from "../api/status.ts";
import type { Op } from "../txn/op.ts";
import type { Entry } from "./registry.ts";

/** A northbound source. The higher precedence wins; equal ones are settled by name, so that the outcome never depends
 * on who came first. */
export interface Source {
  readonly name: string;
  readonly precedence: number;
}

export interface Owned {
  readonly source: Source;
  readonly value: unknown;
}

/** `base` derives this node with `value`. */
export interface Claim {
  readonly base: Node;
  readonly value: unknown;
}

/** One dependency of one value, resolved to the node it names. */
export interface Dep {
  readonly label: string;
  /** For a key dependency. */
  readonly target: Node | undefined;
  /** For the other kind. */
  readonly anyOf: AnyOfDependency["anyOf"] | undefined;
  readonly carries: boolean;
  /** Wall-clock milliseconds since when it is not met; 0 while met. */
  since: number;
}

/** What one value needs: the value it is derived from, and its dependencies. Never changed, compared by identity. */
export interface DepList {
  readonly base: Node | undefined;
  readonly deps: readonly Dep[];
}

export const NO_DEPS: DepList = { base: undefined, deps: [] };
export const NO_NODES: readonly Node[] = [];

/** Why a node is not as it should be. Replaced, never changed: a retry that was scheduled for one finds out by identity
 * whether it is still the reason. */
export interface Trouble {
  readonly kind: "failed" | "invalid";
  readonly error: Error;
  readonly op: "create" | "update" | "delete" | "validate";
  /** Transaction in which it happened; within it the key is not touched again. */
  readonly seq: number;
  readonly retrying: boolean;
}

/**
 * Everything known about one key. Flat and with a fixed set of fields, because a hundred thousand of them must be cheap
 * and hot. Three layers:
 * - what sources say (`owner`, `nb`, `others`, `claims`),
 * - what planning aims for (`eff`, `deps`, `derived`, `goal`),
 * - what is in the southbound (`present`, `actual`, `metadata`, `actualDeps`).
 */
export class Node {
  readonly key: Key;
  descriptor: Entry | undefined;

  /** The source whose value counts, and its value; the covered ones, highest precedence first. */
  owner: Source | undefined = undefined;
  nb: unknown = undefined;
  others: readonly Owned[] | undefined = undefined;
  /** Who derives this node; the first one counts, unless a source owns the key. */
  claims: readonly Claim[] | undefined = undefined;

  /** The value to bring about; undefined: none. Differs from `nb` while that is invalid or could not be applied. */
  eff: unknown = undefined;
  deps: DepList = NO_DEPS;
  derived: readonly Node[] = NO_NODES;
  /** Whether `eff` is to be in place: wanted, and everything it needs is to be in place too. */
  goal = false;

  present = false;
  actual: unknown = undefined;
  metadata: unknown = undefined;
  /** A value that was read and found to mean the same as `meant`, which `actual` was then: such pairs need no second look. */
  read: unknown = undefined;
  meant: unknown = undefined;
  actualDeps: DepList = NO_DEPS;
  /** Exists by itself and is only observed. */
  southbound = false;
  /** Found by a refresh, ours by its key space, but no source names it. */
  discovered = false;
  /** The last refresh did not find it. */
  missing = false;

  trouble: Trouble | undefined = undefined;
  /** An operation has outlived its deadline, and it has not been looked yet what became of it. */
  late = false;
  /** An operation ended in a way that says nothing about what is in place: read it again before the next one. */
  unsure = false;
  retry: RetryOptions | undefined = undefined;
  attempts = 0;
  lastOp: "create" | "update" | "delete" | "validate" | undefined = undefined;
  /** Number of the transaction that last changed it. */
  txn = 0;

  /** Nodes whose `deps` or `actualDeps` name this one; most have one at most, and a set costs as much as the node. */
  dependents: Node | Set<Node> | undefined = undefined;

  // Marks of the transaction, plan or refresh in progress: equal to its number means marked.
  touched = 0;
  before: ValueState = "NONEXISTENT";
  /** Named by the transaction itself, not only affected by it. */
  named = 0;
  tentative = 0;
  queued = 0;
  planned = 0;
  gone = 0;
  seen = 0;
  removal: Op | undefined = undefined;
  making: Op | undefined = undefined;

  constructor(key: Key, descriptor: Entry | undefined) {
    this.key = key;
    this.descriptor = descriptor;
  }
}

/** Whether some source or base says that the node shall exist. */
export function isWanted(n: Node): boolean {
  return n.owner !== undefined || n.claims !== undefined;
}

/** Whether the node is a derived value (a source that owns the key overrides it). */
export function isDerived(n: Node): boolean {
  return n.owner === undefined && (n.claims !== undefined || n.actualDeps.base !== undefined);
}

/** A derived value without descriptor: nothing to be done for it, but others may depend on it. */
export function isProperty(n: Node): boolean {
  return n.descriptor === undefined && n.owner === undefined;
}

/** Exists only because the southbound has it. */
export function isObserved(n: Node): boolean {
  return n.southbound && !isWanted(n);
}

/** The state is a function of the node; it is stored nowhere. */
export function stateOf(n: Node): ValueState {
  const trouble = n.trouble;
  if (trouble !== undefined) {
    if (trouble.kind === "invalid") return "INVALID";
    return trouble.retrying ? "RETRYING" : "FAILED";
  }
  if (!isWanted(n)) {
    if (!n.present) return "NONEXISTENT";
    if (n.southbound) return "OBTAINED";
    return n.discovered ? "DISCOVERED" : "CONFIGURED";
  }
  if (n.owner !== undefined && n.descriptor === undefined) return "UNIMPLEMENTED";
  if (n.present) return "CONFIGURED";
  if (n.owner === undefined && n.deps.base?.goal !== true) return "NONEXISTENT";
  return n.missing ? "MISSING" : "PENDING";
}
