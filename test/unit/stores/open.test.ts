import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { systemClock } from "../../../src/base/clock/clock.ts";
import { StoreError } from "../../../src/stores/api/store.ts";
import { openStore } from "../../../src/stores/open.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "hdopen-"));
});
afterEach(() => rmSync(dir, { recursive: true }));
const deps = { clock: systemClock };

it("opens what the configuration names", async () => {
  const file = await openStore({ kind: "embedded", dir }, deps);
  expect(file.kind).toBe(`embedded ${dir}`);
  await file.close();
  const socket = await openStore({ kind: "embedded", socket: join(dir, "none.sock") }, deps);
  await expect(socket.ping()).rejects.toMatchObject({ code: "UNAVAILABLE" });
  await socket.close();
  const fallback = await openStore({ kind: "embedded" }, { ...deps, defaultDir: join(dir, "a", "b") });
  await fallback.put("k", Buffer.from("v"));
  await fallback.close();
  const etcd = await openStore({ kind: "etcd", endpoints: ["http://127.0.0.1:1"] }, deps);
  expect(etcd.kind).toBe("etcd http://127.0.0.1:1");
  await etcd.close();
});

it("refuses a configuration that says too little or too much", async () => {
  await expect(openStore({ kind: "embedded" }, deps)).rejects.toThrow(StoreError);
  await expect(openStore({ kind: "embedded", socket: "/s", dir }, deps)).rejects.toThrow(StoreError);
  await expect(openStore({ kind: "etcd", endpoints: ["x"] }, deps)).rejects.toMatchObject({ code: "INVALID" });
});

it("loads no etcd client for an embedded store", () => {
  const script = `
    import { createRequire } from "node:module";
    import { openStore } from ${JSON.stringify(join(import.meta.dirname, "../../../src/stores/open.ts"))};
    import { systemClock } from ${JSON.stringify(join(import.meta.dirname, "../../../src/base/clock/clock.ts"))};
    const store = await openStore({ kind: "embedded", dir: ${JSON.stringify(dir)} }, { clock: systemClock });
    await store.close();
    const loaded = Object.keys(createRequire("/").cache).filter((f) => /node_modules/.test(f));
    process.stdout.write(JSON.stringify(loaded));`;
  const out = execFileSync(process.execPath, ["--input-type=module-typescript", "-e", script], { encoding: "utf8" });
  expect(JSON.parse(out)).toEqual([]);
});
