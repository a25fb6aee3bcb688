import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, expect, it } from "vitest";
import { millis, seconds } from "../../../../../src/base/clock/clock.ts";
import { ManualClock } from "../../../../../src/base/clock/manual-clock.ts";
import {
  formatIdentity,
  identify,
  isAlive,
  parseIdentity,
  signalProcess,
} from "../../../../../src/dataplane/vpp/supervisor/identity.ts";
import type { Probe } from "../../../../../src/dataplane/vpp/supervisor/probes.ts";
import { untilHung, untilReady } from "../../../../../src/dataplane/vpp/supervisor/watch.ts";

/** Fails as often as `answers` says, in order; then it succeeds. */
const probe = (name: string, answers: readonly boolean[]): Probe & { looks: number } => ({
  name,
  looks: 0,
  async look() {
    if (answers[this.looks++] === false) throw new Error(`${name} is silent`);
  },
});

const never = new AbortController().signal;

describe("a VPP under watch", () => {
  const options = { every: seconds(1), timeout: seconds(2), failures: 3 };

  it("hangs when one probe failed three times in a row, not before", async () => {
    const clock = new ManualClock();
    const api = probe("API", []);
    const cli = probe("CLI", [false, false, true, false, false, false]);
    const hung = untilHung([api, cli], { ...options, clock, signal: never });
    await clock.advanceAsync(seconds(5), seconds(1));
    expect(cli.looks).toBe(5);
    await clock.advanceAsync(seconds(1));
    const error = await hung;
    expect(error).toMatchObject({ code: "VPP_HUNG", cause: { message: "CLI is silent" } });
    expect(error.message).toContain("CLI");
  });

  it("is no longer watched when the watcher is told", async () => {
    const clock = new ManualClock();
    const abort = new AbortController();
    const hung = untilHung([probe("API", [])], { ...options, clock, signal: abort.signal });
    abort.abort(new Error("enough"));
    await expect(hung).rejects.toThrow("enough");
    expect(clock.pending).toBe(0);
  });

  it("is ready when every probe was answered, or says which was not", async () => {
    const clock = new ManualClock();
    const ready = { clock, within: seconds(1), retry: millis(25), signal: never };
    const good = untilReady([probe("API", [false, false]), probe("CLI", [])], ready);
    await clock.advanceAsync(millis(100), millis(25));
    await good;
    const bad = expect(untilReady([probe("API", Array<boolean>(100).fill(false))], ready)).rejects.toMatchObject({
      code: "VPP_NO_START",
      message: expect.stringContaining("API"),
    });
    await clock.advanceAsync(seconds(2), millis(25));
    await bad;
  });
});

describe("the identity of a process", () => {
  it("is its number and start time, and lost with its end, zombie or not", async () => {
    const child = spawn("cat", { stdio: ["pipe", "ignore", "ignore"] });
    await once(child, "spawn");
    const id = identify(child.pid ?? 0);
    if (!id) throw new Error("no identity");
    expect(parseIdentity(formatIdentity(id))).toEqual(id);
    expect(isAlive(id)).toBe(true);
    expect(signalProcess({ ...id, startTime: "1" }, "SIGKILL")).toBe(false);
    expect(isAlive(id)).toBe(true);
    expect(signalProcess(id, "SIGKILL")).toBe(true);
    await once(child, "exit");
    expect(isAlive(id)).toBe(false);
    expect(signalProcess(id, "SIGKILL")).toBe(false);
  });

  it.each(["", "{", "{}", '{"pid":-1,"startTime":"1"}', '{"pid":0,"startTime":"1"}', "17"])(
    "is not read from %j",
    (text) => {
      expect(parseIdentity(text)).toBeUndefined();
    },
  );
});
