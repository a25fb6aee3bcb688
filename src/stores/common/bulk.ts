import { fullMessage } from "../../base/errors/errors.ts";
import { MAX_TXN_OPS, StoreError, type StoreErrorCode, type WriteOp } from "../api/store.ts";
import { checkTxn, writeSize } from "./checks.ts";

/** Bytes per transaction of a bulk write: few round trips, yet no request that holds up others for long. */
const BATCH_BYTES = 256 * 1024;

/** Transactions under way at once. */
const CONCURRENCY = 4;

/**
 * Writes in batches, several at a time. When a batch is refused as invalid its writes are tried one by one, so that only
 * the guilty fail. Of several writes of one key only the last is made.
 */
export async function writeInBulk(
  writes: readonly WriteOp[],
  commit: (batch: readonly WriteOp[]) => Promise<unknown>,
  signal?: AbortSignal,
): Promise<void> {
  const failures: { key: string; error: unknown }[] = [];
  const queue: WriteOp[][] = [];
  let batch: WriteOp[] = [];
  let size = 0;
  for (const write of new Map(writes.map((w) => [w.key, w])).values()) {
    try {
      checkTxn([], [write]);
    } catch (error) {
      failures.push({ key: write.key, error });
      continue;
    }
    if (batch.length === MAX_TXN_OPS || (batch.length > 0 && size + writeSize(write) > BATCH_BYTES)) {
      queue.push(batch);
      batch = [];
      size = 0;
    }
    batch.push(write);
    size += writeSize(write);
  }
  if (batch.length > 0) queue.push(batch);

  const tryBatch = async (batch: readonly WriteOp[]): Promise<void> => {
    try {
      await commit(batch);
    } catch (error) {
      const invalid = error instanceof StoreError && (error.code === "INVALID" || error.code === "LEASE_LOST");
      if (invalid && batch.length > 1) for (const write of batch) await tryBatch([write]);
      else for (const { key } of batch) failures.push({ key, error });
    }
  };
  const worker = async (): Promise<void> => {
    for (let next = queue.shift(); next; next = queue.shift()) await tryBatch(next);
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));

  signal?.throwIfAborted();
  const first = failures[0];
  if (!first) return;
  const code: StoreErrorCode = first.error instanceof StoreError ? first.error.code : "UNAVAILABLE";
  throw new StoreError(
    code,
    `${failures.length} of ${writes.length} writes failed; ${first.key}: ${fullMessage(first.error)}`,
    { cause: first.error },
  );
}
