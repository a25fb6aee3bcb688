import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { millis, minutes, seconds } from "../../../src/base/clock/clock.ts";
import { ManualClock } from "../../../src/base/clock/manual-clock.ts";
import type { HistoryPage } from "../../../src/kvscheduler/api/history.ts";
import { FileHistory, type FileHistoryOptions } from "../../../src/kvscheduler/history-file/index.ts";
import { storable } from "../../support/history-file/txn.ts";
import { until } from "../../support/until.ts";

let dir: string;
let clock: ManualClock;
const lost: string[] = [];

beforeEach(() => {
  dir = join(mkdtempSync(join(tmpdir(), "hdhistory-")), "history");
  clock = new ManualClock();
  lost.length = 0;
});
afterEach(() => rmSync(join(dir, ".."), { recursive: true, force: true }));

const open = (more: Partial<FileHistoryOptions> = {}): Promise<FileHistory> =>
  FileHistory.open({ dir, clock, linger: millis(0), onLost: (cause) => lost.push(cause.message), ...more });

/** One transaction after the other, each on the disk before the next. */
async function fill(store: FileHistory, from: number, to: number, ops = 1): Promise<void> {
  for (let seq = from; seq <= to; seq++) {
    store.add(storable(seq, clock.wall(), ops));
    await until("it is written", async () => (await store.read({ from: seq })).txns.length === 1 && written(seq));
  }
}

const files = (): string[] => readdirSync(dir).sort();
const written = (seq: number): boolean =>
  files().some((f) => readFileSync(join(dir, f), "utf8").includes(`"seq":${seq},`));
const numbers = ({ txns }: HistoryPage): number[] => txns.map((t) => t.seq);
const sizeOnDisk = (): number => files().reduce((sum, f) => sum + statSync(join(dir, f)).size, 0);

describe("transactions", () => {
  test("are there after a restart, and numbers go on", async () => {
    const first = await open();
    expect(first.lastSeq).toBe(0);
    for (const seq of [1, 2, 3]) first.add(storable(seq, clock.wall()));
    await first.close();

    await using second = await open();
    expect(second.lastSeq).toBe(3);
    const page = await second.read();
    expect(numbers(page)).toEqual([1, 2, 3]);
    expect(page).toMatchObject({ gaps: [], more: false });
    expect(page.txns[0]).toEqual({ ...storable(1, clock.wall()) });
  });

  test("can be read while they are still on their way to the disk", async () => {
    await using store = await open();
    for (const seq of [1, 2, 3]) store.add(storable(seq, clock.wall()));
    expect(files()).toEqual([]);
    expect(numbers(await store.read())).toEqual([1, 2, 3]);
    expect(numbers(await store.read())).toEqual([1, 2, 3]);
  });

  test("are selected by number, by time and by how many", async () => {
    await using store = await open();
    const start = clock.wall();
    for (let seq = 1; seq <= 9; seq++) {
      clock.advance(seconds(1));
      store.add(storable(seq, clock.wall()));
    }
    await store.read();
    expect(numbers(await store.read({ from: 4, to: 6 }))).toEqual([4, 5, 6]);
    expect(numbers(await store.read({ since: start + 7000 }))).toEqual([7, 8, 9]);
    expect(numbers(await store.read({ until: start + 2000 }))).toEqual([1, 2]);
    expect(await store.read({ limit: 2 })).toMatchObject({ txns: [{ seq: 8 }, { seq: 9 }], more: true });
    expect(await store.read({ to: 5, limit: 2 })).toMatchObject({ txns: [{ seq: 4 }, { seq: 5 }], more: true });
    expect(await store.read({ limit: 0 })).toMatchObject({ txns: [], more: true });
    expect(await store.read({ from: 20 })).toMatchObject({ txns: [], more: false });
  });

  test("are merged with those in memory, which are complete", async () => {
    const first = await open({ bytes: 64 * 1024 });
    for (const seq of [1, 2]) first.add(storable(seq, clock.wall(), 100));
    await first.close();
    await using store = await open({ bytes: 64 * 1024 });
    const whole = storable(2, clock.wall(), 100);
    const page = await store.read({}, [whole, storable(3, clock.wall())]);
    expect(numbers(page)).toEqual([1, 2, 3]);
    expect(page.txns[0]!.omitted).toBeGreaterThan(0);
    expect(page.txns[1]).toBe(whole);
  });
});

describe("what a crash has left", () => {
  test("torn at the end is cut off, wherever it was torn; the next one follows", async () => {
    const first = await open();
    for (const seq of [1, 2]) first.add(storable(seq, clock.wall()));
    await first.close();
    const path = join(dir, files()[0]!);
    const whole = readFileSync(path);
    const end = whole.indexOf(0x0a) + 1;
    for (const cut of [end, end + 1, end + 9, whole.length - 2, whole.length - 1]) {
      writeFileSync(path, whole.subarray(0, cut));
      const store = await open();
      expect([cut, store.lastSeq]).toEqual([cut, 1]);
      store.add(storable(2, clock.wall()));
      await store.close();
      expect(readFileSync(path)).toEqual(whole);
    }
  });

  test("as a file with nothing in it is removed", async () => {
    const first = await open();
    first.add(storable(1, clock.wall()));
    await first.close();
    writeFileSync(join(dir, "txn-000000000002-1767225600000.jsonl"), "1234");
    writeFileSync(join(dir, "notes.txt"), "not ours");
    await using store = await open();
    expect(store.lastSeq).toBe(1);
    expect(files()).toHaveLength(2);
    expect(files()).toContain("notes.txt");
  });

  test("damaged in the middle costs no other transaction", async () => {
    const first = await open();
    for (const seq of [1, 2, 3]) first.add(storable(seq, clock.wall()));
    await first.close();
    const path = join(dir, files()[0]!);
    const content = readFileSync(path);
    content[content.indexOf('"seq":2')]! ^= 1;
    writeFileSync(path, content);
    await using store = await open();
    expect(numbers(await store.read())).toEqual([1, 3]);
  });
});

describe("bounds", () => {
  test("in bytes hold at every moment, and little is given away", async () => {
    const bytes = 64 * 1024;
    await using store = await open({ bytes });
    for (let seq = 1; seq <= 150; seq++) {
      await fill(store, seq, seq, 5);
      expect(sizeOnDisk()).toBeLessThanOrEqual(bytes);
      await until("what is counted is what is there", () => store.bytes === sizeOnDisk());
    }
    expect(sizeOnDisk()).toBeGreaterThan(bytes * 0.7);
    const page = await store.read();
    expect(numbers(page).at(-1)).toBe(150);
    expect(numbers(page).length).toBe(150 - numbers(page)[0]! + 1);
  });

  test("in number and in age hold for what is read, also after a restart with other bounds", async () => {
    const first = await open();
    for (let seq = 1; seq <= 10; seq++) {
      first.add(storable(seq, clock.wall()));
      clock.advance(minutes(1));
    }
    await first.close();
    await using few = await open({ count: 3 });
    expect(numbers(await few.read())).toEqual([8, 9, 10]);
    await using young = await open({ age: minutes(4) });
    expect(numbers(await young.read())).toEqual([7, 8, 9, 10]);
  });

  test("in age remove files", async () => {
    await using store = await open({ age: minutes(8) });
    for (let seq = 1; seq <= 20; seq++) {
      await fill(store, seq, seq);
      clock.advance(minutes(2));
    }
    expect(files().length).toBeLessThan(8);
    expect(numbers(await store.read())).toEqual([17, 18, 19, 20]);
  });

  test("in number remove files", async () => {
    await using store = await open({ count: 10, bytes: 64 * 1024 });
    for (let seq = 1; seq <= 60; seq += 10) {
      await fill(store, seq, seq, 20);
      for (let s = seq + 1; s < seq + 10; s++) store.add(storable(s, clock.wall(), 20));
      await until("all is written", () => written(seq + 9));
    }
    expect(numbers(await store.read())).toHaveLength(10);
    expect(files().length).toBeLessThan(6);
  });

  const wrong: [string, Partial<FileHistoryOptions>, string][] = [
    ["too few bytes", { bytes: 1000 }, "bytes must be 65536 at least"],
    ["no transaction", { count: 0 }, "every bound must be greater than 0"],
    ["a number that is none", { bytes: Number.NaN }, "bytes must be"],
    ["no buffer", { buffer: { count: 0 } }, "every bound must be greater than 0"],
  ];
  test.each(wrong)("of %s are refused", async (_, options, message) => {
    await expect(open(options)).rejects.toThrow(message);
  });
});

describe("what cannot be kept", () => {
  test("is a gap, told at its place, also after a restart", async () => {
    const store = await open({ buffer: { count: 3 } });
    for (let seq = 1; seq <= 8; seq++) store.add(storable(seq, clock.wall()));
    expect(store.dropped).toBe(5);
    expect(lost).toEqual(["the history's buffer is full (3 waiting); try again later"]);
    await until("there is room again", () => written(3));
    store.add(storable(9, clock.wall()));
    const told = { txns: [{ seq: 1 }, { seq: 2 }, { seq: 3 }, { seq: 9 }], gaps: [{ first: 4, last: 8, count: 5 }] };
    expect(await store.read()).toMatchObject(told);
    await store.close();
    await using again = await open();
    expect(again.lastSeq).toBe(9);
    expect(await again.read()).toMatchObject(told);
    expect((await again.read({ to: 3 })).gaps).toEqual([]);
  });

  test("is no gap as long as memory has it", async () => {
    await using store = await open({ buffer: { count: 1 } });
    const memory = [1, 2, 3].map((seq) => storable(seq, clock.wall()));
    for (const txn of memory) store.add(txn);
    expect(await store.read({}, memory)).toMatchObject({ txns: [{}, {}, {}], gaps: [] });
    expect((await store.read({}, memory.slice(0, 2))).gaps).toHaveLength(1);
  });

  test("counts in memory, not only by number", async () => {
    await using store = await open({ buffer: { bytes: 5000 } });
    for (let seq = 1; seq <= 10; seq++) store.add(storable(seq, clock.wall(), 10));
    expect(store.dropped).toBe(9);
  });

  test("while the disk fails is told once; writing goes on when it works again", async () => {
    await using store = await open();
    await fill(store, 1, 2);
    rmSync(dir, { recursive: true });
    writeFileSync(dir, "in the way");
    store.add(storable(3, clock.wall()));
    await until("it has failed", () => store.problem !== undefined);
    store.add(storable(4, clock.wall()));
    for (let i = 0; i < 5; i++) {
      await clock.advanceAsync(seconds(72));
      await until("it waits for another attempt", () => clock.pending === 1);
    }
    expect(store.dropped).toBe(1); // the other one waits
    expect(lost).toHaveLength(1);
    expect(lost[0]).toContain("ENOTDIR");

    rmSync(dir);
    await clock.advanceAsync(seconds(72));
    await until("the gap is told", () => store.problem === undefined);
    store.add(storable(5, clock.wall()));
    await until("it is written", () => written(5));
    expect(await store.read()).toMatchObject({
      txns: [{ seq: 4 }, { seq: 5 }],
      gaps: [{ first: 3, last: 3, count: 1 }],
    });
  });

  test("is given up when closing, which does not wait for a disk that fails", async () => {
    const store = await open();
    rmSync(dir, { recursive: true });
    writeFileSync(dir, "in the way");
    store.add(storable(1, clock.wall()));
    await until("it has failed", () => store.problem !== undefined);
    store.add(storable(2, clock.wall()));
    await store.close();
    store.add(storable(3, clock.wall()));
    expect(store.dropped).toBe(3);
    expect(clock.pending).toBe(0);
  });

  test("because its text cannot be made does not take others along", async () => {
    await using store = await open();
    const bad = storable(2, clock.wall());
    Object.defineProperty(bad, "slice", {
      value: () => {
        throw new Error("cannot be told");
      },
    });
    for (const txn of [storable(1, clock.wall()), bad, storable(3, clock.wall())]) store.add(txn);
    await until("they are written", () => files().length > 0 && written(3));
    expect(await store.read()).toMatchObject({
      txns: [{ seq: 1 }, { seq: 3 }],
      gaps: [{ first: 2, last: 2, count: 1 }],
    });
  });
});

test("a directory that cannot be used is named", async () => {
  appendFileSync(join(dir, "..", "file"), "");
  await expect(FileHistory.open({ dir: join(dir, "..", "file") })).rejects.toThrow("for the history");
});

test("transactions that follow closely share a write", async () => {
  await using store = await open({ linger: millis(20) });
  store.add(storable(1, clock.wall()));
  await until("the first is written at once", () => files().length > 0 && written(1));
  for (const seq of [2, 3]) {
    store.add(storable(seq, clock.wall()));
    await clock.advanceAsync(millis(9));
  }
  expect(written(2)).toBe(false);
  await clock.advanceAsync(millis(2));
  await until("the others are written together", () => written(2) && written(3));
});

test("only the owner may read what is written", async () => {
  const store = await open();
  store.add(storable(1, clock.wall()));
  await store.close();
  expect(statSync(dir).mode & 0o777).toBe(0o700);
  expect(statSync(join(dir, files()[0]!)).mode & 0o777).toBe(0o600);
});
