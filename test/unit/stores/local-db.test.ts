import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { open, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ClosedError } from "../../../src/base/errors/errors.ts";
import { DbThread, LocalDb, LocalDbError } from "../../../src/stores/local/local-db.ts";

let dir: string;
let path: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "hdlocaldb-"));
  path = join(dir, "agent.db");
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

async function failure(promise: Promise<unknown>): Promise<LocalDbError> {
  const e = await promise.then(
    () => undefined,
    (e: unknown) => e,
  );
  expect(e).toBeInstanceOf(LocalDbError);
  return e as LocalDbError;
}

describe("LocalDb", () => {
  it("has after reopening exactly what was committed", async () => {
    {
      await using db = await LocalDb.open(path);
      await db.commit([
        ["sandbox/a", "1"],
        ["sandbox/b", "ü\0€😀"],
        ["ip/10.0.0.1", "a"],
      ]);
      await db.commit([
        ["sandbox/a", undefined],
        ["sandbox/c", ""],
      ]);
    }
    await using db = await LocalDb.open(path);
    expect([...(await db.load("sandbox/"))]).toEqual([
      ["sandbox/b", "ü\0€😀"],
      ["sandbox/c", ""],
    ]);
    expect((await db.load("")).size).toBe(3);
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it("loads a prefix without its neighbours", async () => {
    await using db = await LocalDb.open(path);
    const keys = ["a", "a/", "a/x", "a/\u{10ffff}", "a/\uffff", "a0", "b"];
    await db.commit(keys.map((k) => [k, k]));
    expect([...(await db.load("a/")).keys()]).toEqual(["a/", "a/x", "a/\uffff", "a/\u{10ffff}"]);
  });

  it("loads more than one slice of rows", async () => {
    await using db = await LocalDb.open(path);
    await db.commit(Array.from({ length: 2345 }, (_, i) => [`k${i}`, "v".repeat(i % 700)] as const));
    const loaded = await db.load("k");
    expect(loaded.size).toBe(2345);
    expect(loaded.get("k1699")).toHaveLength(299);
  });

  it("lets the last of concurrent commits to a key win, and a load sees commits made before it", async () => {
    await using db = await LocalDb.open(path);
    const commits = Array.from({ length: 200 }, (_, i) => db.commit([["k", String(i)]]));
    expect((await db.load("k")).get("k")).toBe("199");
    await Promise.all(commits);
  });

  it("takes an empty commit, and others after it", async () => {
    await using db = await LocalDb.open(path);
    await db.commit([]);
    await db.commit([["k", "v"]]);
    expect((await db.load("")).size).toBe(1);
  });

  it("merges commits that wait into few transactions", async () => {
    await using db = await LocalDb.open(path);
    await Promise.all(Array.from({ length: 500 }, (_, i) => db.commit([[`k${i}`, "v"]])));
    // One WAL frame is at least a page; 500 transactions would be at least 500 frames of 4 KiB + 24 bytes.
    expect(statSync(`${path}-wal`).size).toBeLessThan(100 * 4120);
    expect((await db.load("")).size).toBe(500);
  });

  it("refuses keys and values it can't store, and keeps nothing of that commit", async () => {
    await using db = await LocalDb.open(path);
    const cases: [string, unknown][] = [
      ["", "x"],
      ["lone \ud800 surrogate", "x"],
      ["k", 1],
      ["k", null],
    ];
    for (const [key, value] of cases) {
      const e = await failure(
        db.commit([
          ["good", "x"],
          [key, value as string],
        ]),
      );
      expect(e.code).toBe("INVALID");
    }
    expect((await db.load("")).size).toBe(0);
  });

  it("names file and version when the file is of a newer Heddle", async () => {
    await (await LocalDb.open(path)).close();
    const raw = new DatabaseSync(path);
    raw.exec("PRAGMA user_version = 7");
    raw.close();
    const e = await failure(LocalDb.open(path));
    expect(e.code).toBe("NEWER_VERSION");
    expect(e.message).toContain(path);
    expect(e.message).toContain("version 7");
  });

  const damages: Record<string, () => void | Promise<void>> = {
    "was truncated to nothing": () => truncateSync(path, 0),
    "was cut off": () => truncateSync(path, 5000),
    "is something else": () => writeFileSync(path, "hello\n".repeat(2000)),
    "has an overwritten page": async () => {
      await using file = await open(path, "r+");
      await file.write(Buffer.alloc(4096, 0xa5), 0, 4096, 4096);
    },
    "is another program's database": () => {
      rmSync(path);
      const raw = new DatabaseSync(path);
      raw.exec("CREATE TABLE kv (key, value)");
      raw.close();
    },
    "is gone but its journal is there": () => {
      rmSync(path);
      writeFileSync(`${path}-wal`, "x");
    },
  };
  for (const [what, damage] of Object.entries(damages)) {
    it(`reports a file that ${what}, and leaves it as it is`, async () => {
      {
        await using db = await LocalDb.open(path);
        await db.commit(Array.from({ length: 300 }, (_, i) => [`k${i}`, "v".repeat(100)] as const));
      }
      await damage();
      const before = readdirSync(dir).map((f) => [f, statSync(join(dir, f)).size]);
      const e = await failure(LocalDb.open(path));
      expect(e.code).toBe("CORRUPT");
      expect(e.message).toContain(path);
      expect(readdirSync(dir).map((f) => [f, statSync(join(dir, f)).size])).toEqual(before);
    });
  }

  it("refuses a file that is open already", async () => {
    await using _db = await LocalDb.open(path);
    expect((await failure(LocalDb.open(path))).code).toBe("IN_USE");
  });

  it("reports a directory that isn't there", async () => {
    const e = await failure(LocalDb.open(join(dir, "none", "agent.db")));
    expect(e.code).toBe("IO");
    expect(e.message).toContain(join(dir, "none"));
  });

  it("answers commits made before close, and refuses those made after", async () => {
    const db = await LocalDb.open(path);
    const last = db.commit([["k", "v"]]);
    const closed = db.close();
    await expect(db.commit([["k", "w"]])).rejects.toThrow(ClosedError);
    await last;
    await closed;
    await db.close();
    await using again = await LocalDb.open(path);
    expect((await again.load("")).get("k")).toBe("v");
  });

  it("shares a thread between databases of text and of bytes", async () => {
    await using thread = DbThread.start();
    await using text = await LocalDb.open(path, { thread });
    await using bytes = await LocalDb.openBytes(join(dir, "mirror.db"), { thread, synchronous: "normal" });
    await Promise.all([text.commit([["k", "text"]]), bytes.commit([["k", Uint8Array.of(0, 255)]])]);
    expect((await text.load("")).get("k")).toBe("text");
    expect([...((await bytes.load("")).get("k") ?? [])]).toEqual([0, 255]);
    const e = await failure(LocalDb.openBytes(path, { thread }));
    expect(e.code).toBe("IN_USE");
  });

  it("keeps every answered commit when its process is killed", async () => {
    // The child commits k0, k1, … one after the other and prints each after its answer.
    const script = `
      import { LocalDb } from ${JSON.stringify(join(import.meta.dirname, "../../../src/stores/local/local-db.ts"))};
      const db = await LocalDb.open(${JSON.stringify(path)});
      for (let i = 0; ; i++) {
        await db.commit([["k" + i, "v"], ["twin" + i, "v"]]);
        process.stdout.write(i + "\\n");
      }`;
    const main = join(dir, "child.ts");
    writeFileSync(main, script);
    const child: ChildProcess = spawn(process.execPath, [main], { stdio: ["ignore", "pipe", "inherit"] });
    let printed = "";
    child.stdout?.on("data", (chunk: Buffer) => {
      printed += chunk.toString();
      if (printed.length > 500) child.kill("SIGKILL");
    });
    await once(child, "close");
    const answered = printed.split("\n").slice(0, -1).map(Number);
    expect(answered.length).toBeGreaterThan(50);
    await using db = await LocalDb.open(path);
    const kept = await db.load("");
    for (const i of answered) expect(kept.has(`k${i}`)).toBe(true);
    expect([...kept.keys()].filter((k) => k.startsWith("k")).length).toBe(kept.size / 2);
    expect((await readFile(path)).length).toBeGreaterThan(0);
  });
});
