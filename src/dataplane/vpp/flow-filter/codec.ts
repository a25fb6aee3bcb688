import { bytesToIp, type IpAddress, type IpFamily, ipToBytes } from "../../../base/ip/address.ts";

/** One flow, as who began it sees it. `first` and `second`: its ports, or ICMP's type and code; 0 where there are none. */
export interface FilteredFlow {
  readonly family: IpFamily;
  /** IP protocol number. */
  readonly protocol: number;
  readonly source: IpAddress;
  readonly destination: IpAddress;
  readonly first: number;
  readonly second: number;
}

export const flowKey = (f: FilteredFlow): string => `${f.protocol} ${f.source} ${f.first} ${f.destination} ${f.second}`;

/** What of a packet tells a flow from others: one table of VPP's classifier each. */
export type Shape = "addresses" | "ports" | "type";
/** In the order in which they are asked. */
export const SHAPES = ["ports", "type", "addresses"] as const satisfies readonly Shape[];

const TCP = 6;
const UDP = 17;
const ICMP = { 4: 1, 6: 58 } as const;
/** Types that answer each other (RFC 792; RFC 4443 and 4620). */
const ANSWERS: ReadonlyMap<number, number> = new Map([
  [8, 0],
  [13, 14],
  [15, 16],
  [17, 18],
  [128, 129],
  [139, 140],
]);

export function shapeOf({ family, protocol }: FilteredFlow): Shape {
  if (protocol === TCP || protocol === UDP) return "ports";
  return protocol === ICMP[family] ? "type" : "addresses";
}

/** Vectors that a table compares: the classifier counts in 16 bytes, from the beginning of the IP header. */
export const VECTORS = { 4: 2, 6: 3 } as const;
const BYTES = 16;

/** Offsets in headers of IP without options or extensions. */
const LAYOUT = {
  4: { protocol: 9, source: 12, destination: 16, length: 4, payload: 20 },
  6: { protocol: 6, source: 8, destination: 24, length: 16, payload: 40 },
} as const;

export function maskOf(family: IpFamily, shape: Shape): Uint8Array {
  const { protocol, source, destination, length, payload } = LAYOUT[family];
  const mask = new Uint8Array(VECTORS[family] * BYTES);
  mask[protocol] = 0xff;
  mask.fill(0xff, source, source + length).fill(0xff, destination, destination + length);
  if (shape !== "addresses") mask.fill(0xff, payload, payload + (shape === "ports" ? 4 : 1));
  return mask;
}

/** What packets of the flow look like under the mask: those of its beginner, or the answers. */
export function matchOf(flow: FilteredFlow, way: "answers" | "begun"): Uint8Array {
  const { family, protocol, source, destination, first, second } = flow;
  const at = LAYOUT[family];
  const match = new Uint8Array(VECTORS[family] * BYTES);
  const [from, to] = way === "begun" ? [source, destination] : [destination, source];
  match[at.protocol] = protocol;
  match.set(ipToBytes(from), at.source);
  match.set(ipToBytes(to), at.destination);
  const shape = shapeOf(flow);
  if (shape === "type") match[at.payload] = way === "begun" ? first : (ANSWERS.get(first) ?? first);
  if (shape === "ports") {
    const view = new DataView(match.buffer);
    view.setUint16(at.payload, way === "begun" ? first : second);
    view.setUint16(at.payload + 2, way === "begun" ? second : first);
  }
  return match;
}

/** The inverse of {@link matchOf} for what was begun. */
export function flowOf(family: IpFamily, shape: Shape, match: Uint8Array): FilteredFlow {
  const at = LAYOUT[family];
  const view = new DataView(match.buffer, match.byteOffset, match.byteLength);
  const address = (offset: number): IpAddress => bytesToIp(match.subarray(offset, offset + at.length));
  const [first, second] =
    shape === "ports"
      ? [view.getUint16(at.payload), view.getUint16(at.payload + 2)]
      : [shape === "type" ? view.getUint8(at.payload) : 0, 0];
  const [source, destination] = [address(at.source), address(at.destination)];
  return { family, protocol: view.getUint8(at.protocol), source, destination, first, second };
}
