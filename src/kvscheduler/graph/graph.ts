import type { AnyOfDependency, Dependency, Key } from "../api/descriptor.ts";
import { InvalidValueError } from "../api/errors.ts";
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
  /** Nodes that may have become useless. */
  #idle: Node[] = [];

  constructor(registry: Registry) {
    this.registry = registry;
  }

  /** The node of `key`, made if there is none. */
  ensure(key: Key): Node {
    let node = this.nodes.get(key);
    if (node === undefined) {
      node = new Node(key, this.registry.forKey(key));
      this.nodes.set(key, node);
      this.#sorted?.add(node);
      this.#idle.push(node);
    }
    return node;
  }

  /** Removes `node` at the next {@link sweep}, if nothing is known of it and nobody refers to it then. */
  mayBeIdle(node: Node): void {
    this.#idle.push(node);
  }

  sweep(): void {
    if (this.#idle.length === 0) return;
    for (const n of this.#idle) {
      const used =
        n.owner !== undefined ||
        n.claims !== undefined ||
        n.present ||
        n.trouble !== undefined ||
        n.late !== undefined ||
        (n.dependents !== undefined && n.dependents.size > 0);
      if (used || this.nodes.get(n.key) !== n) continue;
      this.nodes.delete(n.key);
      this.#sorted?.delete(n);
    }
    this.#idle = [];
  }

  /**
   * What `value` of `n` needs.
   * @throws whatever the descriptor's `dependencies` throws; InvalidValueError if two labels are equal
   */
  depsFor(n: Node, value: unknown, base: Node | undefined, wall: number): DepList {
    const api = n.descriptor?.api;
    const specs = api?.dependencies?.(n.key, value);
    if (specs === undefined || specs.length === 0) return base === undefined ? NO_DEPS : { base, deps: NO_DEPS.deps };
    const deps: Dep[] = [];
    for (const [i, spec] of specs.entries()) {
      for (let j = 0; j < i; j++) {
        if (specs[j]!.label === spec.label) {
          throw new InvalidValueError(`${n.key}: two dependencies are labelled ${JSON.stringify(spec.label)}`);
        }
      }
      deps.push(
        "key" in spec
          ? { spec, target: this.ensure(spec.key), carries: spec.carries === true, since: wall }
          : { spec, target: undefined, carries: false, since: wall },
      );
    }
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
    if (n.dependents !== undefined) for (const d of n.dependents) visit(d);
    this.#watchers.forEach(n.key, visit);
  }

  /** Whether `test` holds for one of the nodes that the any-of dependency selects. */
  someOf(spec: AnyOfDependency, test: (node: Node) => boolean): boolean {
    const sorted = this.#sorted;
    if (sorted === undefined) return false;
    const { prefixes, selects } = spec.anyOf;
    for (const prefix of prefixes) {
      if (sorted.some(prefix, selects === undefined ? test : (node) => test(node) && selects(node.key))) return true;
    }
    return false;
  }

  #relink(n: Node, old: DepList, added: DepList, kept: DepList): void {
    if (old !== kept) {
      this.#unlink(n, old);
      if (old !== NO_DEPS && kept !== NO_DEPS) this.#link(n, kept);
    }
    this.#link(n, added);
  }

  #link(n: Node, list: DepList): void {
    if (list.base !== undefined) (list.base.dependents ??= new Set()).add(n);
    for (const dep of list.deps) {
      if (dep.target !== undefined) (dep.target.dependents ??= new Set()).add(n);
      else for (const p of anyOf(dep.spec).prefixes) this.#watch(p, n);
    }
  }

  #unlink(n: Node, list: DepList): void {
    if (list.base !== undefined) this.#forget(list.base, n);
    for (const dep of list.deps) {
      if (dep.target !== undefined) this.#forget(dep.target, n);
      else for (const p of anyOf(dep.spec).prefixes) this.#watchers.delete(p, n);
    }
  }

  #forget(target: Node, n: Node): void {
    const set = target.dependents;
    if (set === undefined) return;
    set.delete(n);
    if (set.size > 0) return;
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

function anyOf(spec: Dependency): AnyOfDependency["anyOf"] {
  return (spec as AnyOfDependency).anyOf;
}
