import { addressBits, type IpFamily } from "../../../base/ip/address.ts";
import { type SctpRuleKind, sctpRuleText } from "../../../models/vpp/sctp.ts";
import { cidrOf, type Entry, EVERYONE, type Prefix } from "./boxes.ts";

/** Ports, first and last included; of several: sorted, disjoint. */
type Range = readonly [number, number];
const ALL: Range = [0, 65_535];

interface Verdicts {
  readonly prefix: Prefix;
  /** Ports of the peer, or of the pod, that associations may be begun to; undefined stands for "all". */
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
  lists: { readonly begun: readonly Entry[]; readonly answers: readonly Entry[] },
): string[] | undefined {
  const [begun, answers] = [new AcceptedPorts(family, lists.begun), new AcceptedPorts(family, lists.answers)];
  const networks = new Map([...EVERYONE, ...begun.prefixes, ...answers.prefixes].map((p) => [cidrOf(p), p]));
  const kept = new Networks<string>();
  const rules: string[] = [];
  let isOpen = true;
  for (const prefix of [...networks.values()].toSorted((a, b) => a.length - b.length)) {
    if (prefix.family !== family) continue;
    const verdicts = { prefix, begun: begun.of(prefix), answers: answers.of(prefix) };
    const text = isAll(verdicts.begun) ? "all" : JSON.stringify([verdicts.begun, verdicts.answers]);
    if (kept.closest(prefix) === text) continue;
    kept.set(prefix, text);
    if (text !== "all") isOpen = false;
    rules.push(...rulesOf(verdicts));
  }
  return isOpen ? undefined : rules;
}

function rulesOf({ prefix, begun, answers }: Verdicts): string[] {
  const peer = cidrOf(prefix);
  const rule = (kind: SctpRuleKind, port = 0, bits = 0): string => sctpRuleText({ kind, peer, port, bits });
  const ports = (kind: SctpRuleKind, ranges: readonly Range[]): string[] =>
    ranges.flatMap((range) => blocksOf(range).map(({ port, bits }) => rule(kind, port, bits)));
  // Packets in which ports are not where they usually are, which nothing but the last rule of all is about.
  const rest = prefix.length === 0 || !(isAll(begun) || isAll(answers)) ? [rule("rest")] : [];
  if (isAll(begun)) return [...ports("begun", begun), ...rest];
  const answering = answers.length === 0 ? [] : [rule("init"), ...ports("answers", answers)];
  return [...ports("begun", begun), ...answering, ...rest];
}

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

/** Values of networks, of which the closest around another one is asked for. */
class Networks<T> {
  readonly #byLength = new Map<number, Map<bigint, T>>();
  /** Of {@link #byLength}, ascending. */
  #lengths: readonly number[] = [];

  set(prefix: Prefix, value: T): void {
    let same = this.#byLength.get(prefix.length);
    if (!same) {
      this.#byLength.set(prefix.length, (same = new Map()));
      this.#lengths = [...this.#byLength.keys()].sort((a, b) => a - b);
    }
    same.set(numberOf(prefix, prefix.length), value);
  }

  get(prefix: Prefix): T | undefined {
    return this.#byLength.get(prefix.length)?.get(numberOf(prefix, prefix.length));
  }

  /** Those of all networks that it is in, itself too; the widest first. */
  around(prefix: Prefix): T[] {
    const found: T[] = [];
    for (const length of this.#lengths) {
      if (length > prefix.length) break;
      const value = this.#byLength.get(length)?.get(numberOf(prefix, length));
      if (value !== undefined) found.push(value);
    }
    return found;
  }

  closest(prefix: Prefix): T | undefined {
    return this.around(prefix).at(-1);
  }
}

const SHIFTS: readonly bigint[] = Array.from({ length: 129 }, (_, i) => BigInt(i));
const numberOf = ({ family, first }: Prefix, length: number): bigint =>
  first >> (SHIFTS[addressBits(family) - length] ?? 0n);

interface Placed {
  readonly place: number;
  readonly verdict: Entry["verdict"];
  readonly range: Range;
}

/** Which ports of SCTP a list accepts, by network. */
class AcceptedPorts {
  readonly prefixes: readonly Prefix[];
  readonly #entries = new Networks<{ readonly all: Placed[] }>();

  constructor(family: IpFamily, entries: readonly Entry[]) {
    const prefixes: Prefix[] = [];
    for (const [place, { verdict, box }] of entries.entries()) {
      const { prefix, ports } = box;
      if (prefix.family !== family || (ports && ports.protocol !== "SCTP")) continue;
      let known = this.#entries.get(prefix);
      if (!known) {
        this.#entries.set(prefix, (known = { all: [] }));
        prefixes.push(prefix);
      }
      known.all.push({ place, verdict, range: ports ? [ports.first, ports.last] : ALL });
    }
    this.prefixes = prefixes;
  }

  /** For peers that are in the network, and in none within it that the list has. */
  of(prefix: Prefix): readonly Range[] {
    const around = this.#entries.around(prefix);
    const [only] = around;
    const [entry] = only?.all ?? [];
    if (around.length === 1 && only?.all.length === 1 && entry) return entry.verdict === "accept" ? [entry.range] : [];
    const entries = around.flatMap(({ all }) => all);
    let open: readonly Range[] = [ALL];
    let accepted: readonly Range[] = [];
    for (const { verdict, range } of entries.toSorted((a, b) => a.place - b.place)) {
      if (verdict === "accept") accepted = [...accepted, ...open.flatMap((o) => common(o, range))];
      open = open.flatMap((o) => without(o, range));
      if (open.length === 0) break;
    }
    return joined(accepted);
  }
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
