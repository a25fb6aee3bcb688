import { HeddleError } from "../../base/errors/errors.ts";
import { expectedApi } from "./binapi/gen/expected.gen.ts";
import { formatDifferences, type MessageDifference } from "./binapi/index.ts";

interface Feature {
  /** Without `_plugin.so`; undefined for what VPP itself has. */
  readonly plugin?: string;
  /** What is off without it, in words. */
  readonly off: string;
}

/** What needs an API file, by the file's name: those of plugins, which a startup.conf can leave out. */
const FEATURES: Readonly<Record<string, Feature>> = {
  abf: { plugin: "abf", off: "pods' way to the outside" },
  acl: { plugin: "acl", off: "network policies and pods' way to the outside" },
  af_xdp: { plugin: "af_xdp", off: "uplinks by AF_XDP" },
  af_packet: { plugin: "af_packet", off: "the uplink, the host and pods by veth pairs" },
  cnat: { plugin: "cnat", off: "services and host ports" },
  dpdk: { plugin: "dpdk", off: "uplinks by DPDK" },
  dhcp: { plugin: "dhcp", off: "addresses of uplinks by DHCP" },
  geneve: { plugin: "geneve", off: "Geneve tunnels" },
  gre: { plugin: "gre", off: "GRE tunnels" },
  l3xc: { plugin: "l3xc", off: "L3 cross-connects of wires" },
  memif: { plugin: "memif", off: "memif interfaces of pods" },
  nat44_ed: { plugin: "nat", off: "NAT44" },
  policer: { plugin: "policer", off: "limits of what pods send" },
  ping: { plugin: "ping", off: "pings by VPP" },
  stn: { plugin: "stn", off: "rules of what goes to the host" },
  svs: { plugin: "svs", off: "tables chosen by source" },
  tapv2: { plugin: "tap", off: "taps" },
  tracedump: { plugin: "tracedump", off: "packet traces" },
  urpf: { plugin: "urpf", off: "checks of source addresses" },
  vxlan: { plugin: "vxlan", off: "the overlay" },
  wireguard: { plugin: "wireguard", off: "WireGuard" },
};

/**
 * What a VPP lacks of what this build knows, for status: a plugin that is missing with what is off without it, else the
 * messages, by field. Only items that need it fail; empty for the VPP that this was built for.
 */
export function featureWarnings(differences: readonly MessageDifference[]): string[] {
  const missing = new Set<string>();
  const others: MessageDifference[] = [];
  const isWhole = wholeModules(differences);
  for (const difference of differences) {
    if (difference.kind === "missing" && isWhole.has(difference.module)) missing.add(difference.module);
    else others.push(difference);
  }
  const plugins = [...missing].map(withoutPlugin);
  const lines = formatDifferences(others).split("\n");
  return [...plugins.toSorted(), ...lines.filter((line) => line !== "").map((line) => `VPP: ${line}`)];
}

/** What is off without the plugin that has the API file `module`, in words. */
export function withoutPlugin(module: string): string {
  const { plugin = module, off = `what needs ${module}.api` } = FEATURES[module] ?? {};
  return `VPP has no ${plugin} plugin: off without it: ${off}`;
}

/**
 * Something needs a plugin that VPP does not have, or that was left out of its startup.conf, or that is of another version:
 * `cause` tells that. The message says what is off.
 */
export class NoPluginError extends HeddleError<"NO_VPP_PLUGIN"> {
  constructor(module: string, cause?: Error) {
    super("NO_VPP_PLUGIN", `${withoutPlugin(module)}${cause ? ` (${cause.message})` : ""}`, { cause });
  }
}

/** Modules of plugins none of whose messages is there: where only some are missing, VPP is of another version. */
function wholeModules(differences: readonly MessageDifference[]): ReadonlySet<string> {
  const left = new Map<string, number>();
  for (const { module } of Object.values(expectedApi.messages)) left.set(module, (left.get(module) ?? 0) + 1);
  for (const { module, kind } of differences) {
    if (kind === "missing") left.set(module, (left.get(module) ?? 0) - 1);
  }
  return new Set([...left].flatMap(([module, count]) => (count === 0 && module in FEATURES ? [module] : [])));
}
