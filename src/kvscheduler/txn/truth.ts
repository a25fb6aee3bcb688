import type { Key, Retrieved } from "../api/descriptor.ts";
import { isWanted, NO_DEPS, type Node } from "../graph/node.ts";
import { equivalent } from "../graph/registry.ts";
import { impliesMore, type Staging } from "./staging.ts";

/**
 * What was learnt about the southbound without doing anything there: by reading it, or because it told. `round` marks
 * the nodes that one reading has found.
 */
export class Truth {
  readonly #staging: Staging;
  readonly #round: number;
  readonly #whole: boolean;

  /** @param whole whether a whole key space is read; of single keys we know ourselves what came with them */
  constructor(staging: Staging, round: number, whole: boolean) {
    this.#staging = staging;
    this.#round = round;
    this.#whole = whole;
  }

  /** `n` is in place with this value. */
  found(n: Node, value: unknown, metadata: unknown, origin: Retrieved<unknown, unknown>["origin"]): void {
    const staging = this.#staging;
    n.seen = this.#round;
    if (n.present && !n.unsure && this.#isAsKnown(n, value)) {
      n.metadata = metadata;
      // Equal for its descriptor, which may leave out of the comparison what it turns into derived values.
      if (this.#whole && n.descriptor?.api.equivalent !== undefined) this.#infer(n, value, n.actual);
      return;
    }
    staging.touch(n);
    const wanted = isWanted(n);
    const known = n.present ? n.actual : undefined;
    if (!n.present) (staging.foundAs ??= new Map()).set(n, "DISCOVERED");
    n.present = true;
    n.actual = value;
    n.metadata = metadata;
    n.missing = false;
    n.unsure = false;
    this.#settleOrigin(n, origin);
    if (!n.southbound) {
      const base = n.claims?.[0]?.base;
      staging.graph.setActualDeps(n, this.#depsFor(n, value, n.owner === undefined ? base : undefined));
    }
    staging.markDirty(n);
    if (this.#whole) this.#infer(n, value, known);
    if (!wanted) staging.resolve(n);
  }

  #isAsKnown(n: Node, value: unknown): boolean {
    if (value === n.read && n.actual === n.meant) return true;
    if (!equivalent(n.descriptor, n.key, n.actual, value)) return false;
    n.read = value;
    n.meant = n.actual;
    return true;
  }

  /** The southbound says by itself that `n` is in place with this value. */
  told(n: Node, value: unknown): void {
    if (n.present && n.southbound && equivalent(n.descriptor, n.key, n.actual, value) && !impliesMore(n, value)) return;
    const staging = this.#staging;
    staging.touch(n);
    n.present = true;
    n.actual = value;
    n.southbound = true;
    n.discovered = false;
    staging.markDirty(n);
    staging.resolve(n);
  }

  /** `n` is not in place. */
  lost(n: Node): void {
    const staging = this.#staging;
    n.unsure = false;
    if (!n.present) return;
    staging.touch(n);
    n.present = false;
    n.actual = undefined;
    n.metadata = undefined;
    n.southbound = false;
    n.discovered = false;
    n.missing = isWanted(n);
    staging.graph.setActualDeps(n, NO_DEPS);
    staging.graph.mayBeIdle(n);
    staging.markDirty(n);
    if (n.missing) (staging.foundAs ??= new Map()).set(n, "MISSING");
    else staging.resolve(n);
    // What went with it; when all is read, whoever can tell for himself will.
    const { dependents } = n;
    for (const d of dependents instanceof Set ? Array.from(dependents) : dependents === undefined ? [] : [dependents]) {
      if (!d.present) continue;
      const readable = d.descriptor?.api.retrieve !== undefined;
      const carried = d.actualDeps.deps.some((dep) => dep.target === n && dep.carries);
      // Nobody can tell what became of a value derived from one that went: if all was read, it counts as gone, since
      // making it twice is better than lacking it; else it is removed in order.
      if (carried ? !(readable && this.#whole) : this.#whole && !readable && d.actualDeps.base === n) this.lost(d);
    }
  }

  /**
   * The values derived from what was found are in place too, unless their own descriptor can tell. Where the base was
   * known before, only the difference to what was known says something.
   */
  #infer(base: Node, value: unknown, known: unknown): void {
    if (base.descriptor?.api.derived === undefined) return;
    const before = derivedOf(base, known);
    const now = derivedOf(base, value);
    for (const [key, childValue] of now) {
      const child = this.#staging.graph.ensure(key);
      const tells = child.owner !== undefined || child.descriptor?.api.retrieve !== undefined;
      if (tells || child.seen === this.#round) continue;
      const same = before.has(key) && equivalent(child.descriptor, key, before.get(key), childValue);
      if (!same && (child.present || !before.has(key))) this.#inferred(child, base, childValue);
    }
    for (const key of before.keys()) {
      const child = now.has(key) ? undefined : this.#staging.graph.nodes.get(key);
      if (child?.actualDeps.base === base && child.descriptor?.api.retrieve === undefined) this.lost(child);
    }
  }

  #inferred(child: Node, base: Node, value: unknown): void {
    child.seen = this.#round;
    if (child.present && equivalent(child.descriptor, child.key, child.actual, value)) return;
    this.#staging.touch(child);
    const known = child.present ? child.actual : undefined;
    child.present = true;
    child.actual = value;
    child.missing = false;
    this.#staging.graph.setActualDeps(child, this.#depsFor(child, value, base));
    this.#staging.markDirty(child);
    this.#infer(child, value, known);
  }

  #settleOrigin(n: Node, origin: Retrieved<unknown, unknown>["origin"]): void {
    if (isWanted(n)) {
      n.southbound = false;
      n.discovered = false;
      return;
    }
    const ours = origin === "northbound" || (origin !== "southbound" && n.descriptor?.api.exclusive !== false);
    n.discovered = ours;
    n.southbound = !ours;
  }

  #depsFor(n: Node, value: unknown, base: Node | undefined): Node["actualDeps"] {
    try {
      return this.#staging.graph.depsFor(n, value, base);
    } catch {
      return base === undefined ? NO_DEPS : { base, deps: NO_DEPS.deps };
    }
  }
}

function derivedOf(base: Node, value: unknown): Map<Key, unknown> {
  const found = new Map<Key, unknown>();
  if (value === undefined) return found;
  try {
    for (const kv of base.descriptor!.api.derived!(base.key, value)) {
      if (kv.value != null && kv.key !== base.key) found.set(kv.key, kv.value);
    }
  } catch {
    // Not a value that we have asked for; it says nothing about what goes with it.
  }
  return found;
}
