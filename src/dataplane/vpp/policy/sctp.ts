import type { IpFamily } from "../../../base/ip/address.ts";
import { memoByText } from "../../../base/memo/memo.ts";
import { type SctpRuleKind, sctpRuleText } from "../../../models/vpp/sctp.ts";
import { byPlace, EVERYONE, type Prefix } from "./prefix.ts";
import type { Run } from "./runs.ts";

/** Ports, first and last included; of several: sorted, disjoint. */
type Range = readonly [number, number];
const ALL: Range = [0, 65_535];

const ALL_PORTS: readonly Range[] = [ALL];
const NONE: readonly Range[] = [];

interface Verdicts {
  /** Ports of the peer, or of the pod, that associations may be begun to. */
  readonly begun: readonly Range[];
  /** Those that they may be begun to from the other side. */
  readonly answers: readonly Range[];
}

/**
 * SCTP of one direction, as rules of which the most specific network decides. `begun`: the list of this direction; `answers`:
 * that of the other one, whose answers go this way. Undefined: nothing is dropped.
 *
 * Nothing is remembered of associations: one needs an INIT, and those pass only to ports that are allowed. What is no INIT
 * passes to such ports, too, and from ports that the other side may begin to: answers.
 */
export function sctpRules(
  family: IpFamily,
  lists: { readonly begun: readonly Run[]; readonly answers: readonly Run[] },
): string[] | undefined {
  const networks = new Map<string, Network>();
  const at = (prefix: Prefix): Network => {
    let network = networks.get(prefix.text);
    if (!network) networks.set(prefix.text, (network = { prefix, begun: [], answers: [] }));
    return network;
  };
  at(EVERYONE[family === 4 ? 0 : 1]);
  for (const direction of ["begun", "answers"] as const) {
    for (const [place, { verdict, networks: of, ports }] of lists[direction].entries()) {
      if (of.family !== family || (ports && ports.protocol !== "SCTP")) continue;
      const placed: Placed = { place, verdict, range: ports ? [ports.first, ports.last] : ALL };
      for (const prefix of of.prefixes) at(prefix)[direction].push(placed);
    }
  }

  const rules: string[] = [];
  let isOpen = true;
  let around: Network | undefined;
  for (const network of [...networks.values()].sort((a, b) => byPlace(a.prefix, b.prefix))) {
    const { prefix } = network;
    while (around && !around.prefix.contains(prefix)) around = around.around;
    network.around = around;
    around = network;
    const verdicts = { begun: acceptedPorts(network, "begun"), answers: acceptedPorts(network, "answers") };
    network.text = textOf(verdicts);
    // A network that says what the one around it says is as if it were not there.
    if (network.around?.text === network.text) continue;
    if (network.text !== OPEN) isOpen = false;
    for (const rule of rulesOf(prefix, network.text, verdicts)) rules.push(rule);
  }
  return isOpen ? undefined : rules;
}

interface Placed {
  readonly place: number;
  readonly verdict: Run["verdict"];
  readonly range: Range;
}

/** A network that entries of the lists are about, with those of SCTP. */
interface Network {
  readonly prefix: Prefix;
  readonly begun: Placed[];
  readonly answers: Placed[];
  /** The closest one that it is in. */
  around?: Network | undefined;
  /** What becomes of its packets. */
  text?: string;
}

/** Those that the list accepts, for peers in the network and in none within it that a list has. */
function acceptedPorts(network: Network, list: "answers" | "begun"): readonly Range[] {
  const entries: Placed[] = [];
  let first: Placed | undefined;
  for (let at: Network | undefined = network; at; at = at.around) {
    for (const entry of at[list]) {
      entries.push(entry);
      if (!first || entry.place < first.place) first = entry;
    }
  }
  if (!first) return NONE;
  if (first.range === ALL) return first.verdict === "accept" ? ALL_PORTS : NONE;
  let open: readonly Range[] = [ALL];
  let accepted: readonly Range[] = [];
  for (const { verdict, range } of entries.sort((a, b) => a.place - b.place)) {
    if (verdict === "accept") accepted = [...accepted, ...open.flatMap((o) => common(o, range))];
    open = open.flatMap((o) => without(o, range));
    if (open.length === 0) break;
  }
  return joined(accepted);
}

/** Equal exactly for what has equal rules. */
const textOf = ({ begun, answers }: Verdicts): string =>
  isAll(begun) ? OPEN : `${begun.join(" ")}/${answers.join(" ")}`;
const OPEN = "all";

/** By {@link textOf}. */
const rulesOf = memoByText((prefix: Prefix, _: string, { begun, answers }: Verdicts): readonly string[] => {
  const peer = prefix.text;
  const rule = (kind: SctpRuleKind, port = 0, bits = 0): string => sctpRuleText({ kind, peer, port, bits });
  const ports = (kind: SctpRuleKind, ranges: readonly Range[]): string[] =>
    ranges.flatMap((range) => blocksOf(range).map(({ port, bits }) => rule(kind, port, bits)));
  // Packets in which ports are not where they usually are, which nothing but the last rule of all is about.
  const rest = prefix.length === 0 || !(isAll(begun) || isAll(answers)) ? [rule("rest")] : [];
  if (isAll(begun)) return [...ports("begun", begun), ...rest];
  const answering = answers.length === 0 ? [] : [rule("init"), ...ports("answers", answers)];
  return [...ports("begun", begun), ...answering, ...rest];
});

const isAll = (ranges: readonly Range[]): boolean => ranges[0]?.[0] === ALL[0] && ranges[0][1] === ALL[1];

/** The fewest powers of two that make up the range, each at a multiple of itself. */
export function blocksOf([first, last]: Range): { readonly port: number; readonly bits: number }[] {
  const blocks = [];
  for (let port = first; port <= last; ) {
    let bits = 16;
    while (bits > 0 && port % 2 ** (17 - bits) === 0 && port + 2 ** (17 - bits) - 1 <= last) bits--;
    blocks.push({ port, bits });
    port += 2 ** (16 - bits);
  }
  return blocks;
}

function common(a: Range, b: Range): Range[] {
  const [first, last] = [Math.max(a[0], b[0]), Math.min(a[1], b[1])];
  return first > last ? [] : [[first, last]];
}

const without = ([first, last]: Range, [from, to]: Range): Range[] =>
  (
    [
      [first, Math.min(last, from - 1)],
      [Math.max(first, to + 1), last],
    ] as const
  ).filter(([a, b]) => a <= b);

function joined(ranges: readonly Range[]): Range[] {
  const result: [number, number][] = [];
  for (const [first, last] of ranges.toSorted((a, b) => a[0] - b[0])) {
    const before = result.at(-1);
    if (before && first <= before[1] + 1) before[1] = Math.max(before[1], last);
    else result.push([first, last]);
  }
  return result;
}
