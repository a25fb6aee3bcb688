import type { AnyOfDependency, Key } from "../api/descriptor.ts";
import { due, type Steps } from "../txn/turn.ts";
import { checkDependencies } from "./check.ts";
import { type Dep, type DepList, NO_DEPS, Node } from "./node.ts";
import { PrefixWatchers } from "./prefix-watchers.ts";
import type { Registry } from "./registry.ts";
import { SortedNodes } from "./sorted-nodes.ts";

/**
 * All nodes and who depends on whom. The reverse index is kept up to date with every change of a node's dependencies;
 * nothing here ever walks the whole graph.
 */
export class Graph {
  readonly nodes = new Map<Key, Node>();
  readonly registry: Registry;
  readonly #watchers = new PrefixWatchers();
  /** Made when the first any-of dependency appears: graphs without one do not pay for it. */
  #sorted: SortedNodes | undefined;
  /** How many nodes were looked at, for telling what a transaction costs. */
  visited = 0;
  /** Nodes that may have become useless. */
  readonly #idle: Node[] = [];

  constructor(registry: Registry) {
    this.registry = registry;
  }

  /** The node of `key`, made if there is none. */
  ensure(key: Key): Node {
    this.visited++;
    let node = this.nodes.get(key);
    if (node === undefined) {
      node = new Node(key, this.registry.forKey(key));
      this.nodes.set(key, node);
      this.#sorted?.add(node);
      this.#idle.push(node);
    }
    return node;
  }

  /** What the southbound answered when `key` was made, if it is in place. */
  metadata(key: Key): unknown {
    const n = this.nodes.get(key);
    return n?.present === true ? n.metadata : undefined;
  }

  /** Removes `node` at the next {@link sweep}, if nothing is known of it and nobody refers to it then. */
  mayBeIdle(node: Node): void {
    this.#idle.push(node);
  }

  *sweep(): Steps<void> {
    // Taken off one by one: the list keeps its room for the next transaction.
    for (let n = this.#idle.pop(); n !== undefined; n = this.#idle.pop()) {
      if (due()) yield;
      const used =
        n.owner !== undefined ||
        n.claims !== undefined ||
        n.present ||
        n.trouble !== undefined ||
        n.late ||
        n.dependents !== undefined;
      if (used || this.nodes.get(n.key) !== n) continue;
      this.nodes.delete(n.key);
      this.#sorted?.delete(n);
    }
  }

  /**
   * What `value` of `n` needs.
   * @throws whatever the descriptor's `dependencies` throws; InvalidValueError if what it returns is no list of
   * dependencies, or two labels are equal
   */
  depsFor(n: Node, value: unknown, base: Node | undefined): DepList {
    const api = n.descriptor?.api;
    const specs = api?.dependencies?.(n.key, value);
    if (specs === undefined || specs.length === 0) return base === undefined ? NO_DEPS : { base, deps: NO_DEPS.deps };
    checkDependencies(n.key, specs);
    const deps = specs.map((spec): Dep => {
      // The target's own key serves from here on: a copy of it per dependency would cost more than all the rest.
      return "key" in spec
        ? {
            label: spec.label,
            target: this.ensure(spec.key),
            anyOf: undefined,
            carries: spec.carries === true,
            since: 0,
          }
        : { label: spec.label, target: undefined, anyOf: spec.anyOf, carries: false, since: 0 };
    });
    return { base, deps };
  }

  setDeps(n: Node, list: DepList): void {
    const old = n.deps;
    if (old === list) return;
    n.deps = list;
    this.#relink(n, old, list, n.actualDeps);
  }

  setActualDeps(n: Node, list: DepList): void {
    const old = n.actualDeps;
    if (old === list) return;
    n.actualDeps = list;
    this.#relink(n, old, list, n.deps);
  }

  /** Calls `visit` for everything that may depend on `n`, also by an any-of dependency, and for what is derived from it. */
  forEachDependent(n: Node, visit: (dependent: Node) => void): void {
    const { dependents } = n;
    if (dependents instanceof Set) {
      this.visited += dependents.size;
      for (const d of dependents) visit(d);
    } else if (dependents !== undefined) {
      this.visited++;
      visit(dependents);
    }
    this.visited += this.#watchers.forEach(n.key, visit);
  }

  /** Whether `test` holds for one of the nodes that the any-of dependency selects. */
  someOf(anyOf: AnyOfDependency["anyOf"], test: (node: Node) => boolean): boolean {
    const sorted = this.#sorted;
    if (sorted === undefined) return false;
    const { prefixes, selects } = anyOf;
    const counted = (node: Node): boolean => {
      this.visited++;
      // What is not selected must not be shown to the test, which may take note of it.
      return (selects === undefined || isSelected(selects, node.key)) && test(node);
    };
    return prefixes.some((prefix) => sorted.some(prefix, counted));
  }

  #relink(n: Node, old: DepList, added: DepList, kept: DepList): void {
    if (old !== kept) {
      this.#unlink(n, old);
      if (old !== NO_DEPS && kept !== NO_DEPS) this.#link(n, kept);
    }
    this.#link(n, added);
  }

  #link(n: Node, list: DepList): void {
    if (list.base !== undefined) addDependent(list.base, n);
    for (const dep of list.deps) {
      if (dep.target !== undefined) addDependent(dep.target, n);
      else for (const p of dep.anyOf!.prefixes) this.#watch(p, n);
    }
  }

  #unlink(n: Node, list: DepList): void {
    if (list.base !== undefined) this.#forget(list.base, n);
    for (const dep of list.deps) {
      if (dep.target !== undefined) this.#forget(dep.target, n);
      else for (const p of dep.anyOf!.prefixes) this.#watchers.delete(p, n);
    }
  }

  #forget(target: Node, n: Node): void {
    const { dependents } = target;
    if (dependents instanceof Set) {
      dependents.delete(n);
      if (dependents.size > 0) return;
    } else if (dependents !== n) {
      return;
    }
    target.dependents = undefined;
    this.#idle.push(target);
  }

  #watch(prefix: Key, n: Node): void {
    if (this.#sorted === undefined) {
      this.#sorted = new SortedNodes();
      for (const node of this.nodes.values()) this.#sorted.add(node);
    }
    this.#watchers.add(prefix, n);
  }
}

function addDependent(target: Node, n: Node): void {
  const { dependents } = target;
  if (dependents === undefined || dependents === n) target.dependents = n;
  else if (dependents instanceof Set) dependents.add(n);
  else target.dependents = new Set([dependents, n]);
}

/** A selector that throws selects nothing. */
function isSelected(selects: (key: Key) => boolean, key: Key): boolean {
  try {
    return selects(key);
  } catch {
    return false;
  }
}
