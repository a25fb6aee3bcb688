import type { IKeyValue, IRangeRequest, IRangeResponse } from "etcd3";
import { type CallOptions, type Position, StoreError } from "../api/store.ts";
import type { EtcdCaller } from "./caller.ts";
import { GrpcStatus, hasStatus, outOfRange } from "./errors.ts";
import { after, type KeyMapper } from "./keys.ts";

/** A point in a cluster's history. */
export interface EtcdPosition {
  readonly cluster: string;
  readonly revision: bigint;
}

export const formatPosition = ({ cluster, revision }: EtcdPosition): Position => `${cluster}:${revision}`;

export function parsePosition(position: Position): EtcdPosition | undefined {
  const match = /^(\d+):(\d+)$/.exec(position);
  return match ? { cluster: match[1] as string, revision: BigInt(match[2] as string) } : undefined;
}

/** Whether the store at `now` lacks something that was seen before. */
export const isBehind = (now: EtcdPosition, seen: EtcdPosition | undefined): boolean =>
  seen !== undefined && (now.cluster !== seen.cluster || now.revision < seen.revision);

export interface EtcdSnapshot {
  readonly kvs: readonly IKeyValue[];
  readonly position: EtcdPosition;
}

/** Entries per page: so many that round trips do not matter, so few that decoding them does not hold the loop. */
const PAGE = 512;

/** Tries against a compaction that overtakes the pages. */
const ATTEMPTS = 5;

/** Reads all entries of a prefix as of one revision, in pages. */
export async function readSnapshot(
  caller: EtcdCaller,
  keys: KeyMapper,
  prefix: string,
  options?: CallOptions,
): Promise<EtcdSnapshot> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await readPages(caller, keys, prefix, options);
    } catch (e) {
      if (outOfRange(e) === undefined) throw e;
      if (attempt === ATTEMPTS) {
        throw new StoreError("UNAVAILABLE", `etcd: list ${prefix}: compacted meanwhile, ${ATTEMPTS} times`, {
          cause: e,
        });
      }
    }
  }
}

async function readPages(
  caller: EtcdCaller,
  keys: KeyMapper,
  prefix: string,
  options?: CallOptions,
): Promise<EtcdSnapshot> {
  const range = keys.range(prefix);
  const kvs: IKeyValue[] = [];
  let position: EtcdPosition | undefined;
  let limit = PAGE;
  for (let key = range.key; ; ) {
    const request: IRangeRequest = { ...range, key, limit, ...(position && { revision: String(position.revision) }) };
    let page: IRangeResponse;
    try {
      page = await caller.unary<IRangeResponse>("KV", "range", request, `list ${prefix}`, options);
    } catch (e) {
      if (!hasStatus(e, GrpcStatus.RESOURCE_EXHAUSTED) || limit === 1) throw e;
      limit = Math.ceil(limit / 8); // large values: the page was above gRPC's limit for a message
      continue;
    }
    position ??= { cluster: page.header.cluster_id, revision: BigInt(page.header.revision) };
    for (const kv of page.kvs) kvs.push(kv);
    const last = page.kvs.at(-1);
    if (!page.more || !last) return { kvs, position };
    key = after(last.key);
  }
}
