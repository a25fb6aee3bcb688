import { type Compare, MAX_REQUEST_BYTES, MAX_TXN_OPS, StoreError, type WriteOp } from "../api/store.ts";
import { checkKey } from "./keys.ts";

/** Bytes that a write takes within a request, about. */
export function writeSize(write: WriteOp): number {
  return Buffer.byteLength(write.key) + (write.op === "put" ? write.value.length : 0) + 32;
}

/** @throws StoreError `INVALID` for a transaction that no store would take, so that all refuse the same. */
export function checkTxn(compare: readonly Compare[], writes: readonly WriteOp[]): void {
  for (const { key } of compare) checkKey(key);
  if (compare.length > MAX_TXN_OPS || writes.length > MAX_TXN_OPS) {
    const count = Math.max(compare.length, writes.length);
    throw new StoreError("INVALID", `a transaction of ${count} operations is above the limit of ${MAX_TXN_OPS}`);
  }
  const seen = new Set<string>();
  let size = 0;
  for (const write of writes) {
    checkKey(write.key);
    if (seen.has(write.key)) throw new StoreError("INVALID", `a transaction writes ${write.key} twice`);
    seen.add(write.key);
    size += writeSize(write);
  }
  if (size > MAX_REQUEST_BYTES) {
    const what = writes.length === 1 ? `the value of ${writes[0]?.key}` : "a transaction";
    throw new StoreError("INVALID", `${what} of ${size} bytes is above the limit of ${MAX_REQUEST_BYTES}`);
  }
}

/** Of a lease, in seconds; above, etcd refuses. @throws StoreError `INVALID` */
export function checkTtl(ttl: number): number {
  if (!(Number.isInteger(ttl) && ttl >= 1 && ttl <= 9_000_000_000)) {
    throw new StoreError("INVALID", `a lease of ${ttl} seconds; it must be a whole number from 1`);
  }
  return ttl;
}
