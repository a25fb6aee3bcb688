import { type Figure, ratioAtMost } from "../figure.ts";
import { leftovers, Wiring } from "../rig/wired.ts";
import { median, quantile, rounded, spread } from "../stats.ts";
import { alternating, type Case, type CaseContext } from "./case.ts";

/** Before what counts: compiled code, caches of both sides' programs. */
const WARM_UP = 20;

/** One ADD and one DEL after the other, interleaved with the stock plugin. */
export const serial: Case = {
  name: "serial",
  async run({ rig, quick, progress }: CaseContext): Promise<Figure[]> {
    const count = quick ? 30 : 300;
    const stock = await rig.stock();
    const ours = new Side(new Wiring(rig.first.launcher, rig.first.plugin));
    const theirs = stock && new Side(new Wiring(stock.launcher, stock.plugin));
    progress(`${count} ADDs and DELs, one at a time${theirs ? `, interleaved with ${theirs.wiring.plugin.name}` : ""}`);
    const check = async () => {
      const last = ours.last;
      ours.wiring.wrong.push(...(await leftovers(rig.first.netns, last, rig.prober)));
    };
    // Each pod has a namespace of its own, as with a runtime: a namespace that has had an interface costs less.
    const netns = await rig.pods.make((count + WARM_UP) * (theirs ? 2 : 1));
    const names = netns.values();
    const next = () => names.next().value ?? "";
    for (let i = -WARM_UP; i < count; i++) {
      if (i === 0) for (const side of [ours, theirs]) side?.forget();
      await alternating(i, () => ours.add(next()), theirs && (() => theirs.add(next())));
      await alternating(i, async () => ours.delete().then(check), theirs && (() => theirs.delete()));
    }
    await rig.pods.drop(netns);
    return figures(ours, theirs);
  },
};

class Side {
  readonly wiring: Wiring;
  readonly adds: number[] = [];
  readonly dels: number[] = [];
  readonly reached: number[] = [];
  last: Awaited<ReturnType<Wiring["add"]>>["pods"] = [];

  constructor(wiring: Wiring) {
    this.wiring = wiring;
  }

  async add(netns: string): Promise<void> {
    const { pods, executions } = await this.wiring.add([netns]);
    this.last = pods;
    for (const { ms, reached } of executions) {
      this.adds.push(ms);
      for (const us of reached.values()) if (typeof us === "number") this.reached.push(us);
    }
  }

  async delete(): Promise<void> {
    for (const { ms } of await this.wiring.delete(this.last)) this.dels.push(ms);
  }

  forget(): void {
    for (const samples of [this.adds, this.dels, this.reached]) samples.length = 0;
  }
}

function figures(ours: Side, theirs: Side | undefined): Figure[] {
  const wrong = ours.wiring.wrong;
  const compare = (name: string, of: (side: Side) => number[], q: number, bound: number): Figure => ({
    name,
    unit: "ms",
    value: quantile(of(ours), q),
    ...(theirs ? { peer: { name: theirs.wiring.plugin.name, value: quantile(of(theirs), q) } } : {}),
    target: ratioAtMost(bound),
    samples: of(ours).length,
    wrong,
    notes: {
      "middle half, ours": spread(of(ours)),
      ...(theirs ? { "middle half, theirs": spread(of(theirs)) } : {}),
    },
  });
  const [add, add99, del] = [
    compare("CNI ADD p50", (s) => s.adds, 0.5, 0.7),
    compare("CNI ADD p99", (s) => s.adds, 0.99, 1),
    compare("CNI DEL p50", (s) => s.dels, 0.5, 0.55),
  ];
  const first = `${ours.reached.length} connections, p50 ${rounded(median(ours.reached))} µs, most ${rounded(Math.max(...ours.reached))} µs`;
  const problems = theirs && theirs.wiring.wrong.length > 0 ? { "problems of theirs": theirs.wiring.wrong.length } : {};
  return [{ ...add, notes: { ...add.notes, "first connection after the ADD": first, ...problems } }, add99, del];
}
