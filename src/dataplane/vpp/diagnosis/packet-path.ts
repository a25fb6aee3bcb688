import { explain, NO_ROUTE, ROUTE_DROPS, receivedFrom, type Vocabulary } from "./explain.ts";
import type { NamedInterface } from "./interface-names.ts";
import { type InterfaceNames, label } from "./interface-names.ts";
import { flowText, parseFlow, type TraceNode } from "./trace-text.ts";

/** One step of a packet. */
export interface PathStep {
  readonly node: string;
  /** Microseconds after the first step. */
  readonly after: number;
  readonly says: string;
}

/** What became of a packet. */
export type Verdict =
  | { readonly kind: "sent"; readonly interface: string }
  | { readonly kind: "dropped" | "punted"; readonly node: string; readonly why: string }
  /** It was still inside VPP when its trace was read, or left it in a way that the tracer does not see. */
  | { readonly kind: "last-seen"; readonly node: string };

/** A traced packet, put into words. */
export interface PacketPath {
  /** Seconds since VPP's start. */
  readonly at: number;
  /** `TCP 10.1.0.2:42630 -> 10.96.0.1:80 SYN`; as it came in. */
  readonly packet: string;
  /** Where it came in. */
  readonly from?: string;
  readonly verdict: Verdict;
  readonly steps: readonly PathStep[];
}

export function packetPath(nodes: readonly TraceNode[], words: Vocabulary): PacketPath {
  const start = nodes[0]?.at ?? 0;
  const steps = nodes.map((n) => ({ node: n.node, after: n.at - start, says: explain(n, words) }));
  const flow = nodes.map(({ text }) => parseFlow(text)).find((f) => f !== undefined);
  const arp = steps.find(({ node }) => node.startsWith("arp-"));
  const ethernet = steps.find(({ node }) => node === "ethernet-input");
  const from = nodes[0] && receivedFrom(nodes[0], words.names);
  return {
    at: start / 1e6,
    packet: flow ? flowText(flow) : arp ? `ARP ${arp.says}` : (ethernet?.says ?? "packet"),
    ...(from ? { from: label(from) } : {}),
    verdict: verdictOf(nodes, words.names),
    steps,
  };
}

/** Nodes that only carry a packet to where it ends. */
const ENDS: ReadonlySet<string> = new Set(["error-drop", "error-punt", "drop", "punt"]);

function verdictOf(nodes: readonly TraceNode[], names: InterfaceNames): Verdict {
  const last = nodes.at(-1);
  if (!last) return { kind: "last-seen", node: "" };
  if (last.node === "drop" || last.node === "punt") {
    const before = nodes.findLast(({ node }) => !ENDS.has(node));
    const node = before?.node ?? last.node;
    return { kind: last.node === "drop" ? "dropped" : "punted", node, why: reasonOf(node, last.text) };
  }
  if (!last.node.endsWith("-tx")) return { kind: "last-seen", node: last.node };
  const vppName = last.node.slice(0, -"-tx".length);
  const found = names.byVppName(vppName);
  return { kind: "sent", interface: found ? label(found) : vppName };
}

/** `acl-plugin-in-ip4-fa: ACL deny packets`: the node that counted, and what; without the node if it is `by`. */
function reasonOf(by: string, text: readonly string[]): string {
  // A route that drops counts nothing: what is named then is whatever counted this packet last.
  if (ROUTE_DROPS.test(by)) return NO_ROUTE;
  return text.map((line) => line.trim().replace(`${by}: `, "")).join("; ");
}

/** Whether a packet came in through an interface, went out of it, or through it as a bridge port or tunnel. */
export function passes(
  nodes: readonly TraceNode[],
  { swIfIndex, vppName }: NamedInterface,
  names: InterfaceNames,
): boolean {
  return nodes.some((n) => {
    if (n.node === `${vppName}-tx` || n.node === `${vppName}-output`) return true;
    if (receivedFrom(n, names)?.swIfIndex === swIfIndex) return true;
    if (!/^l2-|^vxlan/.test(n.node)) return false;
    const text = n.text.join("\n");
    return new RegExp(`\\bsw_if_index ${swIfIndex}\\b`).test(text) || text.split(/\s+/).includes(vppName);
  });
}

/** What became of it, for people. */
export function verdictText(verdict: Verdict): string {
  switch (verdict.kind) {
    case "sent":
      return `sent through ${verdict.interface}`;
    case "dropped":
    case "punted":
      return `${verdict.kind} by ${verdict.node}${verdict.why === "" ? "" : `: ${verdict.why}`}`;
    case "last-seen":
      return `last seen in ${verdict.node}`;
    default:
      return verdict satisfies never;
  }
}

/** A packet's path as lines: what it was and became, then node by node. */
export function pathText(path: PacketPath, number: number): string {
  const width = Math.max(...path.steps.map(({ node }) => node.length));
  const lines = path.steps.map(({ node, after, says }) =>
    `  ${`+${after} µs`.padStart(10)}  ${node.padEnd(width)}  ${says}`.trimEnd(),
  );
  const from = path.from === undefined ? "" : `, from ${path.from}`;
  const head = `packet ${number}: ${path.packet}${from}: ${verdictText(path.verdict)}`;
  return [head, ...lines].join("\n");
}
