import { strict as assert } from "node:assert";
import { parseIp } from "../../../../src/base/ip/address.ts";
import { convertObject } from "../../../../src/ksr/convert/convert.ts";
import type { PolicyInput } from "../../../../src/policy/api.ts";
import type { LabelChanges, ObjectRef, Step } from "../catalogue.ts";
import { type Manifest, namespaceManifest, nodeManifest, type PodFacts, podManifest, type World } from "./world.ts";

/** An object that is to be written, or to be removed. */
export type ObjectChange =
  | { readonly what: "put"; readonly manifest: Manifest }
  | { readonly what: "delete"; readonly ref: ObjectRef };

/**
 * The world's objects while a case runs: says which are to be written, in which order. `facts` are about pods that run
 * somewhere: their UIDs and addresses, by ID.
 */
export class WorldState {
  readonly world: World;
  readonly #facts: ReadonlyMap<string, PodFacts>;
  readonly #labels = new Map<string, Readonly<Record<string, string>>>();
  /** Those of the cases, by {@link refKey}. */
  readonly #extra = new Map<string, ObjectRef>();

  constructor(world: World, facts: ReadonlyMap<string, PodFacts> = new Map()) {
    this.world = world;
    this.#facts = facts;
  }

  /** Everything of the bare world: nodes, namespaces, pods. */
  begin(): ObjectChange[] {
    const { nodes, namespaces, pods } = this.world;
    return [
      ...nodes.map(nodeManifest),
      ...namespaces.map((n) => this.#manifestOf(n.name)),
      ...pods.map((p) => this.#manifestOf(p.id)),
    ].map((manifest) => ({ what: "put", manifest }));
  }

  /** What a step asks for: labels, further objects, policies; then what goes. */
  step({ labels, objects, put, delete: gone }: Step): ObjectChange[] {
    const changes = this.#relabel(labels);
    for (const manifest of [...objects, ...put]) {
      const ref = refOf(manifest);
      this.#extra.set(refKey(ref), ref);
      changes.push({ what: "put", manifest });
    }
    for (const ref of gone) {
      assert.ok(this.#extra.delete(refKey(ref)), `there is no ${refKey(ref)} to delete`);
      changes.push({ what: "delete", ref });
    }
    return changes;
  }

  /** Back to the bare world: what the case added goes, the last first; labels are as they were. */
  end(): ObjectChange[] {
    const changes = [...this.#extra.values()].toReversed().map((ref): ObjectChange => ({ what: "delete", ref }));
    const ends = [...this.#labels.keys()];
    this.#extra.clear();
    this.#labels.clear();
    return [...changes, ...ends.map((end): ObjectChange => ({ what: "put", manifest: this.#manifestOf(end) }))];
  }

  /** All pods, or namespaces, without any label. */
  unlabelled(what: "namespaces" | "pods"): ObjectChange[] {
    return this.#endsOf(what).map((end) => ({ what: "put", manifest: this.#manifestOf(end, {}) }));
  }

  /** All pods, or namespaces, as they are by now. */
  labelled(what: "namespaces" | "pods"): ObjectChange[] {
    return this.#endsOf(what).map((end) => ({ what: "put", manifest: this.#manifestOf(end) }));
  }

  #endsOf(what: "namespaces" | "pods"): string[] {
    return what === "pods" ? this.world.pods.map(({ id }) => id) : this.world.namespaces.map(({ name }) => name);
  }

  #relabel(changes: LabelChanges): ObjectChange[] {
    return Object.entries(changes).map(([end, labels]) => {
      const now = new Map(Object.entries(this.#labelsOf(end)));
      for (const [key, value] of Object.entries(labels)) {
        if (value === null) assert.ok(now.delete(key), `${end} has no label ${key} to take away`);
        else now.set(key, value);
      }
      this.#labels.set(end, Object.fromEntries(now));
      return { what: "put", manifest: this.#manifestOf(end) };
    });
  }

  #labelsOf(end: string): Readonly<Record<string, string>> {
    const { pods, namespaces } = this.world;
    const original = pods.find((p) => p.id === end) ?? namespaces.find((n) => n.name === end);
    return this.#labels.get(end) ?? original?.labels ?? {};
  }

  #manifestOf(end: string, labels = this.#labelsOf(end)): Manifest {
    const pod = this.world.pods.find((p) => p.id === end);
    return pod ? podManifest(pod, labels, this.#facts.get(end)) : namespaceManifest(end, labels);
  }
}

export const refKey = (ref: ObjectRef): string =>
  `${ref.kind} ${ref.namespace === "" ? ref.name : `${ref.namespace}/${ref.name}`}`;

export function refOf(manifest: Manifest): ObjectRef {
  const { name, namespace = "" } = manifest["metadata"] as { name: string; namespace?: string };
  return { kind: String(manifest["kind"]), namespace, name };
}

const INPUT_KINDS = {
  Pod: "pod",
  Namespace: "namespace",
  Node: "node",
  NetworkPolicy: "networkpolicy",
  ClusterNetworkPolicy: "clusternetworkpolicy",
} as const;

const isInputKind = (kind: string): kind is keyof typeof INPUT_KINDS => Object.hasOwn(INPUT_KINDS, kind);

/** A change as the policy engine is told of it. */
export function inputOf(change: ObjectChange): PolicyInput {
  if (change.what === "delete") {
    const { kind, namespace, name } = change.ref;
    const known = isInputKind(kind) ? INPUT_KINDS[kind] : undefined;
    assert.ok(known, `${kind} is of no kind that policies are about`);
    return { kind: known, at: { namespace, name }, object: undefined };
  }
  const converted = convertObject(change.manifest);
  assert.ok(converted, `${refKey(refOf(change.manifest))} is of no kind that is reflected`);
  return { kind: converted.kind, at: converted.object, object: converted.object } as PolicyInput;
}

/** The wirings of the world's pods on a node. */
export const wiringsOn = (world: World, node: string): PolicyInput[] =>
  world.pods
    .filter((p) => p.node === node)
    .map(({ id, namespace, name, ips }) => ({
      kind: "local",
      id,
      object: { id, namespace, name, uid: `uid-${namespace}-${name}`, ips: ips.map((a) => parseIp(a)) },
    }));
