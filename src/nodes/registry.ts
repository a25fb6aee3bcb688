import { backoffDelay } from "../base/backoff/backoff.ts";
import { type Clock, millis, sleep } from "../base/clock/clock.ts";
import type { Log } from "../infra/log/log.ts";
import {
  decodeNodeId,
  encodeNodeInfo,
  NODES_PREFIX,
  type NodeInfo,
  nodeIdKey,
  nodeInfoKey,
  nodeNameKey,
} from "../models/node.ts";
import type { ModelError } from "../models/versioned-json.ts";
import type { CallOptions, Store, WriteOp } from "../stores/api/store.ts";
import { NodesError } from "./api.ts";
import { planClaim } from "./claim.ts";
import { NodeRecords } from "./records.ts";
import type { NodeIdLimit } from "./subnets.ts";

export interface NodeRegistryOptions {
  readonly store: Pick<Store, "get" | "list" | "txn">;
  readonly clock: Clock;
  readonly log: Pick<Log, "info" | "warn">;
  /** How many IDs there are, see `nodeIdLimit`. */
  readonly limit: NodeIdLimit;
  /** Numbers in [0, 1). */
  readonly random?: () => number;
}

/** A node that was forgotten, with the IDs that are free again. */
export interface Freed {
  readonly name: string;
  readonly ids: readonly number[];
}

/** Of 300 nodes that started at once, none needed more than 9 attempts. */
const MAX_ATTEMPTS = 100;

/**
 * The nodes of the cluster in the store: who has which ID, and how each is reached. Every change is one transaction that
 * depends on what was read, so agents and reflectors may call this at the same time. Store errors come through as they
 * are; every method may simply be called again.
 */
export class NodeRegistry {
  readonly #store: Pick<Store, "get" | "list" | "txn">;
  readonly #clock: Clock;
  readonly #log: Pick<Log, "info" | "warn">;
  readonly #limit: NodeIdLimit;
  readonly #random: () => number;

  constructor(options: NodeRegistryOptions) {
    this.#store = options.store;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#limit = options.limit;
    this.#random = options.random ?? Math.random;
  }

  /**
   * The ID of node `name`: the one it has, or the smallest that is free. Two nodes never get the same. `uid` is kept with
   * the ID; a node created again under its old name keeps the ID. `id` is the one that the node had before: it gets it again
   * when the store knows nothing of the node (any more). Throws {@link NodesError} IDS_EXHAUSTED, ID_CONFLICT or
   * CONTENTION, or ModelError NEWER_VERSION if a newer Heddle wrote this node's records.
   */
  async claim(
    name: string,
    options: CallOptions & { readonly uid?: string; readonly id?: number } = {},
  ): Promise<number> {
    let among = 1;
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      if (attempt > 0) await this.#pause(attempt, options);
      const choice = { among, random: this.#random };
      const plan = planClaim(
        await this.#read(options),
        { name, uid: options.uid, id: options.id },
        this.#limit,
        choice,
      );
      if (plan.writes.length === 0) return plan.id;
      if ((await this.#store.txn(plan.compare, plan.writes, options)).succeeded) {
        this.#log.info({ node: name, id: plan.id }, "node ID claimed");
        return plan.id;
      }
      // Nodes that start together all find the same ID free and all but one lose; so losers choose from ever more IDs.
      // Not at once: in a small cluster the next number is nearly always right, and people like numbers without gaps.
      if (attempt > 1) among = Math.min(among * 2, 1024);
    }
    throw new NodesError("CONTENTION", `node ${name} lost ${MAX_ATTEMPTS} races for an ID; try again later`);
  }

  /**
   * Tells the others how this node is reached; writes nothing if they know already. Throws {@link NodesError} NOT_CLAIMED if
   * `info.id` is not the node's: then it was deleted from the cluster meanwhile, and has to claim again.
   */
  async publish(info: NodeInfo, options: CallOptions = {}): Promise<void> {
    const value = encodeNodeInfo(info);
    const [idKey, infoKey] = [nodeIdKey(info.id), nodeInfoKey(info.name)];
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      if (attempt > 0) await this.#pause(attempt, options);
      const [id, old] = await Promise.all([this.#store.get(idKey, options), this.#store.get(infoKey, options)]);
      const holder = id && decodeNodeId(id.key, id.value).name;
      if (holder !== info.name) {
        const text = `node ${info.name} does not hold ID ${info.id}: ${idKey} ${holder ? `is node ${holder}'s` : "is gone"}`;
        throw new NodesError("NOT_CLAIMED", text);
      }
      if (old && Buffer.compare(old.value, value) === 0) return;
      const compare = [
        { key: idKey, revision: id?.revision },
        { key: infoKey, revision: old?.revision },
      ];
      if ((await this.#store.txn(compare, [{ op: "put", key: infoKey, value }], options)).succeeded) return;
    }
    throw new NodesError("CONTENTION", `${infoKey} was changed by others ${MAX_ATTEMPTS} times; try again later`);
  }

  /**
   * Forgets the node and frees its IDs, which are returned. With `uid` only the node of this UID: news of a deletion may
   * come when a new node of the same name is there already.
   */
  async release(name: string, options: CallOptions & { readonly uid?: string } = {}): Promise<readonly number[]> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      if (attempt > 0) await this.#pause(attempt, options);
      const records = await this.#read(options);
      const freed = await this.#forget(records, name, options);
      if (freed) return freed;
    }
    throw new NodesError(
      "CONTENTION",
      `the records of node ${name} were changed ${MAX_ATTEMPTS} times; try again later`,
    );
  }

  /**
   * Forgets the nodes that no longer exist, for those that went away while nobody watched. `existing` is asked for the
   * nodes' names after the store has been read: a node that joins meanwhile is in neither or in both, never lost. A node
   * whose records change under our hands is left alone. Records that can't be read are reported and left alone.
   */
  async reconcile(
    existing: () => Iterable<string> | Promise<Iterable<string>>,
    options: CallOptions = {},
  ): Promise<{ readonly freed: readonly Freed[]; readonly problems: readonly ModelError[] }> {
    const records = await this.#read(options);
    const names = new Set(await existing());
    const freed: Freed[] = [];
    for (const name of [...records.allNames()].sort()) {
      if (names.has(name)) continue;
      const ids = await this.#forget(records, name, options);
      if (ids) freed.push({ name, ids });
    }
    return { freed, problems: records.problems };
  }

  /** The published infos, by ID, and what of the records can't be used. */
  async list(
    options: CallOptions = {},
  ): Promise<{ readonly infos: readonly NodeInfo[]; readonly problems: readonly ModelError[] }> {
    const records = await this.#read(options);
    const infos = [...records.infos.values()].flatMap((r) => (r.value ? [r.value] : []));
    return { infos: infos.sort((a, b) => a.id - b.id), problems: records.problems };
  }

  /** The IDs that this freed; undefined if the records have changed since they were read. */
  async #forget(
    records: NodeRecords,
    name: string,
    options: CallOptions & { readonly uid?: string },
  ): Promise<readonly number[] | undefined> {
    const ids = records.idsOf(name);
    const uid = records.names.get(name)?.value?.uid ?? records.ids.get(ids[0] ?? 0)?.value?.uid;
    if (options.uid !== undefined && uid !== undefined && uid !== options.uid) return [];
    const writes: WriteOp[] = ids.map((id) => ({ op: "delete", key: nodeIdKey(id) }));
    if (records.names.has(name)) writes.push({ op: "delete", key: nodeNameKey(name) });
    if (records.infos.has(name)) writes.push({ op: "delete", key: nodeInfoKey(name) });
    if (writes.length === 0) return [];
    // The info is compared also where there is none: one published meanwhile would be left behind.
    const compare = [records.unchangedName(name), records.unchangedInfo(name), ...ids.map(records.unchangedId)];
    if (!(await this.#store.txn(compare, writes, options)).succeeded) return undefined;
    this.#log.info({ node: name, ids }, "node forgotten");
    return ids;
  }

  async #read(options: CallOptions): Promise<NodeRecords> {
    const records = new NodeRecords((await this.#store.list(NODES_PREFIX, options)).entries);
    for (const err of records.problems) this.#log.warn({ err, key: err.key }, "unusable node record");
    return records;
  }

  async #pause(attempt: number, { signal }: CallOptions): Promise<void> {
    const delay = backoffDelay({ first: millis(2), max: millis(500), jitter: 0.5 }, attempt - 1, this.#random);
    await sleep(this.#clock, delay, signal);
  }
}
