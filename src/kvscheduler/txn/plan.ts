import { isDerived, isObserved, NO_DEPS, type Node, stateOf } from "../graph/node.ts";
import { equivalent } from "../graph/registry.ts";
import { connect } from "./edges.ts";
import { isMet, settleGoals } from "./goals.ts";
import { Op, rank } from "./op.ts";
import { topological } from "./order.ts";
import { sortInSteps } from "./sort.ts";
import type { Staging } from "./staging.ts";
import { due, type Steps } from "./turn.ts";

let planCount = 0;

/**
 * Finds the operations that bring the southbound to the goal, in an order in which they can be carried out one after
 * another; `Op.ins` says what each really has to wait for. Changes nothing in the southbound layer of the graph.
 */
export class Planner {
  readonly #staging: Staging;
  readonly #now = ++planCount;
  readonly #scope: Node[] = [];
  /** Present nodes that are to be removed, for good or to be made again. */
  readonly #gone: Node[] = [];
  /** Nodes that lost one of the things that satisfy an any-of dependency. */
  #maybe: Node[] = [];

  constructor(staging: Staging) {
    this.#staging = staging;
  }

  /** Can be interrupted: nothing else changes the graph meanwhile. */
  *plan(): Steps<Op[]> {
    try {
      return yield* this.#plan();
    } finally {
      for (const n of this.#scope) {
        n.removal = undefined;
        n.making = undefined;
      }
    }
  }

  *#plan(): Steps<Op[]> {
    const staging = this.#staging;
    for (let dirty = staging.takeDirty(); dirty.length > 0; dirty = staging.takeDirty()) {
      const changed = yield* settleGoals(staging, dirty);
      for (const list of [dirty, changed]) {
        for (const n of list) {
          if (due()) yield;
          this.#include(n);
        }
      }
      for (const list of [dirty, changed]) {
        for (const n of list) {
          if (due()) yield;
          if (this.#mustGo(n)) yield* this.#markGone(n);
        }
      }
      if (this.#maybe.length > 0) yield* this.#judgeMaybe();
      if (this.#gone.length > 0) this.#keepStuck();
    }
    const ops = yield* this.#makeOps();
    if (ops.length < 2) return alone(ops);
    // Sorted first: where dependencies form a circle, the order must not depend on how the graph has come about.
    const sorted = yield* sortInSteps(ops, inOrder);
    yield* connect(staging.graph, sorted, (n) => n.gone === this.#now);
    return yield* topological(sorted);
  }

  #include(n: Node): void {
    if (n.planned === this.#now) return;
    n.planned = this.#now;
    this.#scope.push(n);
  }

  /** Whether a present node has to go: it is not to be there, or can only be changed by making it again. */
  #mustGo(n: Node): boolean {
    if (!n.present || n.gone === this.#now) return false;
    if (!n.goal) return !this.#staging.isFrozen(n) && !isObserved(n);
    if (n.eff === n.actual) return false;
    if (equivalent(n.descriptor, n.key, n.eff, n.actual)) {
      this.#staging.adopt(n);
      return false;
    }
    return needsRecreate(n);
  }

  /** The node goes, and with it everything present that needs it. */
  *#markGone(first: Node): Steps<void> {
    const work = [first];
    for (let n = work.pop(); n !== undefined; n = work.pop()) {
      if (due()) yield;
      if (n.gone === this.#now) continue;
      n.gone = this.#now;
      this.#gone.push(n);
      this.#include(n);
      const target = n;
      this.#staging.graph.forEachDependent(n, (d) => {
        if (d.gone === this.#now || d === target) return;
        if (d.trouble?.kind === "failed" && !d.present) this.#revive(d);
        if (!d.present || isObserved(d)) return;
        const needs = needsDirectly(d, target);
        if (needs === true) work.push(d);
        else if (needs === undefined) this.#maybe.push(d);
      });
      this.#revive(n);
    }
  }

  /** What failed in an earlier transaction gets another chance when what it needs is made again. */
  #revive(n: Node): void {
    if (n.trouble?.kind === "failed" && !this.#staging.isFrozen(n)) this.#staging.resolve(n);
  }

  /** Any-of dependencies are judged when everything that goes for other reasons is known. */
  *#judgeMaybe(): Steps<void> {
    const stays = (n: Node): boolean => n.present && n.gone !== this.#now;
    while (this.#maybe.length > 0) {
      const maybe = new Set(this.#maybe);
      this.#maybe = [];
      for (const d of maybe) {
        if (due()) yield;
        if (d.gone === this.#now) continue;
        if (d.actualDeps.deps.some((dep) => dep.target === undefined && !isMet(this.#staging.graph, dep, stays))) {
          yield* this.#markGone(d);
        }
      }
    }
  }

  /**
   * What a value needs must not go while the value itself could not be removed. Such values stay, and say why.
   */
  #keepStuck(): void {
    const work = this.#gone.filter((n) => this.#staging.isFrozen(n));
    for (let n = work.pop(); n !== undefined; n = work.pop()) {
      n.gone = 0;
      const { base, deps } = n.actualDeps;
      const hold = (target: Node | undefined): void => {
        if (target === undefined || target.gone !== this.#now) return;
        this.#staging.block(target, n);
        work.push(target);
      };
      hold(base);
      for (const dep of deps) hold(dep.target);
    }
  }

  *#makeOps(): Steps<Op[]> {
    const ops: Op[] = [];
    // Dirty nodes of the stuck ones: their aim may have changed to what is in place.
    for (const n of this.#scope) {
      if (due()) yield;
      const gone = n.gone === this.#now;
      if (gone) {
        const op = new Op("delete", n, n.actual, undefined, NO_DEPS);
        op.recreate = n.goal;
        op.before = this.#touched(n);
        op.after = n.goal ? "REMOVED" : n.owner !== undefined ? "PENDING" : isDerived(n) ? "REMOVED" : "NONEXISTENT";
        op.derived = isDerived(n);
        op.oldDeps = n.actualDeps;
        n.removal = op;
        ops.push(op);
      }
      if (n.goal && (gone || !n.present)) {
        if (this.#staging.isFrozen(n)) continue;
        const op = new Op("create", n, n.eff, undefined, n.deps);
        op.recreate = gone;
        op.before = gone ? "REMOVED" : this.#touched(n);
        op.after = "CONFIGURED";
        op.derived = isDerived(n);
        n.making = op;
        ops.push(op);
      } else if (n.goal && n.eff !== n.actual) {
        const op = new Op("update", n, n.eff, n.actual, n.deps);
        op.oldDeps = n.actualDeps;
        op.before = this.#touched(n);
        op.after = "CONFIGURED";
        op.derived = isDerived(n);
        n.making = op;
        ops.push(op);
      } else {
        const op = this.#stateChange(n);
        if (op !== undefined) ops.push(op);
      }
    }
    return ops;
  }

  /** A change of state without an operation: a value became pending, or was; the southbound told of one. */
  #stateChange(n: Node): Op | undefined {
    const { seq, told } = this.#staging;
    if (n.touched !== seq || n.trouble !== undefined || told?.has(n) === true) return undefined;
    const op = noticed(n);
    if (op === undefined) return undefined;
    op.noop = true;
    op.before = n.before;
    op.after = stateOf(n);
    op.derived = isDerived(n);
    (this.#staging.told ??= new Set()).add(n);
    return op;
  }

  #touched(n: Node): Node["before"] {
    this.#staging.touch(n);
    return this.#staging.foundAs?.get(n) ?? n.before;
  }
}

/** A plan of one operation at most, which waits for nothing: most transactions of a busy agent have no other. */
function alone(ops: Op[]): Op[] {
  const [op] = ops;
  if (op !== undefined) op.index = 0;
  return ops;
}

function noticed(n: Node): Op | undefined {
  const state = stateOf(n);
  if (state === n.before) return undefined;
  if (state === "PENDING" || state === "OBTAINED") {
    const kind = n.before === "CONFIGURED" || n.before === "MISSING" ? "delete" : "create";
    return new Op(kind, n, n.eff, undefined, NO_DEPS);
  }
  const was = n.before === "PENDING" || n.before === "MISSING" || n.before === "OBTAINED" || n.before === "CONFIGURED";
  return state === "NONEXISTENT" && was ? new Op("delete", n, undefined, undefined, NO_DEPS) : undefined;
}

/** Whether `d` needs `target` by key or as its base; undefined: perhaps, by an any-of dependency. */
function needsDirectly(d: Node, target: Node): boolean | undefined {
  if (d.actualDeps.base === target) return true;
  let any = false;
  for (const dep of d.actualDeps.deps) {
    if (dep.target === target) return true;
    if (dep.target === undefined) any = true;
  }
  return any ? undefined : false;
}

function needsRecreate(n: Node): boolean {
  const api = n.descriptor?.api;
  if (api === undefined) return false;
  // A commit group changes a value by one operation of its own.
  if (api.update === undefined && api.group === undefined) return true;
  try {
    return api.updateNeedsRecreate?.(n.key, n.actual, n.eff, n.metadata) === true;
  } catch {
    return true; // the safe way to bring about any change
  }
}

/** The order of a plan, as far as dependencies leave it open: removals first, then by key. */
function inOrder(a: Op, b: Op): number {
  const r = rank(a) - rank(b);
  if (r !== 0) return r;
  return a.node.key < b.node.key ? -1 : a.node.key > b.node.key ? 1 : 0;
}
