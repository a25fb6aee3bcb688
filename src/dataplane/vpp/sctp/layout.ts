import { addressBits, bytesToIp, type IpAddress, type IpFamily, ipToBytes } from "../../../base/ip/address.ts";
import type { SctpRule, SctpRuleKind } from "../../../models/vpp/sctp.ts";

/** As VPP sees it: what an interface receives from a pod, or sends to it. */
export type Way = "input" | "output";

/** All rules that look at the same bits of a packet: a table of VPP's classifier. */
export interface Shape {
  readonly kind: SctpRuleKind;
  /** Of the peer's network. */
  readonly length: number;
  /** Of the port. */
  readonly bits: number;
}

/** Vectors of 16 bytes that a table compares, from the beginning of the IP header to the type of the first chunk. */
export const VECTORS = { 4: 3, 6: 4 } as const;
const BYTES = 16;
export const SCTP = 132;
/** RFC 9260, section 3.3.2. An INIT is alone in its packet (section 4.3). */
const INIT = 1;

/** Offsets in headers of IP without options or extensions. */
const LAYOUT = {
  4: { protocol: 9, source: 12, destination: 16, payload: 20 },
  6: { protocol: 6, source: 8, destination: 24, payload: 40 },
} as const;
/** Behind the ports, the tag and the checksum. */
const CHUNK = 12;
const PASSES: ReadonlySet<SctpRuleKind> = new Set(["answers", "begun", "self"]);
export const passes = (kind: SctpRuleKind): boolean => PASSES.has(kind);

const RANKS = { begun: 2, init: 20, answers: 21, rest: 40 } as const;
const STEP = 64;
/** The place of {@link extensions}, before all others. */
export const EXTENSIONS = 0;
const SELF = 1;

/** Where rules of a shape are asked, among those of their family. */
export function placeOf(family: IpFamily, { kind, length, bits }: Shape): number {
  if (kind === "self") return SELF;
  const rank = RANKS[kind] + (kind === "begun" || kind === "answers" ? 16 - bits : 0);
  return (addressBits(family) - length) * STEP + rank;
}

/** The inverse of {@link placeOf}; undefined for a place that no rules have. */
export function shapeAt(family: IpFamily, place: number): Shape | undefined {
  if (place === SELF) return { kind: "self", length: addressBits(family), bits: 0 };
  const length = addressBits(family) - Math.floor(place / STEP);
  const rank = place % STEP;
  if (length < 0) return undefined;
  if (rank >= RANKS.begun && rank <= RANKS.begun + 16) return { kind: "begun", length, bits: 16 + RANKS.begun - rank };
  if (rank === RANKS.init) return { kind: "init", length, bits: 0 };
  if (rank >= RANKS.answers && rank <= RANKS.answers + 16) {
    return { kind: "answers", length, bits: 16 + RANKS.answers - rank };
  }
  return rank === RANKS.rest ? { kind: "rest", length, bits: 0 } : undefined;
}

export const shapeOf = ({ kind, peer, bits }: SctpRule): Shape => ({ kind, length: networkOf(peer).length, bits });

/** Of the canonical text that rules have. */
function networkOf(peer: string): { readonly address: IpAddress; readonly length: number } {
  const slash = peer.indexOf("/");
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- canonical as it is
  return { address: peer.slice(0, slash) as IpAddress, length: Number(peer.slice(slash + 1)) };
}

export function maskOf(family: IpFamily, way: Way, { kind, length, bits }: Shape): Uint8Array {
  const at = LAYOUT[family];
  const size = addressBits(family) / 8;
  const [pod, peer] = way === "input" ? [at.source, at.destination] : [at.destination, at.source];
  const mask = new Uint8Array(VECTORS[family] * BYTES);
  mask[at.protocol] = 0xff;
  mask.fill(0xff, pod, pod + size);
  mask.set(ones(length, size), peer);
  mask.set(ones(bits, 2), at.payload + portOffset(kind));
  if (kind === "init") mask[at.payload + CHUNK] = 0xff;
  // Where there are options, or something before this fragment, no port is where it is looked for.
  if (family === 4 && passes(kind)) {
    mask[0] = 0xff;
    mask.set([0x3f, 0xff], 6);
  }
  return mask;
}

/** What packets of the rule look like under the mask. `address`: the pod's. */
export function matchOf(family: IpFamily, way: Way, address: IpAddress, rule: SctpRule): Uint8Array {
  const at = LAYOUT[family];
  const [pod, peer] = way === "input" ? [at.source, at.destination] : [at.destination, at.source];
  const match = new Uint8Array(VECTORS[family] * BYTES);
  if (family === 4 && passes(rule.kind)) match[0] = 0x45;
  match[at.protocol] = SCTP;
  match.set(ipToBytes(address), pod);
  match.set(ipToBytes(networkOf(rule.peer).address), peer);
  new DataView(match.buffer).setUint16(at.payload + portOffset(rule.kind), rule.port);
  if (rule.kind === "init") match[at.payload + CHUNK] = INIT;
  return match;
}

/** The inverse of {@link matchOf}. */
export function ruleOf(
  family: IpFamily,
  way: Way,
  { kind, length, bits }: Shape,
  match: Uint8Array,
): { readonly address: IpAddress; readonly rule: SctpRule } {
  const at = LAYOUT[family];
  const size = addressBits(family) / 8;
  const [pod, peer] = way === "input" ? [at.source, at.destination] : [at.destination, at.source];
  const view = new DataView(match.buffer, match.byteOffset, match.byteLength);
  return {
    address: bytesToIp(match.subarray(pod, pod + size)),
    rule: {
      kind,
      peer: `${bytesToIp(match.subarray(peer, peer + size))}/${length}`,
      port: kind === "begun" || kind === "answers" ? view.getUint16(at.payload + portOffset(kind)) : 0,
      bits,
    },
  };
}

/** Of a packet that began something the destination port counts, of an answer the source port. */
const portOffset = (kind: SctpRuleKind): number => (kind === "answers" ? 0 : 2);

function ones(bits: number, size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, i) => 0xff & (0xff00 >> Math.max(0, Math.min(8, bits - 8 * i))));
}

/** Extension headers that the ACL plugin looks behind (foreach_acl_eh in acl.h). */
const EXTENSION_HEADERS = [0, 43, 44, 60, 135, 139, 140, 253, 254] as const;

/**
 * Packets of IPv6 in which SCTP is not where it is looked for: behind an extension header, or maybe behind several. Pods
 * neither send nor get them.
 */
export function extensions(): { readonly mask: Uint8Array; readonly matches: readonly Uint8Array[] } {
  const { protocol, payload } = LAYOUT[6];
  const bytes = (header: number, next: number): Uint8Array => {
    const all = new Uint8Array(VECTORS[6] * BYTES);
    [all[protocol], all[payload]] = [header, next];
    return all;
  };
  const matches = EXTENSION_HEADERS.flatMap((header) =>
    [SCTP, ...EXTENSION_HEADERS].map((next) => bytes(header, next)),
  );
  return { mask: bytes(0xff, 0xff), matches };
}
