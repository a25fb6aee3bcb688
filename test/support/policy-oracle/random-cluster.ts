import * as fc from "fast-check";
import { type IpAddress, parseIp } from "../../../src/base/ip/address.ts";
import type { Namespace } from "../../../src/models/k8s/namespace.ts";
import { POD_PHASES, type Pod } from "../../../src/models/k8s/pod.ts";
import type { PolicyInput } from "../../../src/policy/api.ts";
import {
  CLUSTER_POLICY_NAMES,
  clusterNetworkPolicy,
  labels,
  NAMESPACES,
  networkPolicy,
  POLICY_NAMES,
  PORT_NAMES,
} from "./random-policies.ts";
import type { OracleState } from "./state.ts";

export const THIS_NODE = "n1";
export const NODE_ADDRESSES = ["192.168.0.1", "fd01::1"].map(parseIp);
const PODS = ["a", "b", "c"] as const;
/** Few enough to be fought over. */
export const POD_ADDRESSES = [1, 2, 3, 4, 5].flatMap((i) => [`10.0.0.${i}`, `fd00::${i}`]).map(parseIp);
/** Whom packets come from and go to. */
export const ALL_ADDRESSES: readonly IpAddress[] = [
  ...POD_ADDRESSES,
  ...NODE_ADDRESSES,
  ...["192.168.0.2", "192.0.2.1", "fd01::2"].map(parseIp),
];

const uid = fc.constantFrom("u1", "u2", "");
const ips = fc.oneof(
  { weight: 4, arbitrary: fc.uniqueArray(fc.constantFrom(...POD_ADDRESSES), { minLength: 1, maxLength: 2 }) },
  { weight: 1, arbitrary: fc.constant([]) },
);
const mostly = <T>(value: T, other: fc.Arbitrary<T>): fc.Arbitrary<T> =>
  fc.oneof({ weight: 8, arbitrary: fc.constant(value) }, { weight: 1, arbitrary: other });

const pod = (namespace: string, name: string): fc.Arbitrary<Pod> =>
  fc.record({
    namespace: fc.constant(namespace),
    name: fc.constant(name),
    uid,
    created: fc.integer({ min: 0, max: 3 }),
    labels,
    node: fc.constantFrom(THIS_NODE, "n2"),
    hostNetwork: mostly(false, fc.constant(true)),
    phase: mostly<Pod["phase"]>("Running", fc.constantFrom(...POD_PHASES)),
    terminating: mostly(false, fc.constant(true)),
    ips,
    ports: fc.array(
      fc.record({
        name: fc.constantFrom(...PORT_NAMES),
        protocol: fc.constantFrom("TCP", "UDP", "SCTP"),
        port: fc.constantFrom(80, 81, 8080),
      }),
      { maxLength: 3 },
    ),
  });

const namespaceObject = (name: string): fc.Arbitrary<Namespace> =>
  labels.map((l) => ({ namespace: "", name, uid: "", labels: { ...l, "kubernetes.io/metadata.name": name } }));

/** The object, none, or one that can't be read. */
const state = <T>(object: fc.Arbitrary<T>) =>
  fc.oneof(
    { weight: 10, arbitrary: object },
    { weight: 3, arbitrary: fc.constant(undefined) },
    { weight: 1, arbitrary: fc.constant({ unreadable: "damaged" }) },
  );

const namespaceName = fc.constantFrom(...NAMESPACES);

export const edit: fc.Arbitrary<PolicyInput> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc
      .tuple(namespaceName, fc.constantFrom(...PODS))
      .chain(([namespace, name]) =>
        state(pod(namespace, name)).map((object) => ({ kind: "pod" as const, at: { namespace, name }, object })),
      ),
  },
  {
    weight: 2,
    arbitrary: namespaceName.chain((name) =>
      state(namespaceObject(name)).map((object) => ({
        kind: "namespace" as const,
        at: { namespace: "", name },
        object,
      })),
    ),
  },
  {
    weight: 5,
    arbitrary: fc.tuple(namespaceName, fc.constantFrom(...POLICY_NAMES)).chain(([namespace, name]) =>
      state(networkPolicy(namespace, name)).map((object) => ({
        kind: "networkpolicy" as const,
        at: { namespace, name },
        object,
      })),
    ),
  },
  {
    weight: 3,
    arbitrary: fc
      .constantFrom(...CLUSTER_POLICY_NAMES)
      .chain((name) =>
        fc
          .oneof(
            { weight: 10, arbitrary: clusterNetworkPolicy(name) },
            { weight: 4, arbitrary: fc.constant(undefined) },
          )
          .map((object) => ({ kind: "clusternetworkpolicy" as const, at: { namespace: "", name }, object })),
      ),
  },
  {
    weight: 3,
    arbitrary: fc.constantFrom("s1", "s2", "s3").chain((id) =>
      fc
        .option(
          fc.record({
            id: fc.constant(id),
            namespace: namespaceName,
            name: fc.constantFrom(...PODS),
            uid: fc.oneof(uid, fc.constant(undefined)),
            ips,
          }),
          { nil: undefined, freq: 5 },
        )
        .map((object) => ({ kind: "local" as const, id, object })),
    ),
  },
);

/** Namespaces, pods and wirings to begin with, so that edits have something to act on. */
export const beginning: fc.Arbitrary<readonly PolicyInput[]> = fc
  .tuple(
    fc.tuple(...NAMESPACES.map(namespaceObject)),
    fc.tuple(...NAMESPACES.flatMap((ns) => PODS.map((name) => pod(ns, name)))),
  )
  .map(([namespaces, pods]) => [
    ...namespaces.map((object) => ({ kind: "namespace" as const, at: object, object })),
    ...pods.map((object) => ({ kind: "pod" as const, at: object, object })),
    ...pods
      .filter((p) => p.name === "a")
      .map((p, i) => ({
        kind: "local" as const,
        id: `s${i + 1}`,
        object: { id: `s${i + 1}`, namespace: p.namespace, name: p.name, uid: p.uid, ips: p.ips },
      })),
  ]);

export const thisNode: PolicyInput = {
  kind: "node",
  at: { namespace: "", name: THIS_NODE },
  object: { namespace: "", name: THIS_NODE, uid: "", labels: {}, addresses: NODE_ADDRESSES, podCIDRs: [] },
};

type Mutable<T> = { -readonly [K in keyof T]: T[K] extends ReadonlyMap<infer A, infer B> ? Map<A, B> : T[K] };

/** The state that a history of inputs leads to. */
export function stateAfter(inputs: readonly PolicyInput[]): OracleState {
  const state: Mutable<OracleState> = {
    namespaces: new Map(),
    pods: new Map(),
    networkPolicies: new Map(),
    clusterPolicies: new Map(),
    wirings: new Map(),
    nodes: new Map(),
    node: THIS_NODE,
  };
  const put = <T extends object>(
    map: Map<string, T | "unreadable">,
    key: string,
    object: T | { readonly unreadable: string } | undefined,
  ): void => {
    if (object === undefined) map.delete(key);
    else map.set(key, "unreadable" in object ? "unreadable" : object);
  };
  for (const input of inputs) {
    switch (input.kind) {
      case "pod":
        put(state.pods, `${input.at.namespace}/${input.at.name}`, input.object);
        break;
      case "namespace":
        put(state.namespaces, input.at.name, input.object);
        break;
      case "networkpolicy":
        put(state.networkPolicies, `${input.at.namespace}/${input.at.name}`, input.object);
        break;
      case "clusternetworkpolicy":
        put(state.clusterPolicies, input.at.name, input.object);
        break;
      case "node":
        if (input.object && !("unreadable" in input.object)) state.nodes.set(input.at.name, input.object);
        break;
      case "local":
        if (input.object) state.wirings.set(input.id, input.object);
        else state.wirings.delete(input.id);
        break;
    }
  }
  return state;
}

/** The same state by the shortest history, in an order of its own. */
export function shortestHistory(inputs: readonly PolicyInput[]): PolicyInput[] {
  const last = new Map<string, PolicyInput>();
  for (const input of inputs.toReversed()) {
    const key = JSON.stringify(
      "at" in input ? [input.kind, input.at.namespace, input.at.name] : [input.kind, input.id],
    );
    if (!last.has(key)) last.set(key, input);
  }
  return [...last.values()].filter((i) => i.object !== undefined);
}
