import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { millis, seconds } from "../../../src/base/clock/clock.ts";
import { ManualClock } from "../../../src/base/clock/manual-clock.ts";
import type { Entry } from "../../../src/stores/api/store.ts";
import { EmbeddedStore } from "../../../src/stores/embedded/embedded-store.ts";
import { EmbeddedEngine } from "../../../src/stores/embedded/engine.ts";
import { EmbeddedFile } from "../../../src/stores/embedded/file.ts";
import { LocalDbError } from "../../../src/stores/local/local-db.ts";
import { until } from "../../support/until.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "hdembedded-"));
});
afterEach(() => rmSync(dir, { recursive: true }));

const summary = (entries: readonly Entry[]) => entries.map((e) => [e.key, e.revision, Buffer.from(e.value).toString()]);

describe("EmbeddedStore's file", () => {
  it("brings back entries with their revisions, and counts on", async () => {
    let before: unknown;
    let revision: string;
    {
      await using store = await EmbeddedStore.open({ dir });
      await store.bulk(
        ["b", "a", "ü", "gone"].map((k) => ({ op: "put", key: k, value: Buffer.from(`value of ${k}`) })),
      );
      await store.put("a", Buffer.from("later"));
      await store.delete("gone");
      before = summary((await store.list("")).entries);
      revision = await store.put("z", Buffer.from(""));
    }
    await using store = await EmbeddedStore.open({ dir });
    const { entries } = await store.list("");
    expect(summary(entries).slice(0, 2)).toEqual((before as unknown[]).slice(0, 2));
    expect(entries.map((e) => e.key)).toEqual(["a", "b", "z", "ü"]);
    expect(Number(await store.put("y", Buffer.from("")))).toBe(Number(revision) + 1);
  });

  it("gives leases their whole time again, and ends them when it passes", async () => {
    {
      await using store = await EmbeddedStore.open({ dir });
      const lease = await store.lease(10);
      await store.put("held", Buffer.from("1"), { lease });
      await store.put("free", Buffer.from("1"));
    }
    const clock = new ManualClock();
    await using store = await EmbeddedStore.open({ dir, clock });
    await clock.advanceAsync(seconds(9), seconds(1));
    expect(await store.get("held")).toBeDefined();
    await clock.advanceAsync(seconds(2), millis(500));
    await until("the lease has ended", async () => (await store.get("held")) === undefined);
    expect(await store.get("free")).toBeDefined();
  });

  it("can be open once", async () => {
    await using _store = await EmbeddedStore.open({ dir });
    await expect(EmbeddedStore.open({ dir })).rejects.toThrow(LocalDbError);
  });

  it("shows nobody what could not be written, and takes it back", async () => {
    const { file, state } = await EmbeddedFile.open(dir, {});
    const engine = new EmbeddedEngine({ clock: new ManualClock(), state, file, historyLength: 10 });
    const seen: string[] = [];
    await engine.subscribe("", {}, ({ events }) => seen.push(...events.map(([key]) => key)));
    await engine.txn([], [{ key: "a", value: Buffer.from("1") }]);
    const lease = await engine.grant(5);
    const commit = vi.spyOn(file, "commit").mockRejectedValueOnce(new Error("disk full"));
    const results = await Promise.allSettled([
      engine.txn([], [{ key: "a", value: Buffer.from("2") }]),
      engine.txn([], [{ key: "b", value: Buffer.from("1"), lease }]),
      engine.revoke(lease),
      engine.get("b"),
    ]);
    expect(results.map((r) => r.status === "rejected" && (r.reason as { code: string }).code)).toEqual(
      results.map(() => "UNAVAILABLE"),
    );
    commit.mockRestore();
    expect(summary(await engine.list(""))).toEqual([["a", "1", "1"]]);
    expect(await engine.renew(lease)).toBe(true);
    expect(await engine.txn([], [{ key: "c", value: Buffer.from("1"), lease }])).toMatchObject({ revision: "2" });
    expect(seen).toEqual(["a", "c"]);
    await engine.close();
  });
});
