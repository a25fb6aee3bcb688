import { encodeNodeId, encodeNodeName, nodeIdKey, nodeNameKey } from "../models/node.ts";
import type { Compare, WriteOp } from "../stores/api/store.ts";
import { NodesError } from "./api.ts";
import type { NodeRecords, Stored } from "./records.ts";
import type { NodeIdLimit } from "./subnets.ts";

/** What has to be written for a claim to hold. Without writes it holds already. */
export interface ClaimPlan {
  readonly id: number;
  readonly compare: readonly Compare[];
  readonly writes: readonly WriteOp[];
}

/** Which of the free IDs to try: one of the `among` smallest. */
export interface FreeIdChoice {
  readonly among: number;
  /** In [0, 1). */
  readonly random: () => number;
}

/**
 * How `name` comes to its ID, given what is stored. A name keeps its ID as long as any record tells it: its name record,
 * else an ID record, else its published info. Otherwise it gets the one that it asks for, or a free one. Throws
 * {@link NodesError}, or the ModelError of a record of a newer version, which must not be overwritten.
 */
export function planClaim(
  records: NodeRecords,
  claim: { readonly name: string; readonly uid?: string | undefined; readonly id?: number | undefined },
  limit: NodeIdLimit,
  choice: FreeIdChoice,
): ClaimPlan {
  const { name } = claim;
  const held = records.idsOf(name);
  const known = readable(records.names.get(name))?.id ?? held[0] ?? readable(records.infos.get(name))?.id;
  const id = known ?? claim.id ?? freeId(records, limit, choice);
  const holder = records.ids.get(id);
  if (holder?.value && holder.value.name !== name) {
    throw new NodesError(
      "ID_CONFLICT",
      `node ${name} has ID ${id}, but ${nodeIdKey(id)} says that it is node ${holder.value.name}'s; ` +
        `one of them has to be removed from the cluster, or its records deleted`,
    );
  }
  readable(holder);

  const uid = claim.uid ?? records.names.get(name)?.value?.uid ?? holder?.value?.uid;
  const compare = [records.unchangedName(name), records.unchangedId(id)];
  const writes: WriteOp[] = [];
  const nameRecord = records.names.get(name)?.value;
  if (!nameRecord || nameRecord.uid !== uid) {
    writes.push({ op: "put", key: nodeNameKey(name), value: encodeNodeName({ id, uid }) });
  }
  if (!holder?.value || holder.value.uid !== uid) {
    writes.push({ op: "put", key: nodeIdKey(id), value: encodeNodeId({ name, uid }) });
  }
  for (const extra of held.filter((other) => other !== id)) {
    compare.push(records.unchangedId(extra));
    writes.push({ op: "delete", key: nodeIdKey(extra) });
  }
  return { id, compare, writes };
}

function freeId(records: NodeRecords, limit: NodeIdLimit, choice: FreeIdChoice): number {
  const taken = records.takenIds();
  const free: number[] = [];
  for (let id = 1; id <= limit.maxId && free.length < choice.among; id++) if (!taken.has(id)) free.push(id);
  const chosen = free[Math.floor(choice.random() * free.length)];
  if (chosen !== undefined) return chosen;
  throw new NodesError(
    "IDS_EXHAUSTED",
    `no node ID is free: ${limit.limitedBy} allows ${limit.maxId} nodes; add a pool or delete Nodes that no longer exist`,
  );
}

/** What a record says. A damaged one says nothing and will be written anew; one of a newer version stops the claim. */
function readable<T>(stored: Stored<T> | undefined): T | undefined {
  if (stored?.error?.code === "NEWER_VERSION") throw stored.error;
  return stored?.value;
}
