import { toError } from "../../base/errors/errors.ts";
import type { KeyValue } from "../api/descriptor.ts";
import { BlockedError, InvalidValueError, isHeld } from "../api/errors.ts";
import type { ValueState } from "../api/status.ts";
import { checkDerived, checkValidated } from "../graph/check.ts";
import { isRooted, MAX_DERIVATIONS, originOf } from "../graph/derivation.ts";
import { plainEqual } from "../graph/equal.ts";
import { freeze } from "../graph/freeze.ts";
import type { Graph } from "../graph/graph.ts";
import {
  type Claim,
  isObserved,
  isWanted,
  NO_DEPS,
  NO_NODES,
  type Node,
  type Owned,
  type Source,
  stateOf,
  type Trouble,
} from "../graph/node.ts";
import { equivalent } from "../graph/registry.ts";
import type { Journal } from "./journal.ts";

export interface StagingLog {
  warn(event: string, fields: Readonly<Record<string, unknown>>): void;
}

/**
 * One transaction's changes of what is wanted, and the list of nodes that it touched. Everything that changes a node
 * goes through {@link touch} first, so that the transaction's effect can be reported, and undone from the journal.
 */
export class Staging {
  readonly graph: Graph;
  readonly seq: number;
  readonly wall: number;
  readonly journal: Journal | undefined;
  readonly touched: Node[] = [];
  /** Nodes whose goal or presence must be planned. */
  dirty: Node[] = [];
  /** States in which a refresh found nodes, where they differ from those before the transaction. */
  foundAs: Map<Node, ValueState> | undefined = undefined;
  /** Nodes whose mere change of state is in the plan already. */
  told: Set<Node> | undefined = undefined;
  /** What failed in an atomic transaction that was undone. */
  reverted: ReadonlyMap<Node, Error> | undefined = undefined;
  readonly #log: StagingLog;

  constructor(graph: Graph, seq: number, wall: number, journal: Journal | undefined, log: StagingLog) {
    this.graph = graph;
    this.seq = seq;
    this.wall = wall;
    this.journal = journal;
    this.#log = log;
  }

  /** To be called before a node is changed for the first time in this transaction. */
  touch(n: Node): void {
    if (n.touched === this.seq) return;
    n.touched = this.seq;
    n.before = stateOf(n);
    this.graph.visited++;
    this.touched.push(n);
    this.journal?.save(n);
  }

  takeDirty(): Node[] {
    const dirty = this.dirty;
    this.dirty = [];
    return dirty;
  }

  markDirty(n: Node): void {
    this.dirty.push(n);
  }

  /** What `source` says about a key; undefined: nothing any more. */
  own(n: Node, source: Source, value: unknown): void {
    if (value === undefined && n.owner === undefined) {
      // Said again of something whose removal has failed: another try.
      if (n.present && n.trouble !== undefined && !isWanted(n)) {
        n.named = this.seq;
        this.resolve(n);
      }
      return;
    }
    this.touch(n);
    n.named = this.seq;
    if (n.others === undefined && (n.owner === undefined || n.owner === source)) {
      n.owner = value === undefined ? undefined : source;
      n.nb = value;
    } else {
      this.#ownAmong(n, source, value);
    }
    if (n.owner === undefined) this.#letGo(n);
    this.resolve(n);
  }

  /** One that wanted the node does not want it any more. */
  #letGo(n: Node): void {
    this.graph.mayBeIdle(n);
    if (n.owner === undefined && n.claims !== undefined && !isRooted(n)) n.claims = undefined;
  }

  /** Several sources have a say. */
  #ownAmong(n: Node, source: Source, value: unknown): void {
    const all: Owned[] = n.owner === undefined ? [] : [{ source: n.owner, value: n.nb }, ...(n.others ?? [])];
    const rest = all.filter((o) => o.source !== source);
    if (value !== undefined) rest.push({ source, value });
    if (rest.length > 1) {
      rest.sort((a, b) => b.source.precedence - a.source.precedence || (a.source.name < b.source.name ? -1 : 1));
    }
    const top = rest.shift();
    n.owner = top?.source;
    n.nb = top?.value;
    n.others = rest.length > 0 ? rest : undefined;
  }

  /** Settles which value is aimed for, and takes up again what was given up after a failure. */
  resolve(n: Node): void {
    let value: unknown;
    let base: Node | undefined;
    if (n.owner !== undefined) {
      value = n.nb;
    } else if (n.claims !== undefined) {
      value = n.claims[0]!.value;
      base = n.claims[0]!.base;
    } else if (n.present && (n.southbound || n.discovered)) {
      value = n.actual;
    }
    if ((n.southbound || n.discovered) && isWanted(n)) {
      // What was only observed is ours now. A notification says nothing of metadata, which the first operation needs.
      this.touch(n);
      if (n.southbound && n.present) n.unsure = true;
      n.southbound = false;
      n.discovered = false;
      this.markDirty(n);
    }
    if (n.trouble !== undefined) {
      if (this.isFrozen(n) && (n.present || isWanted(n))) return;
      this.touch(n);
      n.trouble = undefined;
      this.markDirty(n);
    }
    if (value !== undefined && n.descriptor?.api.validate !== undefined && !isObserved(n) && !n.discovered) {
      if (!equivalent(n.descriptor, n.key, n.eff, value)) {
        try {
          checkValidated(n.key, n.descriptor.api.validate(n.key, value));
        } catch (e) {
          this.#invalid(n, toError(e));
          return;
        }
      }
    }
    this.aim(n, value, base);
  }

  /** Sets the value to bring about, with its dependencies and derived values. */
  aim(n: Node, value: unknown, base: Node | undefined): void {
    const same = n.eff === value || equivalent(n.descriptor, n.key, n.eff, value);
    if (same && n.deps.base === base && !impliesMore(n, value)) {
      if (n.eff !== value) {
        this.touch(n);
        n.eff = value;
      }
      return;
    }
    let deps = NO_DEPS;
    let derived: readonly KeyValue[] | undefined;
    if (value !== undefined) {
      try {
        deps = this.graph.depsFor(n, value, base);
        derived = n.descriptor?.api.derived?.(n.key, value);
        if (derived !== undefined) checkDerived(n.key, derived);
        if (derived !== undefined && derived.length > 0) checkDepth(n);
      } catch (e) {
        this.#invalid(n, toError(e));
        return;
      }
    }
    this.touch(n);
    this.graph.setDeps(n, deps);
    n.eff = value;
    this.markDirty(n);
    this.#derive(n, derived);
  }

  /** What is in place is as good as what is aimed for. */
  adopt(n: Node): void {
    this.touch(n);
    if (n.actualDeps !== n.deps) this.journal?.saveActual(n);
    n.actual = n.eff;
    this.graph.setActualDeps(n, n.deps);
  }

  /** `n` must stay because `by`, which depends on it, could not be removed. */
  block(n: Node, by: Node): void {
    const error = new BlockedError(n.key, by.key, by.trouble === undefined ? undefined : { cause: by.trouble.error });
    this.fail(n, error, n.goal ? "update" : "delete");
  }

  /**
   * A failed operation: the key stays as it is until something gives it another chance. If something is in place, that
   * is what is aimed for now, so that what depends on it is judged by what is really there.
   */
  fail(n: Node, error: Error, op: Trouble["op"]): void {
    this.touch(n);
    const retrying = isHeld(error) || this.#isRetried(n, error);
    n.trouble = { kind: "failed", error, op, seq: this.seq, retrying };
    n.lastOp = op;
    n.txn = this.seq;
    if (n.present && isWanted(n)) this.#settleFor(n);
    this.markDirty(n);
  }

  /** Whether the key failed in this transaction, and is therefore left alone until its end. */
  isFrozen(n: Node): boolean {
    return n.trouble !== undefined && n.trouble.kind === "failed" && n.trouble.seq === this.seq;
  }

  /** Takes what is in place as the aim. */
  #settleFor(n: Node): void {
    const base = n.owner === undefined ? n.claims?.[0]?.base : undefined;
    this.aim(n, n.actual, base);
  }

  #isRetried(n: Node, error: Error): boolean {
    // What is derived is repeated as its base would be.
    if (n.owner === undefined) n.retry = originOf(n).base?.retry ?? n.retry;
    const retry = n.retry;
    if (retry === undefined || (retry.attempts > 0 && n.attempts >= retry.attempts)) return false;
    try {
      return n.descriptor?.api.isRetriable?.(error) !== false;
    } catch {
      return true;
    }
  }

  #invalid(n: Node, error: Error): void {
    this.touch(n);
    n.trouble = { kind: "invalid", error, op: "validate", seq: this.seq, retrying: false };
    n.lastOp = "validate";
    n.txn = this.seq;
    this.markDirty(n);
  }

  #derive(n: Node, values: readonly KeyValue[] | undefined): void {
    const old = n.derived;
    if ((values === undefined || values.length === 0) && old.length === 0) return;
    const next = new Map<Node, unknown>();
    for (const kv of values ?? []) {
      if (kv.value == null || kv.key === "" || kv.key === n.key) {
        this.#log.warn("derived value skipped", {
          key: n.key,
          derived: kv.key,
          why: "no value, or its base's own key",
        });
        continue;
      }
      next.set(this.graph.ensure(kv.key), kv.value);
    }
    n.derived = next.size === 0 ? NO_NODES : [...next.keys()];
    for (const child of old) if (!next.has(child)) this.#unclaim(child, n);
    for (const [child, value] of next) this.#claim(child, n, value);
  }

  #claim(child: Node, base: Node, value: unknown): void {
    freeze(value);
    this.touch(child);
    const rest = child.claims?.filter((c) => c.base !== base) ?? [];
    const first = child.claims?.[0]?.base === base;
    const claim: Claim = { base, value };
    child.claims = first ? [claim, ...rest] : [...rest, claim];
    child.retry ??= base.retry;
    if (child.owner !== undefined || (rest.length > 0 && !first)) {
      this.#log.warn("derived value skipped", { key: base.key, derived: child.key, why: "the key has another owner" });
    }
    if (child.owner === undefined) this.resolve(child);
  }

  #unclaim(child: Node, base: Node): void {
    this.touch(child);
    const rest = child.claims?.filter((c) => c.base !== base) ?? [];
    child.claims = rest.length > 0 ? rest : undefined;
    this.#letGo(child);
    if (child.owner === undefined) this.resolve(child);
  }
}

/** @throws InvalidValueError if what derives `n` does not come to an end */
function checkDepth(n: Node): void {
  if (originOf(n).depth < MAX_DERIVATIONS) return;
  throw new InvalidValueError(`${n.key}: derives values although it is derived by ${MAX_DERIVATIONS} levels already`);
}

/**
 * Whether what comes with `value` may differ although the descriptor calls it equal to the present one: it may well leave
 * out of its comparison what it turns into derived values or dependencies.
 */
export function impliesMore(n: Node, value: unknown): boolean {
  const api = n.descriptor?.api;
  if (api?.equivalent === undefined || n.eff === value) return false;
  return (api.derived !== undefined || api.dependencies !== undefined) && !plainEqual(n.eff, value);
}

/** The fields that an {@link InvalidValueError} names. */
export function invalidFields(error: Error): readonly string[] {
  return error instanceof InvalidValueError ? error.fields : [];
}
