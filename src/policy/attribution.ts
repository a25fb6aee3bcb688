import { readable } from "../models/k8s/entry.ts";
import type { Direction, PodPolicyRow, PolicyRef, RuleOrigin, TableId } from "./api.ts";
import { compareRefs } from "./compile/compiled.ts";
import type { PolicyEngine } from "./engine.ts";
import { inOrder } from "./index/policies.ts";
import { buildTable } from "./tables/build.ts";

/** Whose the rules of a table are. More than one where policies, of one pod or of several, say the same. */
export interface TableOrigins {
  /** Of each tier. */
  readonly tiers: readonly TierOrigins[];
}

export interface TierOrigins {
  /** Of each rule, sorted; none: the exemption of the own node. */
  readonly rules: readonly (readonly RuleOrigin[])[];
  /** Those that isolate in this tier, sorted; none: a pod whose policies can't be known. */
  readonly end: readonly PolicyRef[];
}

/** Which policies the tables in force come from. Tables don't say it, so that pods with equal rules can share them. */
export class Attribution {
  /** Of one wiring, by its row: another table, or other policies, is another row. */
  readonly #known = new WeakMap<PodPolicyRow, Readonly<Record<Direction, TableOrigins>>>();

  /** Of all tables that local wirings have. Costs what has changed since it was asked last. */
  tables(engine: PolicyEngine): Map<TableId, TableOrigins> {
    const all = new Map<TableId, TableOrigins>();
    for (const row of engine.podRows()) {
      let known = this.#known.get(row);
      if (!known) {
        known = { egress: originsOf(engine, row, "egress"), ingress: originsOf(engine, row, "ingress") };
        this.#known.set(row, known);
      }
      for (const direction of ["egress", "ingress"] as const) {
        const before = all.get(row[direction]);
        all.set(row[direction], before ? both(before, known[direction]) : known[direction]);
      }
    }
    return all;
  }
}

function originsOf(engine: PolicyEngine, row: PodPolicyRow, direction: Direction): TableOrigins {
  const local = engine.cluster.locals.get(row.id);
  if (!local || row.isolated) return { tiers: [{ rules: [], end: [] }] };
  const selecting = row.openThough ? [] : engine.policies.selecting(local.pod);
  const policies = inOrder(selecting).filter((p) => p.rules[direction] !== undefined);
  const ports = readable(local.pod.object)?.ports ?? [];
  const { table, origins } = buildTable(direction, policies, ports, { ...engine.options, origins: true });
  return {
    tiers: table.tiers.map(({ name }, i) => ({
      rules: (origins[i] ?? []).map((list) => unique(list, compareOrigins)),
      end: unique(
        policies.filter((p) => p.tier === name).map((p) => p.ref),
        compareRefs,
      ),
    })),
  };
}

const both = (a: TableOrigins, b: TableOrigins): TableOrigins =>
  a === b
    ? a
    : {
        tiers: a.tiers.map((tier, i) => ({
          rules: tier.rules.map((list, r) => unique([...list, ...(b.tiers[i]?.rules[r] ?? [])], compareOrigins)),
          end: unique([...tier.end, ...(b.tiers[i]?.end ?? [])], compareRefs),
        })),
      };

const compareOrigins = (a: RuleOrigin, b: RuleOrigin): number => compareRefs(a.policy, b.policy) || a.rule - b.rule;

function unique<T>(list: readonly T[], compare: (a: T, b: T) => number): readonly T[] {
  return [...list].sort(compare).filter((x, i, all) => i === 0 || compare(all[i - 1] ?? x, x) !== 0);
}
