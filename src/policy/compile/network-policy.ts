import { cidrContainsCidr } from "../../base/ip/cidr.ts";
import type {
  IpBlock,
  NetworkPolicy,
  NetworkPolicyPeer,
  NetworkPolicyPort,
  NetworkPolicyRule,
} from "../../models/k8s/network-policy.ts";
import { PORT_PROTOCOLS, type PortProtocol } from "../../models/k8s/pod.ts";
import type { LabelSelector } from "../../models/k8s/selector.ts";
import type { Direction, PolicyRef } from "../api.ts";
import { type AddressBlocks, blocksOf, isEmptyBlocks, without } from "./blocks.ts";
import { compileCidr } from "./cidrs.ts";
import type { CompiledPeer, CompiledPolicy, CompiledPort, CompiledRule } from "./compiled.ts";
import { ProblemSink } from "./problems.ts";
import { compileSelector, EVERYTHING, type Selector } from "./selector.ts";

const DIRECTIONS: Readonly<Record<string, Direction>> = { Ingress: "ingress", Egress: "egress" };

/** Beyond this it is worth a word; everything is enforced all the same. */
const MANY_PEERS = 1000;

/**
 * networking.k8s.io/v1. Its rules only ever allow, so what is wrong in a rule allows nothing, and what is wrong with the
 * policy itself isolates every pod that it could be meant for.
 */
export function compileNetworkPolicy(policy: NetworkPolicy): CompiledPolicy {
  const { namespace, name } = policy;
  const sink = new ProblemSink();
  const selector = sink.within("isolates", () => compileSelector(policy.podSelector, "spec.podSelector", sink));
  const understood = sink.within("isolates", () => sink.unknownMembers(policy, "spec"));
  const { directions, certain } = sink.within("isolates", () => directionsOf(policy, sink));
  const closed = selector === undefined || !understood;
  const rules: Partial<Record<Direction, readonly CompiledRule[]>> = {};
  for (const direction of directions) {
    const list = closed ? [] : (policy[direction] ?? []);
    rules[direction] = list.flatMap((r, i) => compileRule(r, i, direction, namespace, sink));
  }
  for (const [type, direction] of Object.entries(DIRECTIONS)) {
    if (rules[direction] || (policy[direction] ?? []).length === 0) continue;
    sink.note(`spec.${direction}`, `the rules have no effect: policyTypes does not name ${type}`);
  }
  if (closed || !certain) rules.ingress ??= [];
  if (closed || !certain) rules.egress ??= [];
  return {
    ref: { kind: "NetworkPolicy", namespace, name },
    tier: "NetworkPolicy",
    priority: 0,
    subject: { scope: { kind: "namespace", name: namespace }, pods: selector ?? EVERYTHING },
    rules,
    problems: sink.list,
  };
}

/** A NetworkPolicy that can't be read isolates its namespace. */
export function unreadableNetworkPolicy(namespace: string, name: string, why: string): CompiledPolicy {
  const ref: PolicyRef = { kind: "NetworkPolicy", namespace, name };
  return {
    ref,
    tier: "NetworkPolicy",
    priority: 0,
    subject: { scope: { kind: "namespace", name: namespace }, pods: EVERYTHING },
    rules: { ingress: [], egress: [] },
    problems: [{ at: "", message: why, effect: "isolates" }],
  };
}

/**
 * "If this field is not specified, it will default based on the existence of ingress or egress rules; policies that contain
 * an egress section are assumed to affect egress, and all policies are assumed to affect ingress." An empty egress section
 * is none, and an empty list is a list that is not specified (SetDefaults_NetworkPolicy).
 */
function directionsOf(policy: NetworkPolicy, sink: ProblemSink): { directions: Set<Direction>; certain: boolean } {
  const types = policy.policyTypes ?? [];
  if (types.length === 0) {
    const egress = (policy.egress ?? []).length > 0;
    return { directions: new Set(egress ? ["ingress", "egress"] : ["ingress"]), certain: true };
  }
  const directions = new Set<Direction>();
  let certain = true;
  for (const [i, type] of types.entries()) {
    const direction = DIRECTIONS[type];
    if (direction) {
      directions.add(direction);
    } else {
      certain = false;
      sink.bad(`spec.policyTypes[${i}]`, `${JSON.stringify(type)} is not Ingress or Egress`);
    }
  }
  return { directions, certain };
}

function compileRule(
  rule: NetworkPolicyRule,
  index: number,
  direction: Direction,
  namespace: string,
  sink: ProblemSink,
): CompiledRule[] {
  const at = `spec.${direction}[${index}]`;
  const side = direction === "ingress" ? "from" : "to";
  if (!sink.within("rule-ignored", () => sink.unknownMembers(rule, at))) return [];
  const given = rule.peers ?? [];
  if (given.length > MANY_PEERS) sink.note(`${at}.${side}`, `${given.length} peers are a lot`);
  const peers: CompiledPeer[] =
    given.length === 0
      ? [{ kind: "any" }]
      : given.flatMap((p, i) => compilePeer(p, `${at}.${side}[${i}]`, namespace, sink) ?? []);
  const ports =
    (rule.ports ?? []).length === 0
      ? undefined
      : rule.ports?.flatMap((p, i) => compilePort(p, `${at}.ports[${i}]`, sink) ?? []);
  if (peers.length === 0 || ports?.length === 0) return [];
  return [{ index, verdict: "accept", peers, ports }];
}

function compilePeer(
  peer: NetworkPolicyPeer,
  at: string,
  namespace: string,
  sink: ProblemSink,
): CompiledPeer | undefined {
  if (!sink.unknownMembers(peer, at)) return undefined;
  const { podSelector, namespaceSelector, ipBlock } = peer;
  if (ipBlock) {
    if (podSelector || namespaceSelector) {
      sink.bad(at, "ipBlock can't be combined with selectors");
      return undefined;
    }
    const blocks = compileIpBlock(ipBlock, `${at}.ipBlock`, sink);
    return blocks && { kind: "blocks", at, blocks };
  }
  if (!podSelector && !namespaceSelector) {
    sink.bad(at, "the peer is empty; one of podSelector, namespaceSelector and ipBlock is needed");
    return undefined;
  }
  const compile = (s: LabelSelector | undefined, member: string): Selector | undefined =>
    s ? compileSelector(s, `${at}.${member}`, sink) : EVERYTHING;
  const pods = compile(podSelector, "podSelector");
  const namespaces = compile(namespaceSelector, "namespaceSelector");
  if (!pods || !namespaces) return undefined;
  const scope = namespaceSelector
    ? ({ kind: "labels", namespaces } as const)
    : ({ kind: "namespace", name: namespace } as const);
  return { kind: "pods", at, pods: { scope, pods } };
}

function compileIpBlock(block: IpBlock, at: string, sink: ProblemSink): AddressBlocks | undefined {
  const understood = sink.unknownMembers(block, at);
  const cidr = compileCidr(block.cidr, `${at}.cidr`, sink);
  const holes = (block.except ?? []).map((text, i) => {
    const place = `${at}.except[${i}]`;
    const except = compileCidr(text, place, sink);
    // The API also wants it to be smaller than the whole; taking the whole away is clear enough.
    if (!except || !cidr || cidrContainsCidr(cidr, except)) return except;
    sink.bad(place, `${text} is not inside ${block.cidr}`);
    return undefined;
  });
  if (!understood || !cidr || holes.includes(undefined)) return undefined;
  const left = without(blocksOf([cidr]), blocksOf(holes.filter((h) => h !== undefined)));
  if (isEmptyBlocks(left)) {
    sink.note(at, "the exceptions leave nothing");
    return undefined;
  }
  return left;
}

const isProtocol = (text: string): text is PortProtocol => PORT_PROTOCOLS.some((p) => p === text);
const isPort = (n: number): boolean => Number.isInteger(n) && n >= 1 && n <= 65_535;
/** IANA service names, as containers' ports have them (apimachinery: IsValidPortName). */
export const isPortName = (name: string): boolean =>
  /^[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?$/.test(name) && /[a-z]/.test(name) && !name.includes("--");

function compilePort(port: NetworkPolicyPort, at: string, sink: ProblemSink): CompiledPort | undefined {
  if (!sink.unknownMembers(port, at)) return undefined;
  const { protocol = "TCP", port: which, endPort } = port;
  const bad = (member: string, message: string): undefined => {
    sink.bad(`${at}.${member}`, message);
    return undefined;
  };
  if (!isProtocol(protocol)) return bad("protocol", `${JSON.stringify(protocol)} is not TCP, UDP or SCTP`);
  if (which === undefined) {
    if (endPort !== undefined) return bad("endPort", "endPort needs a port");
    return { kind: "range", protocol, first: 0, last: 65_535 };
  }
  if (typeof which === "string") {
    if (!isPortName(which)) return bad("port", `${JSON.stringify(which)} can't be the name of a port`);
    if (endPort !== undefined) return bad("endPort", "endPort can't follow a named port");
    return { kind: "name", at, protocol, name: which };
  }
  if (!isPort(which)) return bad("port", `${which} is not between 1 and 65535`);
  if (endPort === undefined) return { kind: "range", protocol, first: which, last: which };
  if (!isPort(endPort)) return bad("endPort", `${endPort} is not between 1 and 65535`);
  if (endPort < which) return bad("endPort", `${endPort} is less than port ${which}`);
  return { kind: "range", protocol, first: which, last: endPort };
}
