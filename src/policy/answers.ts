import { readable } from "../models/k8s/entry.ts";
import type { NamedPort, PortProtocol } from "../models/k8s/pod.ts";
import type { PortRange } from "./api.ts";
import { AskError, parseEnd, parseTraffic, type Traffic } from "./ask.ts";
import type { PolicyEngine } from "./engine.ts";
import { type EndName, type ExplainedFlow, explain } from "./explain.ts";
import { podKey } from "./index/cluster.ts";
import { type PodRecord } from "./index/records.ts";
import { podName, rangeWords } from "./words.ts";

/** What `policy explain` answers. */
export interface PolicyAnswer {
  /** As it was asked. */
  readonly from: string;
  readonly to: string;
  readonly traffic: string;
  /** Whether all of it is allowed; undefined if there is nothing to judge: see `note`. */
  readonly allowed?: boolean | undefined;
  readonly flows: readonly AnsweredFlow[];
  readonly note?: string | undefined;
}

/** Without `protocol` one without ports, such as ICMP. */
export interface AnsweredFlow extends ExplainedFlow {
  readonly protocol?: PortProtocol | undefined;
  readonly ports?: Pick<PortRange, "first" | "last"> | undefined;
}

/** Parts of a protocol's ports that are judged one by one; policies with more bounds than that are not explained at once. */
const MAX_PARTS = 1024;

/** Whether `from` may reach `to`, and why, as the cluster's objects are known here. @throws AskError */
export function answer(engine: PolicyEngine, asked: Pick<PolicyAnswer, "from" | "to" | "traffic">): PolicyAnswer {
  const [from, to] = [parseEnd(engine, asked.from), parseEnd(engine, asked.to)];
  const traffic = parseTraffic(asked.traffic);
  const parts = partsOf(engine, from, to, traffic);
  const flows: AnsweredFlow[] = [];
  let note: string | undefined;
  for (const part of parts) {
    const { protocol, first = 0 } = part ?? {};
    const explained = explain(engine, { from, to, protocol, port: first });
    note ??= explained.note;
    for (const flow of explained.flows) flows.push(part ? { ...flow, protocol, ports: pick(part) } : flow);
  }
  if (flows.length === 0) return { ...asked, flows, note };
  const merged = mergedParts(flows);
  return { ...asked, allowed: merged.every((f) => f.allowed), flows: merged };
}

const pick = ({ first, last }: PortRange): { first: number; last: number } => ({ first, last });

/** Ranges of ports that no policy tells apart; undefined: no ports. */
function partsOf(engine: PolicyEngine, from: EndName, to: EndName, traffic: Traffic): (PortRange | undefined)[] {
  switch (traffic.kind) {
    case "portless":
      return [undefined];
    case "port":
      return [{ protocol: traffic.protocol, first: traffic.port, last: traffic.port }];
    case "name":
      return namedPorts(engine, to, traffic).map(({ protocol, port }) => ({ protocol, first: port, last: port }));
    case "protocol":
      return allPorts(engine, recordOf(engine, from), recordOf(engine, to), traffic.protocol);
  }
}

function recordOf({ cluster }: PolicyEngine, end: EndName): PodRecord | undefined {
  return "ip" in end ? cluster.claims.owner(end.ip) : cluster.pods.get(podKey(end.pod));
}

function namedPorts(
  engine: PolicyEngine,
  to: EndName,
  { name, protocol }: Extract<Traffic, { kind: "name" }>,
): readonly NamedPort[] {
  const pod = recordOf(engine, to);
  if (!pod) {
    const who = "ip" in to ? to.ip : podName(to.pod);
    throw new AskError("BAD_QUESTION", `port ${name}: ${who} is no pod that is known, so its ports have no names`);
  }
  const ports = readable(pod.object)?.ports ?? [];
  const found = ports.filter((p) => p.name === name && (protocol ?? p.protocol) === p.protocol);
  if (found.length > 0) return found;
  const what = `port named ${name}${protocol ? ` of ${protocol}` : ""}`;
  const has = ports.map((p) => `${p.name} (${p.protocol} ${p.port})`).join(", ") || "none with a name";
  throw new AskError("BAD_QUESTION", `pod ${pod.key} has no ${what}; it has ${has}`);
}

function allPorts(
  { policies }: PolicyEngine,
  from: PodRecord | undefined,
  to: PodRecord | undefined,
  protocol: PortProtocol,
): PortRange[] {
  const bounds = new Set([1]);
  const range = (first: number, last: number): void => {
    bounds.add(Math.max(1, first));
    if (last < 65_535) bounds.add(last + 1);
  };
  for (const pod of [from, to]) {
    for (const { rules } of pod ? policies.selecting(pod) : []) {
      for (const rule of [...(rules.ingress ?? []), ...(rules.egress ?? [])]) {
        for (const p of rule.ports ?? []) if (p.kind === "range" && p.protocol === protocol) range(p.first, p.last);
      }
    }
  }
  // Whatever names they have, somebody's rule may mean them.
  for (const { port, ...p } of (to && readable(to.object)?.ports) ?? []) if (p.protocol === protocol) range(port, port);
  const sorted = [...bounds].sort((a, b) => a - b);
  if (sorted.length > MAX_PARTS) {
    throw new AskError(
      "BAD_QUESTION",
      `policies divide the ports of ${protocol} in ${sorted.length}; ask about one port`,
    );
  }
  return sorted.map((first, i) => ({ protocol, first, last: (sorted[i + 1] ?? 65_536) - 1 }));
}

/** Ranges that follow each other and come to the same are one. Those of one family stay together. */
function mergedParts(flows: readonly AnsweredFlow[]): AnsweredFlow[] {
  const out: AnsweredFlow[] = [];
  for (const family of [4, 6] as const) {
    let before: AnsweredFlow | undefined;
    for (const flow of flows) {
      if (flow.family !== family) continue;
      if (before?.ports && flow.ports && before.ports.last + 1 === flow.ports.first && same(before, flow)) {
        before = { ...before, ports: { first: before.ports.first, last: flow.ports.last } };
        out[out.length - 1] = before;
      } else {
        out.push((before = flow));
      }
    }
  }
  return out;
}

const same = (a: AnsweredFlow, b: AnsweredFlow): boolean =>
  JSON.stringify({ ...a, ports: undefined }) === JSON.stringify({ ...b, ports: undefined });

/** `TCP 80`, `all of UDP`, `ICMP`. */
export const trafficWords = ({ protocol, ports }: AnsweredFlow): string =>
  protocol && ports ? rangeWords({ protocol, ...ports }) : "ICMP";
