import type { InterfaceNames, NamedInterface } from "./interface-names.ts";
import { label } from "./interface-names.ts";
import { flowText, parseFlow, type TraceNode } from "./trace-text.ts";

/** What nodes' texts are put into words with. */
export interface Vocabulary {
  readonly names: InterfaceNames;
  /** Tags of ACLs by their index. */
  readonly acls: ReadonlyMap<number, string>;
}

/** What a node decided, in a few words. */
export function explain(node: TraceNode, words: Vocabulary): string {
  for (const [pattern, say] of NODES) {
    if (!pattern.test(node.node)) continue;
    const said = say(node, words);
    if (said !== undefined) return said;
  }
  return node.text[0]?.trim() ?? "";
}

type Say = (node: TraceNode, words: Vocabulary) => string | undefined;

const headers: Say = ({ text }) => {
  const flow = parseFlow(text);
  if (!flow) return undefined;
  const rest = [/\b(?:ttl|hop limit) \d+/, /\b(?:payload )?length \d+/].map((p) => p.exec(text.join("\n"))?.[0]);
  return [flowText(flow), ...rest.filter((part) => part !== undefined)].join(", ");
};

/** By what VPP prints in texts: `sw_if_index 2`. */
const byIndex = (index: string | undefined, { names }: Vocabulary): string => {
  const found = index === undefined ? undefined : names.byIndex(Number(index));
  return found ? label(found) : `interface ${index ?? "?"}`;
};

const byVppName = (name: string, { names }: Vocabulary): string => {
  const found = names.byVppName(name);
  return found ? label(found) : name;
};

/** The match in any of the node's lines. */
const find = ({ text }: TraceNode, pattern: RegExp): RegExpExecArray | null => pattern.exec(text.join("\n"));

/** `af_packet: hw_if_index 1 rx-queue 0 next-index 4` … `len 98 snaplen 98` */
const received: Say = (node, words) => {
  const from = receivedFrom(node, words.names);
  const length = find(node, /\blen (\d+)\b/)?.[1];
  return from && `from ${label(from)}${length === undefined ? "" : `, ${length} bytes`}`;
};

export function receivedFrom(node: TraceNode, names: InterfaceNames): NamedInterface | undefined {
  const index = find(node, /\bhw_if_index (\d+)\b/)?.[1];
  if (index !== undefined) return names.byHardwareIndex(Number(index));
  return names.byVppName(find(node, /^(\S+) rx queue \d+/)?.[1] ?? ""); // dpdk-input
}

/** `acl-plugin: lc_index: 0, sw_if_index 1, next index 1, action: 2, match: acl 0 rule 0 trace_bits 00000000` */
const acl: Say = (node, { acls }) => {
  const match = find(node, /action: (\d+), match: acl (-?\d+) rule (-?\d+)/);
  if (!match) return undefined;
  const [, action, index = "", rule = ""] = match;
  const tag = acls.get(Number(index));
  const by = `by rule ${rule} of ACL ${index}${tag ? ` (${tag})` : ""}`;
  switch (action) {
    case "0":
      return Number(index) < 0 ? "denied: no rule fits" : `denied ${by}`;
    case "1":
      return `permitted ${by}`;
    case "2":
      return `permitted ${by}, the way back as well`;
    case "3":
      return "of a permitted session";
    default:
      return undefined;
  }
};

/**
 *     session found
 *     in:host-hda out:DELETED (4294967295)
 *       [ in ] TCP [10.1.0.2;42630 -> 10.2.0.2;8080] node:65535 lbi:4294967295 fl:16 fib:0
 *     TCP [10.1.0.2;42630 -> 10.2.0.2;8080] node:65535 lbi:4294967295 fl:16 fib:0
 *
 * The last line is there if the packet is rewritten.
 */
const cnat: Say = (node) => {
  const to = find(node, /^(\w+) \[(\S+);(\d+) -> (\S+);(\d+)\]/m);
  const session = node.text[0]?.trim() ?? "";
  if (!to) return `${session}, not translated`;
  const [, proto = "", src = "", srcPort, dst = "", dstPort] = to;
  const ports = { src: Number(srcPort), dst: Number(dstPort) };
  return `${session}, becomes ${flowText({ proto, src, dst, ports })}`;
};

/** `tx_sw_if_index 2 dpo-idx 5 : ipv4 via 10.2.0.2 host-hdb: mtu:9000 next:4 …` */
const rewrite: Say = (node, words) => {
  const match = find(node, /tx_sw_if_index (\d+) .*?: (?:ipv[46] via )?(\S+)/);
  return match ? `to ${byIndex(match[1], words)} via ${match[2] ?? "?"}` : undefined;
};

const lookup: Say = (node) => {
  const match = find(node, /fib (\d+) dpo-idx (\d+)/);
  return match ? `in FIB ${match[1] ?? ""}: adjacency ${match[2] ?? ""}` : undefined;
};

/** `request, type ethernet/IP4, address size 6/4`, `8e:63:05:95:52:5e/10.1.0.2 -> 00:00:00:00:00:00/10.1.0.1` */
const arp: Say = (node) => {
  const match = find(node, /^(request|reply)[^]*?\/([0-9.]+) -> \S+?\/([0-9.]+)/m);
  if (!match) return undefined;
  const [, kind, sender = "", target = ""] = match;
  return kind === "request" ? `${sender} asks for ${target}` : `${sender} tells ${target}`;
};

/** `VXLAN encap to vxlan_tunnel0 vni 10`, `VXLAN decap from vxlan_tunnel0 vni 10 next 1 error 0` */
const vxlan: Say = (node, words) => {
  const match = find(node, /VXLAN (encap to|decap from) (\S+) vni (\d+)/);
  if (!match) return undefined;
  const [, way, name = "", vni = ""] = match;
  return `${way === "encap to" ? "into" : "out of"} ${byVppName(name, words)}, VNI ${vni}`;
};

const bridged =
  (how: string): Say =>
  (node, words) => {
    const match = find(node, /sw_if_index (\d+) dst (\S+) src (\S+)/);
    if (!match) return undefined;
    const [, index, dst = "", src = ""] = match;
    return `${how} ${byIndex(index, words)}: ${src} -> ${dst}`;
  };

/** `… dst 02:00:00:00:00:09 src … bd_index 1 result [0x200000003, 3] age-not`; -1 is a miss */
const forwarded: Say = (node, words) => {
  const match = find(node, /dst (\S+) .*result \[0x[0-9a-f]+, (-?\d+)\]/);
  if (!match) return undefined;
  const [, dst = "", index = ""] = match;
  return index.startsWith("-") ? `${dst} is not known` : `${dst} is behind ${byIndex(index, words)}`;
};

const dropped: Say = ({ text }) => text.map((line) => line.trim()).join("; ") || undefined;

/** Nodes that packets are sent to by routes that drop, and for want of a route. */
export const ROUTE_DROPS = /^(ip[46]|mpls)-drop$/;
export const NO_ROUTE = "no route, or one that drops";

/** The first pattern that fits and has something to say; nodes that none fits are shown with their own first line. */
const NODES: readonly (readonly [RegExp, Say])[] = [
  [/^(drop|punt)$/, dropped],
  [
    /^error-(drop|punt)$/,
    ({ text }, words) => text[0]?.trim().replace(/^rx:(\S+)/, (_, n: string) => `came in from ${byVppName(n, words)}`),
  ],
  [ROUTE_DROPS, () => NO_ROUTE],
  [/^ip[46]-receive$/, () => "for VPP itself"],
  [/^acl-plugin-/, acl],
  [/^cnat-/, cnat],
  [/^vxlan/, vxlan],
  [/^l2-input$/, bridged("from")],
  [/^l2-output$/, bridged("to")],
  [/^l2-learn$/, bridged("learnt from")],
  [/^l2-flood$/, bridged("flooded from")],
  [/^l2-fwd$/, forwarded],
  [/^arp-|^ip4-(arp|glean)$/, arp],
  [/^ip[46]-(lookup|load-balance)/, lookup],
  [/^ip[46]-(rewrite|midchain)/, rewrite],
  [/-tx$/, ({ node }, words) => `sent through ${byVppName(node.slice(0, -"-tx".length), words)}`],
  [/-output$/, (n, words) => outOf(n, words)],
  [/-input$/, received],
  [/./, headers],
];

/** The node of an interface's output: `host-hda-output`. */
function outOf(node: TraceNode, words: Vocabulary): string | undefined {
  const out = words.names.byVppName(node.node.slice(0, -"-output".length));
  return (
    out &&
    [`out of ${label(out)}`, headers(node, words) ?? arp(node, words)].filter((part) => part !== undefined).join(": ")
  );
}
