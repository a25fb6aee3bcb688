import type { PodPolicyRow, PolicyChanges, PolicyView, RuleTable, SetId, TableId } from "./api.ts";

/** IDs of the wirings whose connections a change may concern: their tables are others, or sets of these have changed. */
export function touched(changes: PolicyChanges, rows: readonly PodPolicyRow[], view: PolicyView): Set<string> {
  const ids = new Set(changes.pods.flatMap(({ new: row }) => row?.id ?? []));
  const sets = new Set<SetId>(changes.sets.filter(({ what }) => what === "changed").map(({ id }) => id));
  if (sets.size === 0) return ids;
  const known = new Map<TableId, boolean>();
  const isTouched = (id: TableId): boolean => {
    let found = known.get(id);
    if (found === undefined) known.set(id, (found = uses(view.table(id), sets)));
    return found;
  };
  for (const row of rows) if (isTouched(row.ingress) || isTouched(row.egress)) ids.add(row.id);
  return ids;
}

const uses = (table: RuleTable | undefined, sets: ReadonlySet<SetId>): boolean =>
  table?.tiers.some(({ rules }) => rules.some(({ peer }) => "set" in peer && sets.has(peer.set))) ?? false;
