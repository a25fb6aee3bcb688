import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, expect, it } from "vitest";
import { identify, isAlive, parseStat } from "../../../src/lab/process/proc.ts";

const fields = (state: string, ppid: number, start: string): string =>
  `${state} ${ppid} 1 1 0 -1 4194560 100 0 0 0 1 2 0 0 20 0 1 0 ${start} 1000 200`;

describe("parseStat", () => {
  it.each([
    ["a plain name", `42 (sleep) ${fields("S", 7, "12345")}`, "sleep"],
    ["a name with spaces and parentheses", `42 (a) (b c) ${fields("S", 7, "12345")}`, "a) (b c"],
  ])("reads %s", (_what, line, comm) => {
    expect(parseStat(line)).toEqual({ comm, state: "S", ppid: 7, startTime: "12345" });
  });

  it.each([
    ["nothing", ""],
    ["no name", "42 S 7"],
    ["a cut line", "42 (sleep) S 7 1 1"],
  ])("refuses %s", (_what, line) => {
    expect(parseStat(line)).toBeUndefined();
  });
});

describe("process identity", () => {
  it("holds while the process runs and never for a later one with the same number", async () => {
    const child = spawn("sleep", ["60"]);
    await once(child, "spawn");
    const id = identify(child.pid ?? 0);
    expect(id).toBeDefined();
    expect(id && isAlive(id)).toBe(true);
    expect(isAlive({ pid: child.pid ?? 0, startTime: "1" })).toBe(false);
    child.kill("SIGKILL");
    await once(child, "exit");
    expect(id && isAlive(id)).toBe(false);
  });
});
