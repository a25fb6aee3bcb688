import type { PodEnd, Wire, WireEnd } from "../models/wire.ts";
import type { PodEndRow, WireEndRow, WireRow, WireSurroundings } from "./api.ts";

/** Why there is no row of a wire. */
export interface Unresolved {
  readonly state: "refused" | "waiting";
  readonly reason: string;
}

class Problem extends Error {
  readonly state: Unresolved["state"];

  constructor(state: Unresolved["state"], reason: string) {
    super(reason);
    this.state = state;
  }
}

/**
 * The rows of wires on this node, in the order of their names, and why others have none: an end that is not there (yet), or
 * that a wire before has. One that makes no sense takes nothing from others.
 */
export function resolveWires(
  wires: Iterable<Wire>,
  surroundings: WireSurroundings,
): ReadonlyMap<string, Unresolved | WireRow> {
  const found = new Map<string, Unresolved | WireRow>();
  const holders = new Map<string, string>();
  for (const wire of [...wires].sort((a, b) => (a.name < b.name ? -1 : 1))) {
    try {
      const claims = wire.ends.flatMap(claimsOf);
      for (const claim of claims) {
        const holder = holders.get(claim);
        if (holder !== undefined) throw new Problem("refused", `${claim} is an end of wire ${holder}`);
      }
      const [first, second] = wire.ends.map((end) => resolveEnd(end, wire.layer, surroundings));
      if (!first || !second) throw new Problem("refused", "a wire has two ends");
      for (const claim of claims) holders.set(claim, wire.name);
      const mtu = Math.min(mtuOf(first, surroundings.underlayMtu), mtuOf(second, surroundings.underlayMtu));
      found.set(wire.name, { name: wire.name, layer: wire.layer, ends: [first, second], mtu });
    } catch (e) {
      if (!(e instanceof Problem)) throw e;
      found.set(wire.name, { state: e.state, reason: e.message });
    }
  }
  return found;
}

/** What no other wire can have. */
function claimsOf(end: WireEnd): readonly string[] {
  if ("pod" in end) return [`${end.interface} of pod ${end.pod}`];
  if ("vxlan" in end) return [`VNI ${end.vxlan.vni} to ${end.vxlan.remote}`];
  if ("srv6" in end) return [`SID ${end.srv6.sid}`];
  // VPP has a peer of one key once.
  return [`UDP port ${end.wireguard.port}`, `WireGuard key ${end.wireguard.publicKey}`];
}

function resolveEnd(
  end: WireEnd,
  layer: Wire["layer"],
  { interfaces, underlayIps, overlayVni }: WireSurroundings,
): WireEndRow {
  const ownLike = (address: string): string => {
    const ipv6 = address.includes(":");
    const own = underlayIps.find((ip) => ip.includes(":") === ipv6);
    if (own !== undefined) return own;
    throw new Problem("refused", `this node has no IPv${ipv6 ? 6 : 4} address to reach ${address} from`);
  };
  if ("vxlan" in end) {
    const { remote, vni } = end.vxlan;
    if (vni === overlayVni) throw new Problem("refused", `VNI ${vni} is the overlay's`);
    if (underlayIps.includes(remote)) throw new Problem("refused", `${remote} is this node itself`);
    return { kind: "vxlan", local: ownLike(remote), ...end.vxlan };
  }
  if ("srv6" in end) return { kind: "srv6", source: ownLike("::"), ...end.srv6 };
  if ("wireguard" in end) {
    return { kind: "wireguard", local: ownLike(end.wireguard.endpoint.address), ...end.wireguard };
  }
  return resolvePod(end, layer, interfaces);
}

const ETHERNET = 14;
const UDP = 8;
const ipHeader = (address: string): number => (address.includes(":") ? 40 : 20);

/** The largest packet that an end takes without cutting it, or what carries it. */
function mtuOf(end: WireEndRow, underlayMtu: number): number {
  switch (end.kind) {
    case "pod":
      return end.mtu;
    case "vxlan":
      return underlayMtu - ipHeader(end.remote) - UDP - 8 - ETHERNET;
    case "srv6":
      // RFC 8754: 8 bytes, and 16 for each segment.
      return underlayMtu - 40 - 8 - 16 * end.segments.length - ETHERNET;
    case "wireguard":
      // Header, tag, and what fills up to a multiple of 16.
      return underlayMtu - ipHeader(end.endpoint.address) - UDP - 32 - 15;
  }
}

function resolvePod(end: PodEnd, layer: Wire["layer"], interfaces: WireSurroundings["interfaces"]): PodEndRow {
  const ofPod = interfaces.filter(({ pod }) => pod === end.pod);
  const found = ofPod.find(({ name }) => name === end.interface);
  if (!found) {
    throw new Problem("waiting", `no pod ${end.pod} with an interface ${end.interface} by annotation is on this node`);
  }
  const { hostIf, mtu, kind } = found;
  if (layer === "l2") return { kind: "pod", hostIf, mtu, addresses: [], mac: undefined };
  const mac = end.mac ?? (kind === "memif" ? undefined : found.mac);
  if (mac === undefined) {
    throw new Problem("refused", `${end.interface} of pod ${end.pod} is a memif: the wire has to tell its peer's mac`);
  }
  return { kind: "pod", hostIf, mtu, addresses: end.addresses ?? [], mac };
}
