import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { FileHistory } from "../../../src/kvscheduler/history-file/index.ts";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "hdkill-"));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** Lets transactions run until so many have been told, and kills the process. Returns the first number. */
async function runAndKill(lines: number): Promise<number> {
  const script = join(import.meta.dirname, "../../support/history-file/busy-process.ts");
  const child = spawn(process.execPath, [script, dir], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const told: number[] = [];
  for await (const text of child.stdout.setEncoding("utf8")) {
    told.push(...(text as string).trim().split("\n").map(Number));
    if (told.length >= lines) child.kill("SIGKILL");
  }
  await ended;
  return told[0]!;
}

test("kill -9, again and again: what is on the disk is whole, without a hole, and numbers go on", async () => {
  let expected = 1;
  for (const lines of [3, 1, 12, 7, 25]) {
    const first = await runAndKill(lines);
    expect(first).toBe(expected);
    await using history = await FileHistory.open({ dir, bytes: 512 * 1024, count: 1_000_000 });
    const { txns, gaps } = await history.read({ limit: 1_000_000 });
    const numbers = txns.map((t) => t.seq);
    expect(gaps).toEqual([]);
    expect(numbers.at(-1)).toBe(history.lastSeq);
    expect(history.lastSeq).toBeGreaterThanOrEqual(first - 1);
    expect(numbers).toEqual(numbers.map((_, i) => numbers[0]! + i));
    expect(txns.every((t) => t.executed.length > 0 && t.endedAt > 0)).toBe(true);
    expected = history.lastSeq + 1;
  }
  expect(expected).toBeGreaterThan(100); // some of it did get to the disk
  const bytes = readdirSync(dir).reduce((sum, file) => sum + statSync(join(dir, file)).size, 0);
  expect(bytes).toBeLessThanOrEqual(512 * 1024);
});
