import { setTimeout as delay } from "node:timers/promises";
import { expect, it } from "vitest";
import type { SuiteContext } from "../store-compliance.ts";
import { until } from "../until.ts";
import { bytes, put, storeError } from "./calls.ts";

export function leaseTests(context: () => SuiteContext): void {
  it("deletes a lease's entries when it is revoked, and only those", async () => {
    const { store, prefix } = context();
    const p = prefix();
    const lease = await store.lease(30);
    await store.put(`${p}held`, bytes("1"), { lease });
    await store.txn([], [{ op: "put", key: `${p}too`, value: bytes("1"), lease }, put(`${p}free`, "1")]);
    await store.put(`${p}released`, bytes("1"), { lease });
    await store.put(`${p}released`, bytes("2")); // without the lease: no longer bound to it
    await lease.revoke();
    await lease.lost;
    expect((await store.list(p)).entries.map((e) => e.key)).toEqual([`${p}free`, `${p}released`]);
    await storeError(store.put(`${p}held`, bytes("1"), { lease }), "LEASE_LOST");
    await storeError(store.bulk([{ op: "put", key: `${p}held`, value: bytes("1"), lease }]), "LEASE_LOST");
  });

  it("keeps a lease alive beyond its time, and lets it end after its holder is gone", { timeout: 30_000 }, async () => {
    const { store, fixture, prefix } = context();
    const p = prefix();
    const holder = await fixture.open();
    const lease = await holder.lease(2);
    let lost = false;
    void lease.lost.then(() => (lost = true));
    await holder.put(`${p}held`, bytes("1"), { lease });
    await delay(5000); // the lease's own time has to pass: more than twice
    expect(lost).toBe(false);
    expect(await store.get(`${p}held`)).toBeDefined();
    await holder.close(); // as a crash: nothing is revoked
    if (holder !== store) {
      expect(await store.get(`${p}held`)).toBeDefined();
      await until("the entry is gone", async () => (await store.get(`${p}held`)) === undefined, 10_000);
    }
  });
}
