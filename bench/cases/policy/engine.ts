import type { PolicyInput } from "../../../src/policy/api.ts";
import { PolicyEngine } from "../../../src/policy/engine.ts";
import { atMost, type Figure, ratioAtMost } from "../../figure.ts";
import { median, quantile, rounded, spread } from "../../stats.ts";
import type { BareCase, BareContext } from "../case.ts";
import { clusterInputs, type PolicyScale, podNumber } from "./data.ts";

const LARGE: PolicyScale = { pods: 10_000, namespaces: 1000, policies: 1000, locals: 110 };
const SMALL: PolicyScale = { pods: 1000, namespaces: 100, policies: 100, locals: 110 };
const CHANGES = ["relabelled", "removed", "added"] as const;

/** The policy engine alone: the cluster's objects in, what renderers get out. */
export const policyEngine: BareCase = {
  name: "policy-engine",
  bare: true,
  async run({ quick, progress }: BareContext): Promise<Figure[]> {
    progress("the policy engine alone, 10,000 pods and 1,000");
    const scratch = Array.from({ length: quick ? 1 : 5 }, () => buildCpu(LARGE));
    const sides = [LARGE, SMALL].map((scale) => {
      const engine = new PolicyEngine();
      engine.apply(clusterInputs(scale));
      const ms: Record<Change, number[]> = { relabelled: [], removed: [], added: [] };
      return { scale, engine, ms };
    });
    const rounds = quick ? 200 : 4000;
    for (let round = -rounds / 10; round < rounds; round++) {
      for (const { scale, engine, ms } of round % 2 === 0 ? sides : sides.toReversed()) {
        for (const [change, took] of changePod(engine, scale, Math.abs(round))) {
          if (round >= 0) ms[change].push(took); // before that the code is compiled
        }
      }
    }
    const [large, small] = sides;
    if (!large || !small) return [];
    return [
      {
        name: "policy engine: from scratch, CPU",
        unit: "ms",
        value: median(scratch),
        target: atMost(1000),
        samples: scratch.length,
        notes: {
          of: `${LARGE.pods} pods, ${LARGE.policies} policies, ${LARGE.locals} local pods`,
          spread: spread(scratch),
        },
      },
      ...CHANGES.flatMap((change) => figuresOf(change, large.ms[change], small.ms[change])),
    ];
  },
};

type Change = (typeof CHANGES)[number];

function figuresOf(change: Change, large: readonly number[], small: readonly number[]): Figure[] {
  const samples = large.length;
  return [
    {
      name: `policy engine: one pod ${change}, p99`,
      unit: "ms",
      value: quantile(large, 0.99),
      target: atMost(5),
      samples,
      notes: { median: rounded(median(large)), max: rounded(Math.max(...large)) },
    },
    {
      name: `policy engine: one pod ${change}, beside a tenth of the cluster`,
      unit: "ms",
      value: median(large),
      peer: { name: "1,000 pods, 100 policies", value: median(small) },
      target: ratioAtMost(1.5),
      samples,
    },
  ];
}

/** CPU milliseconds from nothing to all rows. */
function buildCpu(scale: PolicyScale): number {
  const inputs = clusterInputs(scale);
  const before = process.cpuUsage();
  new PolicyEngine().apply(inputs);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

/** Relabels, removes and adds one of the pods that are not local, and says how long each took. */
function* changePod(engine: PolicyEngine, scale: PolicyScale, round: number): Generator<readonly [Change, number]> {
  const i = scale.locals + ((round * 37) % (scale.pods - scale.locals));
  const relabelled = podNumber(i, scale.namespaces, {
    tier: ["front", "back", "data"][(i + 1) % 3] ?? "",
    version: `v${(i + 1) % 5}`,
  });
  const steps = { relabelled, removed: undefined, added: podNumber(i, scale.namespaces) };
  for (const change of CHANGES) {
    const inputs: PolicyInput[] = [{ kind: "pod", at: relabelled, object: steps[change] }];
    const begin = performance.now();
    engine.apply(inputs);
    yield [change, performance.now() - begin];
  }
}
