import {
  type Count,
  type Direction,
  type PolicyCounts,
  type PolicyRef,
  type RuleOrigin,
  type RuleTable,
  refText,
  type TableId,
  type Verdict,
} from "./api.ts";
import type { TableOrigins } from "./attribution.ts";

/** What rules have decided since the agent began, or since the node did if the agent has found them counting. */
export interface TallyEntry extends Count {
  readonly direction: Direction;
  readonly verdict: Verdict;
  /** Whose rules; several that say the same. None: the own node's exemption, or a pod whose policies can't be known. */
  readonly origins: readonly RuleOrigin[];
  /** With verdict deny and no rule: these isolate, and none of their rules allowed it. */
  readonly isolatedBy: readonly PolicyRef[];
}

/** Adds up what is read from counters that come and go with the rules. */
export class Tally {
  #last = new Map<string, Count>();
  readonly #totals = new Map<string, TallyEntry>();

  /**
   * What was counted by a rule between the last time and its end is lost. `tables`: those that were asked about.
   */
  add(
    { rules }: Pick<PolicyCounts, "rules">,
    tables: ReadonlyMap<TableId, RuleTable>,
    origins: ReadonlyMap<TableId, TableOrigins>,
  ): void {
    const now = new Map<string, Count>();
    for (const { table: id, tier, rule, packets, bytes } of rules) {
      const table = tables.get(id);
      const whose = origins.get(id)?.tiers[tier];
      if (!table || !whose) continue;
      const place = `${id} ${tier} ${rule}`;
      now.set(place, { packets, bytes });
      const before = this.#last.get(place);
      // Fewer than before: another rule of the same content, which came when that one had gone.
      const old = before !== undefined && before.packets <= packets ? before : { packets: 0, bytes: 0 };
      const more = { packets: packets - old.packets, bytes: bytes - old.bytes };
      const verdict = rule === "end" ? "deny" : table.tiers[tier]?.rules[rule]?.verdict;
      if (more.packets === 0 || verdict === undefined) continue;
      this.#count(more, {
        direction: table.direction,
        verdict,
        origins: rule === "end" ? [] : (whose.rules[rule] ?? []),
        isolatedBy: rule === "end" ? whose.end : [],
      });
    }
    this.#last = now;
  }

  /** Drops what is about policies alone that are no more. */
  forget(exists: (policy: PolicyRef) => boolean): void {
    for (const [key, entry] of this.#totals) {
      const policies = policiesOf(entry);
      if (policies.length > 0 && !policies.some(exists)) this.#totals.delete(key);
    }
  }

  /** Busiest first. */
  entries(): TallyEntry[] {
    return [...this.#totals.values()].sort((a, b) => b.packets - a.packets);
  }

  #count(more: Count, what: Omit<TallyEntry, keyof Count>): void {
    const key = JSON.stringify(what);
    const before = this.#totals.get(key);
    this.#totals.set(key, {
      ...what,
      packets: (before?.packets ?? 0) + more.packets,
      bytes: (before?.bytes ?? 0) + more.bytes,
    });
  }
}

/** The policies that an entry is about, without repetitions. */
export function policiesOf({ origins, isolatedBy }: Pick<TallyEntry, "isolatedBy" | "origins">): PolicyRef[] {
  const byName = new Map([...origins.map((o) => o.policy), ...isolatedBy].map((p) => [refText(p), p]));
  return [...byName.values()];
}
