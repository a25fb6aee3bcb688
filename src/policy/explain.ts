import { familyOf, type IpAddress, type IpFamily } from "../base/ip/address.ts";
import { readable } from "../models/k8s/entry.ts";
import type { Direction, Isolation, ObjectName, PolicyRef, PortProtocol, SetId, TierName } from "./api.ts";
import type { PolicyEngine } from "./engine.ts";
import { podKey } from "./index/cluster.ts";
import { inOrder } from "./index/policies.ts";
import { elementsFor, type SetQuery, selects } from "./index/query.ts";
import { isolationOf, type PodRecord } from "./index/records.ts";
import { buildTable } from "./tables/build.ts";
import { type JudgedPacket, judge } from "./tables/judge.ts";

/** One end of a connection, as somebody names it. */
export type EndName = { readonly ip: IpAddress } | { readonly pod: ObjectName };

/** What a connection is asked about: its first packet. Without `protocol` one that has no ports, such as ICMP. */
export interface ExplainQuery {
  readonly from: EndName;
  readonly to: EndName;
  readonly protocol?: PortProtocol | undefined;
  /** Destination port, behind the translation of services. */
  readonly port: number;
}

export interface Explanation {
  /** One for each family that both ends have; none, then `note` says why. */
  readonly flows: readonly ExplainedFlow[];
  readonly note?: string | undefined;
}

export interface ExplainedFlow {
  readonly family: IpFamily;
  readonly from: ExplainedEnd;
  readonly to: ExplainedEnd;
  /** Both directions allow it. */
  readonly allowed: boolean;
  /** At the source. */
  readonly egress: ExplainedDirection;
  /** At the destination. */
  readonly ingress: ExplainedDirection;
}

export interface ExplainedEnd {
  readonly ip: IpAddress;
  /** Whose address it is; absent if no pod with a network of its own has it. */
  readonly pod?: ObjectName | undefined;
  /** The node that has the address. */
  readonly node?: string | undefined;
}

export interface ExplainedDirection {
  readonly allowed: boolean;
  readonly because: /** No pod with a network of its own is at this end: nothing is judged here. */
    | "not-a-pod"
    | "self"
    /** From the pod's own node, or to it as far as NetworkPolicies go. */
    | "own-node"
    /** The pod's policies can't be known: see `isolated`. */
    | "unknown-pod"
    | "rule"
    /** NetworkPolicies isolate the pod, and none of their rules allows it. */
    | "no-rule-allows"
    /** No rule of any policy matches, and nothing isolates the pod. */
    | "default";
  readonly isolated?: Isolation | undefined;
  /** With `rule`: which. */
  readonly tier?: TierName | undefined;
  readonly policy?: PolicyRef | undefined;
  /** Place in the policy's `ingress` or `egress`. */
  readonly rule?: number | undefined;
  readonly ruleName?: string | undefined;
  /** All that select the pod and concern this direction, in the order of evaluation. */
  readonly policies: readonly PolicyRef[];
}

/** Why a connection is allowed or not, anywhere in the cluster; from the engine's own indexes and tables. */
export function explain(engine: PolicyEngine, query: ExplainQuery): Explanation {
  const [from, to] = [endsOf(engine, query.from), endsOf(engine, query.to)];
  for (const [end, name] of [
    [from, query.from],
    [to, query.to],
  ] as const) {
    if (typeof end === "string") return { flows: [], note: end };
    if (end.length === 0) return { flows: [], note: `${nameText(name)} has no address (yet)` };
  }
  if (typeof from === "string" || typeof to === "string") return { flows: [] };
  const flows: ExplainedFlow[] = [];
  for (const family of [4, 6] as const) {
    const a = from.find((e) => familyOf(e.ip) === family);
    const b = to.find((e) => familyOf(e.ip) === family);
    if (a && b) flows.push(explainFlow(engine, family, a, b, query));
  }
  return flows.length > 0 ? { flows } : { flows, note: "the ends have no address of the same family" };
}

/** An end with the record behind it. */
interface End {
  readonly ip: IpAddress;
  readonly pod: PodRecord | undefined;
}

const nameText = (name: EndName): string => ("ip" in name ? name.ip : `pod ${podKey(name.pod)}`);

/** The addresses that the name stands for, or why it stands for nothing. */
function endsOf(engine: PolicyEngine, name: EndName): End[] | string {
  const { cluster } = engine;
  if ("ip" in name) return [{ ip: name.ip, pod: cluster.claims.owner(name.ip) }];
  const pod = cluster.pods.get(podKey(name.pod));
  if (!pod) return `there is no ${nameText(name)}`;
  const object = readable(pod.object);
  if (object?.hostNetwork) return object.ips.map((ip) => ({ ip, pod: undefined }));
  const locals = [...pod.locals].flatMap((l) => l.object.ips);
  const ips = pod.elements.length > 0 ? pod.elements.map((e) => e.ip) : locals;
  return ips.map((ip) => ({ ip, pod }));
}

function explainFlow(engine: PolicyEngine, family: IpFamily, from: End, to: End, query: ExplainQuery): ExplainedFlow {
  const egress = explainDirection(engine, "egress", from, to, query);
  const ingress = explainDirection(engine, "ingress", to, from, query);
  return {
    family,
    from: endText(engine, from),
    to: endText(engine, to),
    allowed: egress.allowed && ingress.allowed,
    egress,
    ingress,
  };
}

function endText({ cluster }: PolicyEngine, { ip, pod }: End): ExplainedEnd {
  if (pod) return { ip, pod: { namespace: pod.namespace.name, name: pod.name } };
  const node = [...cluster.nodes.values()].find((n) => n.addresses.includes(ip));
  return node ? { ip, node: node.name } : { ip };
}

function explainDirection(
  engine: PolicyEngine,
  direction: Direction,
  { pod }: End,
  peer: End,
  { protocol, port }: ExplainQuery,
): ExplainedDirection {
  if (!pod) return { allowed: true, because: "not-a-pod", policies: [] };
  const unknown = bestIsolation(pod);
  const isolated = unknown !== undefined && engine.isOpenThough(unknown) ? undefined : unknown;
  const policies = unknown
    ? []
    : inOrder(engine.policies.selecting(pod)).filter((p) => p.rules[direction] !== undefined);
  const refs = policies.map((p) => p.ref);
  if (peer.pod === pod) return { allowed: true, because: "self", policies: refs };
  const isOwnNode = (ip: IpAddress): boolean => ownNodeOf(engine, pod)?.addresses.includes(ip) ?? false;
  if (direction === "ingress" && isOwnNode(peer.ip)) return { allowed: true, because: "own-node", policies: refs };
  if (isolated) return { allowed: false, because: "unknown-pod", isolated, policies: [] };
  const ports = readable(pod.object)?.ports ?? [];
  const { table, queries } = buildTable(direction, policies, ports, { ...engine.options, attribute: true });
  const packet: JudgedPacket = { peer: peer.ip, protocol, port };
  const { verdict, rule, tier } = judge(table, packet, {
    isOwnNode,
    inSet: (set: SetId) => isIn(queries.get(set), peer, packet),
  });
  const allowed = verdict === "accept";
  if (!rule) return { allowed, because: tier ? "no-rule-allows" : "default", tier, policies: refs };
  if (rule.peer.kind === "own-node") return { allowed, because: "own-node", tier, policies: refs };
  const { policy, rule: index, ruleName } = rule.origin ?? {};
  return { allowed, because: "rule", tier, policy, rule: index, ruleName, policies: refs };
}

/** Of a pod that is wired here, by its own wiring if an earlier pod's of the same name is still there. */
function bestIsolation(pod: PodRecord): Isolation | undefined {
  if (pod.locals.size === 0) return isolationOf(pod);
  const all = [...pod.locals].map((l) => isolationOf(pod, l.object));
  return all.includes(undefined) ? undefined : all[0];
}

function ownNodeOf({ cluster, node }: PolicyEngine, pod: PodRecord) {
  const name = pod.locals.size > 0 && node !== undefined ? node : readable(pod.object)?.node;
  return name === undefined ? undefined : cluster.nodes.get(name);
}

function isIn(query: SetQuery | undefined, { pod }: End, packet: JudgedPacket): boolean {
  if (!query || !pod || !selects(query.pods, pod)) return false;
  return elementsFor(query, pod).some(
    (e) =>
      e.ip === packet.peer && (e.protocol === undefined || (e.protocol === packet.protocol && e.port === packet.port)),
  );
}
