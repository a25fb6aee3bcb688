import type { PortProtocol } from "../../../models/k8s/pod.ts";
import type { Prefix } from "./prefix.ts";

/** Destination ports of a protocol, first and last included. */
export interface Ports {
  readonly protocol: PortProtocol;
  readonly first: number;
  readonly last: number;
}

/** Packets that are all judged alike: to or from a network, of all protocols or to some ports of one. */
export interface Box {
  readonly prefix: Prefix;
  /** Absent: of every protocol. */
  readonly ports?: Ports | undefined;
}

/** Of a list in which the first entry that a packet is in decides. */
export interface Entry {
  readonly verdict: "accept" | "deny";
  readonly box: Box;
}

/** What is in both; undefined if nothing is. */
export function intersection(a: Box, b: Box): Box | undefined {
  const prefix = common(a.prefix, b.prefix);
  if (!prefix) return undefined;
  if (!a.ports || !b.ports) return { prefix, ports: a.ports ?? b.ports };
  if (a.ports.protocol !== b.ports.protocol) return undefined;
  const first = Math.max(a.ports.first, b.ports.first);
  const last = Math.min(a.ports.last, b.ports.last);
  return first > last ? undefined : { prefix, ports: { protocol: a.ports.protocol, first, last } };
}

/** Networks are one inside the other, or apart. */
function common(a: Prefix, b: Prefix): Prefix | undefined {
  if (a.family !== b.family) return undefined;
  const [outer, inner] = a.length <= b.length ? [a, b] : [b, a];
  return outer.contains(inner) ? inner : undefined;
}

export const isEverything = ({ prefix, ports }: Box): boolean => prefix.length === 0 && ports === undefined;
export const isWholeProtocol = ({ first, last }: Ports): boolean => first === 0 && last === 65_535;

export const boxKey = ({ prefix: { text }, ports: p }: Box): string =>
  p ? `${text} ${p.protocol} ${p.first}-${p.last}` : text;
