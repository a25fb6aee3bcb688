import type { IpAddress } from "../base/ip/address.ts";
import { isUnreadable, readable } from "../models/k8s/entry.ts";
import type { NamedPort } from "../models/k8s/pod.ts";
import type { Direction, Isolation, PolicyProblem, PolicyRef, TableId, TierName, Verdict } from "./api.ts";
import { findPod } from "./ask.ts";
import type { CompiledPolicy, CompiledRule } from "./compile/compiled.ts";
import type { PolicyEngine } from "./engine.ts";
import { inOrder } from "./index/policies.ts";
import { selects } from "./index/query.ts";
import { isolationOf, type PodRecord } from "./index/records.ts";
import { peerWords, portWords } from "./words.ts";

/** What policies make of a pod, wherever it is. */
export interface ShownPod {
  readonly namespace: string;
  readonly name: string;
  readonly node?: string | undefined;
  readonly phase?: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
  /** Those that policies know it by. */
  readonly ips: readonly IpAddress[];
  readonly ports: readonly NamedPort[];
  /** Policies are not about it. */
  readonly hostNetwork: boolean;
  readonly unreadable?: string | undefined;
  /** Why its policies can't be known: then it reaches nobody, and only its own node reaches it. */
  readonly isolated?: Isolation | undefined;
  /** Its wirings, if it is on the node that answers. */
  readonly wirings: readonly { readonly link: string; readonly egress: TableId; readonly ingress: TableId }[];
  readonly egress: ShownDirection;
  readonly ingress: ShownDirection;
  /** Of the policies that select it. */
  readonly problems: readonly { readonly policy: PolicyRef; readonly problems: readonly PolicyProblem[] }[];
}

export interface ShownDirection {
  /** A NetworkPolicy isolates it: what no rule allows is denied. */
  readonly isolated: boolean;
  /** In the order of evaluation. */
  readonly policies: readonly ShownPolicy[];
}

export interface ShownPolicy {
  readonly policy: PolicyRef;
  readonly tier: TierName;
  /** Of ClusterNetworkPolicies. */
  readonly priority?: number | undefined;
  readonly rules: readonly ShownRule[];
}

export interface ShownRule {
  /** Place in the policy. */
  readonly rule: number;
  readonly name?: string | undefined;
  readonly verdict: Verdict;
  readonly peers: readonly ShownPeer[];
  /** In words; none: all traffic. */
  readonly ports: readonly string[];
}

export interface ShownPeer {
  readonly text: string;
  /** How many pods it means now, where it means pods. */
  readonly pods?: number | undefined;
}

/** @throws AskError for a name that means no pod, or several */
export function showPod(engine: PolicyEngine, name: string): ShownPod {
  const pod = findPod(engine, name);
  const object = readable(pod.object);
  const unknown = isolation(pod);
  const isolated = unknown !== undefined && engine.isOpenThough(unknown) ? undefined : unknown;
  const policies = unknown || object?.hostNetwork ? [] : inOrder(engine.policies.selecting(pod));
  const addresses = pod.elements.map((e) => e.ip);
  return {
    namespace: pod.namespace.name,
    name: pod.name,
    node: object?.node,
    phase: object?.phase,
    labels: object?.labels ?? {},
    ips: addresses.length > 0 ? addresses : [...pod.locals].flatMap((l) => l.object.ips),
    ports: object?.ports ?? [],
    hostNetwork: object?.hostNetwork ?? false,
    ...(isUnreadable(pod.object) ? { unreadable: pod.object.unreadable } : {}),
    ...(isolated ? { isolated } : {}),
    wirings: [...pod.locals].flatMap(({ object: { id } }) => {
      const row = engine.row(id);
      return row ? [{ link: id, egress: row.egress, ingress: row.ingress }] : [];
    }),
    egress: shownDirection(engine, "egress", policies, object?.ports ?? []),
    ingress: shownDirection(engine, "ingress", policies, object?.ports ?? []),
    problems: policies.flatMap(({ ref, problems }) => (problems.length === 0 ? [] : [{ policy: ref, problems }])),
  };
}

function isolation(pod: PodRecord): Isolation | undefined {
  const all = [...pod.locals].map((l) => isolationOf(pod, l.object));
  return all.length === 0 || all.includes(undefined) ? isolationOf(pod) : all[0];
}

function shownDirection(
  engine: PolicyEngine,
  direction: Direction,
  policies: readonly CompiledPolicy[],
  ports: readonly NamedPort[],
): ShownDirection {
  const concerned = policies.filter((p) => p.rules[direction] !== undefined);
  return {
    isolated: concerned.some((p) => p.tier === "NetworkPolicy"),
    policies: concerned.map(({ ref, tier, priority, rules }) => ({
      policy: ref,
      tier,
      ...(ref.kind === "ClusterNetworkPolicy" ? { priority } : {}),
      rules: (rules[direction] ?? []).map((rule) => shownRule(engine, direction, rule, ports)),
    })),
  };
}

function shownRule(
  { cluster }: PolicyEngine,
  direction: Direction,
  { index, name, verdict, peers, ports }: CompiledRule,
  podPorts: readonly NamedPort[],
): ShownRule {
  return {
    rule: index,
    ...(name === undefined ? {} : { name }),
    verdict,
    peers: peers.map((peer) => {
      const text = peerWords(peer);
      if (peer.kind !== "pods") return { text };
      let pods = 0;
      for (const pod of cluster.pods.values()) if (selects(peer.pods, pod)) pods++;
      return { text, pods };
    }),
    ports: (ports ?? []).map((port) => portWords(port, direction, podPorts)),
  };
}
