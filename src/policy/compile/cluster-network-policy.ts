import type {
  ClusterNetworkPolicy,
  ClusterPeer,
  ClusterPorts,
  ClusterProtocol,
  ClusterRule,
  ClusterSubject,
} from "../../models/k8s/cluster-network-policy.ts";
import type { PortProtocol } from "../../models/k8s/pod.ts";
import type { Direction, TierName, Verdict } from "../api.ts";
import { blocksOf } from "./blocks.ts";
import { compileCidr } from "./cidrs.ts";
import type { CompiledPeer, CompiledPolicy, CompiledPort, CompiledRule, PodQuery } from "./compiled.ts";
import { ProblemSink } from "./problems.ts";
import { compileSelector, EVERYTHING } from "./selector.ts";

const VERDICTS: Readonly<Record<string, Verdict>> = { Accept: "accept", Deny: "deny", Pass: "pass" };
/** Of lists in rules and of rules (maxItems of the CRD). */
const MAX_ITEMS = 25;
/** Before every valid one. */
const CLOSED_PRIORITY = -1;
const ALL_PODS: PodQuery = { scope: { kind: "all" }, pods: EVERYTHING };

/**
 * policy.networking.k8s.io/v1alpha2. What can't be understood fails closed as the API defines it: "For Accept rules,
 * 'fail closed' means: treat the rule as matching no traffic. For Deny and Pass rules, 'fail closed' means: treat the rule
 * as a 'Deny all' rule." A policy whose tier, priority or subject can't be understood has all its rules treated so, before
 * all others, on every pod that it could be meant for.
 */
export function compileClusterNetworkPolicy(policy: ClusterNetworkPolicy): CompiledPolicy {
  const sink = new ProblemSink();
  const { tier, priority, understood, subject } = sink.within("isolates", () => {
    const known = sink.unknownMembers(policy, "spec");
    const placed = place(policy, sink);
    const selected = compileSubject(policy.subject, "spec.subject", sink);
    return { ...placed, understood: known && placed.understood && selected !== undefined, subject: selected };
  });
  const rules: Partial<Record<Direction, readonly CompiledRule[]>> = {};
  for (const direction of ["ingress", "egress"] as const) {
    const list = policy[direction] ?? [];
    if (list.length === 0) continue; // "CNPs with no ingress rules do not affect ingress traffic."
    tooMany(list, `spec.${direction}`, "rules", sink);
    rules[direction] = list.flatMap((rule, i) =>
      understood ? compileRule(rule, i, direction, sink) : closedRule(rule, i),
    );
  }
  return {
    ref: { kind: "ClusterNetworkPolicy", namespace: "", name: policy.name },
    tier: understood ? tier : "Admin",
    priority: understood ? priority : CLOSED_PRIORITY,
    subject: subject ?? ALL_PODS,
    rules,
    problems: sink.list,
  };
}

/** One that can't be read may deny anything to anybody: so it denies everything to everybody. */
export function unreadableClusterNetworkPolicy(name: string, why: string): CompiledPolicy {
  const deny: CompiledRule = { index: 0, verdict: "deny", peers: [{ kind: "any" }], ports: undefined };
  return {
    ref: { kind: "ClusterNetworkPolicy", namespace: "", name },
    tier: "Admin",
    priority: CLOSED_PRIORITY,
    subject: ALL_PODS,
    rules: { ingress: [deny], egress: [deny] },
    problems: [{ at: "", message: why, effect: "isolates" }],
  };
}

function place(
  { tier, priority }: ClusterNetworkPolicy,
  sink: ProblemSink,
): { tier: TierName; priority: number; understood: boolean } {
  let understood = true;
  if (!Number.isInteger(priority) || priority < 0 || priority > 1000) {
    understood = false;
    sink.bad("spec.priority", `${priority} is not between 0 and 1000`);
  }
  if (tier === "Admin" || tier === "Baseline") return { tier, priority, understood };
  sink.bad("spec.tier", `${JSON.stringify(tier)} is not Admin or Baseline`);
  return { tier: "Admin", priority, understood: false };
}

/** Undefined if it can't be understood. Both for subjects and for peers that are pods. */
function compileSubject(subject: ClusterSubject, at: string, sink: ProblemSink): PodQuery | undefined {
  if (!sink.unknownMembers(subject, at)) return undefined;
  const { namespaces, pods } = subject;
  if ((namespaces === undefined) === (pods === undefined)) {
    sink.bad(at, "exactly one member is needed");
    return undefined;
  }
  if (namespaces) {
    const selector = compileSelector(namespaces, `${at}.namespaces`, sink);
    return selector && { scope: { kind: "labels", namespaces: selector }, pods: EVERYTHING };
  }
  if (!pods || !sink.unknownMembers(pods, `${at}.pods`)) return undefined;
  const inNamespaces = compileSelector(pods.namespaceSelector, `${at}.pods.namespaceSelector`, sink);
  const selector = compileSelector(pods.podSelector, `${at}.pods.podSelector`, sink);
  return inNamespaces && selector && { scope: { kind: "labels", namespaces: inNamespaces }, pods: selector };
}

/** What a rule that is not understood does. */
function closedRule(rule: ClusterRule, index: number): CompiledRule[] {
  if (rule.action === "Accept") return [];
  return [{ index, name: rule.name, verdict: "deny", peers: [{ kind: "any" }], ports: undefined }];
}

function compileRule(rule: ClusterRule, index: number, direction: Direction, sink: ProblemSink): CompiledRule[] {
  const at = `spec.${direction}[${index}]`;
  const side = direction === "ingress" ? "from" : "to";
  const verdict = VERDICTS[rule.action];
  return sink.within(verdict === "accept" ? "rule-ignored" : "rule-denies", () => {
    let understood = sink.unknownMembers(rule, at);
    if (!verdict) sink.bad(`${at}.action`, `${JSON.stringify(rule.action)} is not Accept, Deny or Pass`);
    if (rule.peers.length === 0) {
      understood = false;
      sink.bad(`${at}.${side}`, "at least one peer is needed");
    }
    tooMany(rule.peers, `${at}.${side}`, "peers", sink);
    const peers = rule.peers.map((p, i) => compilePeer(p, `${at}.${side}[${i}]`, direction, sink));
    const ports = rule.protocols?.map((p, i) => compileProtocol(p, `${at}.protocols[${i}]`, sink));
    if (ports) {
      tooMany(ports, `${at}.protocols`, "protocols", sink);
      if (ports.length === 0) {
        understood = false;
        sink.bad(`${at}.protocols`, "at least one protocol is needed");
      }
      if (ports.some((p) => p?.kind === "name") && peers.some((p) => p?.kind === "blocks")) {
        understood = false;
        sink.bad(`${at}.protocols`, "networks have no named ports");
      }
    }
    const known = peers.filter((p) => p !== undefined);
    const knownPorts = ports?.filter((p) => p !== undefined);
    if (!understood || !verdict || known.length < peers.length || knownPorts?.length !== ports?.length) {
      return closedRule(rule, index);
    }
    return [{ index, name: rule.name, verdict, peers: known, ports: knownPorts }];
  });
}

function compilePeer(peer: ClusterPeer, at: string, direction: Direction, sink: ProblemSink): CompiledPeer | undefined {
  const { networks, ...rest } = peer;
  if (networks === undefined) {
    const pods = compileSubject(rest, at, sink);
    return pods && { kind: "pods", at, pods };
  }
  if (!sink.unknownMembers(peer, at)) return undefined;
  if (direction === "ingress" || peer.namespaces || peer.pods) {
    sink.bad(at, direction === "ingress" ? "ingress knows no networks" : "exactly one member is needed");
    return undefined;
  }
  if (networks.length === 0) sink.bad(`${at}.networks`, "at least one network is needed");
  tooMany(networks, `${at}.networks`, "networks", sink);
  const parsed = networks.map((text, i) => compileCidr(text, `${at}.networks[${i}]`, sink));
  const known = parsed.filter((c) => c !== undefined);
  if (known.length === 0 || known.length < parsed.length) return undefined;
  return { kind: "blocks", at, blocks: blocksOf(known) };
}

function compileProtocol(p: ClusterProtocol, at: string, sink: ProblemSink): CompiledPort | undefined {
  if (!sink.unknownMembers(p, at)) return undefined;
  const given = (["tcp", "udp", "sctp", "destinationNamedPort"] as const).filter((m) => p[m] !== undefined);
  const [member] = given;
  if (member === undefined || given.length > 1) {
    sink.bad(at, "exactly one member is needed");
    return undefined;
  }
  if (member === "destinationNamedPort") {
    if (p.destinationNamedPort) return { kind: "name", at, name: p.destinationNamedPort };
    sink.bad(`${at}.${member}`, "the name is empty");
    return undefined;
  }
  const protocol = ({ tcp: "TCP", udp: "UDP", sctp: "SCTP" } as const)[member];
  return compilePorts(p[member] ?? {}, protocol, `${at}.${member}`, sink);
}

function compilePorts(
  ports: ClusterPorts,
  protocol: PortProtocol,
  at: string,
  sink: ProblemSink,
): CompiledPort | undefined {
  if (!sink.unknownMembers(ports, at)) return undefined;
  const { number, range } = ports;
  const [first, last] = range ? [range.start, range.end] : [number, number];
  if (first === undefined || last === undefined || (range && number !== undefined)) {
    sink.bad(at, "either destinationPort.number or destinationPort.range is needed");
    return undefined;
  }
  const inRange = (n: number): boolean => Number.isInteger(n) && n >= 1 && n <= 65_535;
  if (!inRange(first) || !inRange(last) || last < first) {
    sink.bad(`${at}.destinationPort`, `${range ? `${first}-${last}` : first} is no port or range of ports`);
    return undefined;
  }
  return { kind: "range", protocol, first, last };
}

function tooMany(list: readonly unknown[], at: string, what: string, sink: ProblemSink): void {
  if (list.length > MAX_ITEMS) sink.note(at, `${list.length} ${what}; the API allows ${MAX_ITEMS}`);
}
