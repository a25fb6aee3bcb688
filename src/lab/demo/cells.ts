import type { ProbeResult } from "../probe/client.ts";

export type Family = "ipv4" | "ipv6";
export type Protocol = "tcp" | "udp" | "icmp";
export const FAMILIES: readonly Family[] = ["ipv4", "ipv6"];
export const PROTOCOLS: readonly Protocol[] = ["tcp", "udp", "icmp"];

/** Something that probes or is probed. */
export interface Endpoint {
  readonly kind: "pod" | "node" | "outside";
  /** `n1-p2`, `n1`, `outside`: unique among all kinds. */
  readonly name: string;
  /** The node it is on, or is; undefined for the outside host. */
  readonly node?: string;
  readonly netns: string;
  /** Plain addresses of either family, in any order. */
  readonly ips: readonly string[];
}

/** One thing that the demo tries, and what should come of it. */
export interface Cell {
  /** `n1-p1>n2-p3/tcp/ipv4`: what reports, tests and `--expect-wrong` name it by. */
  readonly id: string;
  readonly from: Endpoint;
  readonly to: Endpoint;
  readonly protocol: Protocol;
  readonly family: Family;
  /** Undefined when the target has no address of the family, which fails the cell. */
  readonly address: string | undefined;
  readonly expected: "open" | "closed";
  /** Addresses as which the target may see the client; undefined: any. ICMP does not tell. */
  readonly seenAs: readonly string[] | undefined;
}

export interface CellResult {
  readonly cell: Cell;
  readonly actual: "open" | "closed";
  /** Microseconds; undefined when closed. */
  readonly us: number | undefined;
  readonly seenAs: string | undefined;
  /** Why it is not as expected, in words; undefined when it is. */
  readonly wrong: string | undefined;
}

export const familyOf = (address: string): Family => (address.includes(":") ? "ipv6" : "ipv4");

function ofFamily(endpoint: Endpoint, family: Family): string[] {
  return endpoint.ips.filter((ip) => familyOf(ip) === family);
}

function cellsBetween(from: Endpoint, to: Endpoint, seenAs: (family: Family) => readonly string[] | undefined): Cell[] {
  return FAMILIES.flatMap((family) =>
    PROTOCOLS.map((protocol) => ({
      id: `${from.name}>${to.name}/${protocol}/${family}`,
      from,
      to,
      protocol,
      family,
      address: ofFamily(to, family)[0],
      expected: "open" as const,
      seenAs: protocol === "icmp" ? undefined : seenAs(family),
    })),
  );
}

/**
 * Every cell of the demo: pod × pod, pod ↔ own node, node → pods of other nodes, pod → outside. Between pods and from pods
 * to their node nothing is translated (the Kubernetes network model); the outside must see the node's address.
 */
export function planCells(pods: readonly Endpoint[], nodes: readonly Endpoint[], outside: Endpoint): Cell[] {
  const cells: Cell[] = [];
  for (const from of pods) {
    for (const to of pods) cells.push(...cellsBetween(from, to, (f) => ofFamily(from, f)));
  }
  for (const pod of pods) {
    const node = nodes.find((n) => n.name === pod.node);
    if (!node) throw new Error(`pod ${pod.name} is on no known node`);
    cells.push(...cellsBetween(pod, node, (f) => ofFamily(pod, f)));
    for (const from of nodes) cells.push(...cellsBetween(from, pod, () => undefined));
    cells.push(...cellsBetween(pod, outside, (f) => ofFamily(node, f)));
  }
  return cells;
}

/** Compares what came of a cell with what should have. */
export function judge(cell: Cell, result: ProbeResult | "no address"): CellResult {
  const open = result !== "no address" && result.ok;
  const actual = open ? "open" : "closed";
  const seenAs = open ? result.seenAs : undefined;
  let wrong: string | undefined;
  if (result === "no address") {
    wrong = `${cell.to.name} has no ${cell.family === "ipv4" ? "IPv4" : "IPv6"} address`;
  } else if (actual !== cell.expected) {
    wrong = result.ok ? "it answered, and was expected not to" : `no answer: ${result.error}`;
  } else if (cell.seenAs && open && (seenAs === undefined || !cell.seenAs.includes(seenAs))) {
    wrong = `seen as ${seenAs ?? "nobody"}, expected ${cell.seenAs.join(" or ") || "an address it does not have"}`;
  }
  return { cell, actual, us: open ? result.us : undefined, seenAs, wrong };
}

/** Turns one cell's expectation round. Returns undefined if no cell has that name. */
export function expectWrong(cells: readonly Cell[], id: string): Cell[] | undefined {
  if (!cells.some((c) => c.id === id)) return undefined;
  return cells.map((c) => (c.id === id ? { ...c, expected: "closed" as const } : c));
}
