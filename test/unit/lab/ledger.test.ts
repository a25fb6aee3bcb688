import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Ledger, readState } from "../../../src/lab/state/ledger.ts";
import { lock, lockNow } from "../../../src/lab/state/lock.ts";
import { planLab } from "../../../src/lab/up.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "hdt-ledger-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const state = () => planLab({ dir, nodes: 1 }, { record: { kind: "embedded", endpoints: [] } });

describe("the ledger", () => {
  it("loses no change of several made at once, through handles that know nothing of each other", async () => {
    await new Ledger(dir).create(state());
    const handles = [new Ledger(dir), new Ledger(dir), new Ledger(dir)] as const;
    const change = (i: number): Promise<unknown> =>
      handles[i % 3 === 0 ? 0 : i % 3 === 1 ? 1 : 2].update((s) => ({ ...s, namespaces: [...s.namespaces, `x${i}`] }));
    await Promise.all(Array.from({ length: 30 }, (_, i) => change(i)));
    const names = readState(dir)?.namespaces.filter((n) => n.startsWith("x")) ?? [];
    expect(names.toSorted()).toEqual(Array.from({ length: 30 }, (_, i) => `x${i}`).toSorted());
  });

  it("refuses a second lab in the same directory", async () => {
    await new Ledger(dir).create(state());
    await expect(new Ledger(dir).create(state())).rejects.toMatchObject({ code: "USAGE" });
  });

  it("keeps the old state when a change throws, and goes on", async () => {
    const ledger = new Ledger(dir);
    await ledger.create(state());
    const refuse = ledger.update(() => {
      throw new Error("no");
    });
    await expect(refuse).rejects.toThrow("no");
    await expect(ledger.update((s) => ({ ...s, nextPod: 9 }))).resolves.toMatchObject({ nextPod: 9 });
  });

  it.each([
    ["what is not JSON", "{", /not JSON/],
    ["a version that it does not know", '{"version":2}', /version 2/],
  ])("names the file that holds %s", (_what, text, message) => {
    writeFileSync(join(dir, "lab.json"), text);
    expect(() => readState(dir)).toThrow(message);
  });
});

describe("the lock", () => {
  it("lets one in at a time, in whatever order they come", async () => {
    let inside = 0;
    let most = 0;
    const visit = async (): Promise<void> => {
      await using _held = await lock(dir, "t");
      inside += 1;
      most = Math.max(most, inside);
      await new Promise((resolve) => setImmediate(resolve));
      inside -= 1;
    };
    await Promise.all(Array.from({ length: 8 }, visit));
    expect(most).toBe(1);
  });

  it("says who holds it to those who will not wait, and is free after release", async () => {
    const held = await lockNow(dir, "t");
    await expect(lockNow(dir, "t")).rejects.toMatchObject({
      code: "BUSY",
      message: expect.stringContaining(`pid ${process.pid}`),
    });
    await held.release();
    await (await lockNow(dir, "t")).release();
  });

  it("stops waiting when it is aborted", async () => {
    await using _held = await lock(dir, "t");
    const controller = new AbortController();
    const waiting = lock(dir, "t", { signal: controller.signal, onWait: () => controller.abort(new Error("enough")) });
    await expect(waiting).rejects.toThrow("enough");
  });

  it("is another one for another directory", async () => {
    await using _held = await lock(dir, "t");
    await expect(lockNow(tmpdir(), "t").then((l) => l.release())).resolves.toBeUndefined();
  });
});
