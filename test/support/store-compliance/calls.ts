import { expect, it } from "vitest";
import {
  MAX_REQUEST_BYTES,
  MAX_TXN_OPS,
  StoreError,
  type StoreErrorCode,
  type WriteOp,
} from "../../../src/stores/api/store.ts";
import { compareKeys } from "../../../src/stores/common/keys.ts";
import type { SuiteContext } from "../store-compliance.ts";

export const bytes = (text: string): Uint8Array => Buffer.from(text);
export const text = (value: Uint8Array | undefined): string | undefined => value && Buffer.from(value).toString();
export const put = (key: string, value: string): WriteOp => ({ op: "put", key, value: bytes(value) });

export async function storeError(promise: Promise<unknown>, code: StoreErrorCode): Promise<StoreError> {
  const e = await promise.then(
    () => expect.fail(`resolved instead of ${code}`),
    (e: unknown) => e,
  );
  expect(e).toBeInstanceOf(StoreError);
  expect((e as StoreError).code, String(e)).toBe(code);
  return e as StoreError;
}

/** Reads, writes, transactions. */
export function callTests(context: () => SuiteContext): void {
  it("gets what was put, and nothing for what was never there or was deleted", async () => {
    const { store, prefix } = context();
    const p = prefix();
    expect(await store.get(`${p}a`)).toBeUndefined();
    const revision = await store.put(`${p}a`, bytes("1"));
    const entry = await store.get(`${p}a`);
    expect(entry).toMatchObject({ key: `${p}a`, revision });
    expect(text(entry?.value)).toBe("1");
    expect(await store.put(`${p}a`, bytes("1"))).not.toBe(revision);
    expect(await store.delete(`${p}a`)).toBe(true);
    expect(await store.delete(`${p}a`)).toBe(false);
    expect(await store.get(`${p}a`)).toBeUndefined();
  });

  it("keeps every byte, and empty values", async () => {
    const { store, prefix } = context();
    const p = prefix();
    const all = Uint8Array.from({ length: 256 }, (_, i) => i);
    await store.put(`${p}all`, all);
    await store.put(`${p}empty`, new Uint8Array());
    expect([...((await store.get(`${p}all`))?.value ?? [])]).toEqual([...all]);
    expect((await store.get(`${p}empty`))?.value).toHaveLength(0);
  });

  it("lists a prefix in key order, without its neighbours", async () => {
    const { store, prefix } = context();
    const p = prefix();
    const inside = ["", "/", "a", "a/b", "a0", "\u{ffff}", "\u{10000}", "ü", "~", "日本"].map((k) => `${p}x/${k}`);
    const outside = [`${p}x`, `${p}x.`, `${p}x0`, `${p}w/z`];
    await store.bulk([...inside, ...outside].map((k) => put(k, k)));
    const { entries } = await store.list(`${p}x/`);
    expect(entries.map((e) => e.key)).toEqual([...inside].sort(compareKeys));
    expect(entries.every((e) => text(e.value) === e.key)).toBe(true);
    expect((await store.list(`${p}none/`)).entries).toEqual([]);
  });

  it("lets one of many win who create the same key", async () => {
    const { store, fixture, prefix } = context();
    const key = `${prefix()}id`;
    const other = await fixture.open();
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        (i % 2 ? store : other).txn([{ key, revision: undefined }], [put(key, `node ${i}`)]),
      ),
    );
    await other.close();
    const winners = outcomes.flatMap((o, i) => (o.succeeded ? [i] : []));
    expect(winners).toHaveLength(1);
    const entry = await store.get(key);
    expect(text(entry?.value)).toBe(`node ${winners[0]}`);
    expect(entry?.revision).toBe(outcomes[winners[0] as number]?.revision);
  });

  it("counts right when many increment by compare-and-swap", async () => {
    const { store, prefix } = context();
    const key = `${prefix()}counter`;
    await store.put(key, bytes("0"));
    const increment = async () => {
      for (;;) {
        const entry = await store.get(key);
        const next = put(key, String(Number(text(entry?.value)) + 1));
        if ((await store.txn([{ key, revision: entry?.revision }], [next])).succeeded) return;
      }
    };
    await Promise.all(Array.from({ length: 8 }, increment));
    expect(text((await store.get(key))?.value)).toBe("8");
  });

  it("writes all of a transaction or nothing of it", async () => {
    const { store, prefix } = context();
    const p = prefix();
    const revision = await store.put(`${p}a`, bytes("1"));
    const writes: WriteOp[] = [put(`${p}b`, "2"), { op: "delete", key: `${p}a` }, { op: "delete", key: `${p}none` }];
    const refused = [
      [{ key: `${p}a`, revision: undefined }],
      [{ key: `${p}b`, revision }],
      [
        { key: `${p}a`, revision },
        { key: `${p}b`, revision },
      ],
    ];
    for (const compare of refused) expect(await store.txn(compare, writes)).toEqual({ succeeded: false });
    expect((await store.list(p)).entries.map((e) => e.key)).toEqual([`${p}a`]);
    const compare = [
      { key: `${p}a`, revision },
      { key: `${p}b`, revision: undefined },
    ];
    const outcome = await store.txn(compare, writes);
    expect(outcome.succeeded).toBe(true);
    const { entries } = await store.list(p);
    expect(entries.map((e) => [e.key, e.revision])).toEqual([[`${p}b`, outcome.revision]]);
  });

  it("writes ten thousand keys in bulk and lists them all", { timeout: 60_000 }, async () => {
    const { store, prefix } = context();
    const p = prefix();
    const keys = Array.from({ length: 10_000 }, (_, i) => `${p}pod/${String(i).padStart(5, "0")}`);
    await store.bulk(keys.map((k) => put(k, k)));
    expect((await store.list(p)).entries.map((e) => e.key)).toEqual(keys);
    await store.bulk(keys.map((key) => ({ op: "delete", key })));
    expect((await store.list(p)).entries).toEqual([]);
  });

  it("takes the last of several writes of a key in one bulk", async () => {
    const { store, prefix } = context();
    const p = prefix();
    await store.bulk([put(`${p}a`, "1"), put(`${p}b`, "1"), { op: "delete", key: `${p}b` }, put(`${p}a`, "2")]);
    expect((await store.list(p)).entries.map((e) => [e.key, text(e.value)])).toEqual([[`${p}a`, "2"]]);
  });

  it("tries all of a bulk and names one that failed", async () => {
    const { store, prefix } = context();
    const p = prefix();
    const large = new Uint8Array(MAX_REQUEST_BYTES + 1);
    const writes: WriteOp[] = [put(`${p}a`, "1"), { op: "put", key: `${p}large`, value: large }, put(`${p}z`, "1")];
    const e = await storeError(store.bulk(writes), "INVALID");
    expect(e.message).toContain(`${p}large`);
    expect((await store.list(p)).entries.map((e) => e.key)).toEqual([`${p}a`, `${p}z`]);
  });

  it("keeps a value of a megabyte, and lists and watches many large ones", { timeout: 60_000 }, async () => {
    const { store, prefix } = context();
    const p = prefix();
    const value = Buffer.alloc(1024 * 1024, "heddle");
    const keys = Array.from({ length: 12 }, (_, i) => `${p}${String(i).padStart(2, "0")}`);
    for (const key of keys) await store.put(key, value);
    const { entries } = await store.list(p);
    expect(entries.map((e) => e.key)).toEqual(keys);
    expect(entries.every((e) => value.equals(e.value))).toBe(true);
    await using watch = store.snapshotAndWatch(p);
    for await (const item of watch) {
      expect(item.changes).toHaveLength(12);
      break;
    }
    await store.bulk(keys.map((key) => ({ op: "delete", key })));
  });

  it("refuses what can't be right", async () => {
    const { store, prefix } = context();
    const p = prefix();
    const many = Array.from({ length: MAX_TXN_OPS + 1 }, (_, i) => put(`${p}${i}`, ""));
    await storeError(store.get(""), "INVALID");
    await storeError(store.put("", bytes("x")), "INVALID");
    await storeError(store.delete(""), "INVALID");
    await storeError(store.put(`${p}\ud800`, bytes("x")), "INVALID");
    await storeError(store.put(`${p}big`, new Uint8Array(2 * 1024 * 1024)), "INVALID");
    await storeError(store.txn([], [put(`${p}a`, "1"), put(`${p}a`, "2")]), "INVALID");
    await storeError(store.txn([{ key: "", revision: undefined }], []), "INVALID");
    await storeError(store.txn([], many), "INVALID");
    await storeError(store.lease(0), "INVALID");
    expect((await store.list(p)).entries).toEqual([]);
  });

  it("rejects with the reason of a signal that has aborted", async () => {
    const { store, prefix } = context();
    const key = `${prefix()}a`;
    const reason = new Error("enough");
    const signal = AbortSignal.abort(reason);
    await expect(store.get(key, { signal })).rejects.toBe(reason);
    await expect(store.put(key, bytes("x"), { signal })).rejects.toBe(reason);
    await expect(store.ping({ signal })).rejects.toBe(reason);
    expect(await store.get(key)).toBeUndefined();
  });

  it("answers a ping", async () => {
    await context().store.ping();
  });

  it("rejects calls and ends watches once it is closed", async () => {
    const { fixture, prefix } = context();
    const p = prefix();
    const other = await fixture.open();
    const watch = other.snapshotAndWatch(p);
    const items = watch[Symbol.asyncIterator]();
    expect((await items.next()).value).toMatchObject({ kind: "snapshot" });
    const next = items.next();
    await other.close();
    expect(await next).toMatchObject({ done: true });
    await storeError(other.get(`${p}a`), "UNAVAILABLE");
    await storeError(other.put(`${p}a`, bytes("x")), "UNAVAILABLE");
    await other.close();
  });
}
