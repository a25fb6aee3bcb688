import { atMost, type Figure, ratioAtMost, type Target } from "../../figure.ts";
import type { Peer } from "../../peers/peers.ts";
import { median, rounded, spread } from "../../stats.ts";
import type { Rounds } from "./processes.ts";

/** What was measured in one figure: samples of one name from one workload. */
interface Row {
  readonly name: string;
  readonly workload: string;
  readonly samples: string;
  readonly unit: string;
  readonly target: Target;
  /** Other samples of ours, or another amount of them, to stand beside. */
  readonly beside?: { readonly name: string; readonly samples: string };
  /** The peer's case with the same work. */
  readonly theirs?: string;
}

const ROWS: readonly Row[] = [
  {
    name: "5,000 transactions of one value, each",
    workload: "transactions",
    samples: "sequential",
    unit: "µs",
    target: atMost(10),
    beside: { name: "plain loop", samples: "plain" },
    theirs: "sequential",
  },
  {
    name: "5,000 values in one transaction, each",
    workload: "transactions",
    samples: "creates",
    unit: "µs",
    target: atMost(4),
    beside: { name: "plain loop", samples: "plain" },
    theirs: "creates",
  },
  {
    name: "bridge domain with 1,000 members",
    workload: "bridge",
    samples: "bridge-1000",
    unit: "ms",
    target: atMost(12),
    theirs: "bridge-1000",
  },
  {
    name: "bridge domain with 10,000 members",
    workload: "bridge",
    samples: "bridge-10000",
    unit: "ms",
    target: ratioAtMost(20),
    beside: { name: "1,000", samples: "bridge-1000" },
    theirs: "bridge-10000",
  },
  {
    name: "full resync of 5,000 values in sync",
    workload: "resync",
    samples: "resync",
    unit: "ms",
    target: atMost(25),
    theirs: "resync",
  },
  {
    name: "dry run of one value among 100,000",
    workload: "dry-run",
    samples: "large dry run",
    unit: "µs",
    target: ratioAtMost(4),
    beside: { name: "among 50", samples: "small dry run" },
    theirs: "dry-run",
  },
  { name: "heap of 100,000 values", workload: "large", samples: "heap of many", unit: "MiB", target: atMost(120) },
  {
    name: "100,000 values in one transaction, each",
    workload: "large",
    samples: "many",
    unit: "µs",
    target: ratioAtMost(2),
    beside: { name: "among 1,000", samples: "few" },
  },
  {
    name: "longest run of our own code with 100,000 values",
    workload: "large",
    samples: "longest run",
    unit: "ms",
    target: atMost(20),
  },
  { name: "event loop delay, p99", workload: "large", samples: "delay p99", unit: "ms", target: atMost(20) },
  { name: "event loop delay, most", workload: "large", samples: "delay max", unit: "ms", target: atMost(100) },
];

/** The figures of the scheduler from what was measured: first each by itself, then those that a peer has, too. */
export function figuresOf(measured: Rounds, peer: Peer | undefined): Figure[] {
  const own = ROWS.map((row) => ownFigure(measured, row));
  const compared = ROWS.flatMap((row) =>
    row.theirs === undefined ? [] : [comparison(measured, row, row.theirs, peer)],
  );
  return [...own, ...compared];
}

function ownFigure(measured: Rounds, row: Row): Figure {
  const samples = measured.all(row.samples);
  const { beside } = row;
  const figure: Figure = {
    name: row.name,
    unit: row.unit,
    value: median(samples),
    ...(beside === undefined ? {} : { peer: { name: beside.name, value: median(measured.all(beside.samples)) } }),
    target: row.target,
    samples: samples.length,
    wrong: measured.wrong(row.workload),
    notes: { "middle half": spread(samples), ...times(measured, row.samples) },
  };
  if (row.samples === "heap of many") return lessEmpty(figure, median(measured.all("heap")));
  return row.workload === "dry-run" ? sameVisits(figure, measured) : figure;
}

/** What the first pass of each process took, before its code was compiled; and the thread's own time. */
function times(measured: Rounds, samples: string): Record<string, string> {
  const notes = {
    "first pass": measured.all(`${samples}, first`),
    "on a processor": measured.all(`${samples}, processor`),
  };
  const taken = Object.entries(notes).filter(([, list]) => list.length > 0);
  return Object.fromEntries(taken.map(([what, list]) => [what, rounded(median(list))]));
}

function lessEmpty(figure: Figure, empty: number): Figure {
  const notes = { ...figure.notes, "an empty process's, taken off": `${rounded(empty)} MiB` };
  return { ...figure, value: figure.value - empty, notes };
}

/** Counts are equal or they are not: no ratio can make up for that. */
function sameVisits(figure: Figure, measured: Rounds): Figure {
  const [small, large] = ["small visited", "large visited"].map((name) => [...new Set(measured.all(name))].join(", "));
  const wrong = small === large ? [] : [`nodes visited: ${small} among 50, ${large} among 100,000`];
  const notes = { ...figure.notes, "nodes visited (create, update, removal)": large ?? "" };
  return { ...figure, wrong: [...(figure.wrong ?? []), ...wrong], notes };
}

/** Beside the original, from the same run: the median over the rounds of the ratios of what lay next to each other. */
function comparison(measured: Rounds, row: Row, theirCase: string, peer: Peer | undefined): Figure {
  const ours = measured.rounds(row.samples);
  const theirs = measured.rounds(`theirs ${theirCase}`);
  const ratios = theirs.flatMap((samples, round) => {
    const mine = ours[round];
    return samples === undefined || mine === undefined ? [] : [median(mine) / median(samples)];
  });
  const all = theirs.flatMap((samples) => samples ?? []);
  const present = peer !== undefined && ratios.length > 0;
  return {
    name: `${row.name}, beside the original`,
    unit: row.unit,
    value: median(measured.all(row.samples)),
    ...(present ? { peer: { name: peer.name, value: median(all) }, ratio: median(ratios) } : {}),
    target: ratioAtMost(1),
    samples: all.length,
    wrong: measured.wrong(row.workload),
    notes: present ? { "middle half, theirs": spread(all) } : {},
  };
}
