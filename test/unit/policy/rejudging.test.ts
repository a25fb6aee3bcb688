import { describe, expect, it } from "vitest";
import { millis } from "../../../src/base/clock/clock.ts";
import { ManualClock } from "../../../src/base/clock/manual-clock.ts";
import { silentLog } from "../../../src/infra/log/log.ts";
import type { Rejudgement, RejudgeScope } from "../../../src/policy/api.ts";
import { Rejudging } from "../../../src/policy/rejudging.ts";

class Rig {
  readonly clock = new ManualClock();
  /** What changed before each look at what was stopped. */
  readonly looks: string[][] = [];
  readonly rounds: string[][] = [];
  /** What ends the round in hand. */
  readonly ends: PromiseWithResolvers<Rejudgement>[] = [];
  readonly rejudging: Rejudging;

  constructor({ looks = false } = {}) {
    const rejudge = ({ changed }: RejudgeScope) => {
      this.rounds.push([...changed].sort());
      const end = Promise.withResolvers<Rejudgement>();
      this.ends.push(end);
      return end.promise;
    };
    const resume = ({ changed }: RejudgeScope) => {
      this.looks.push([...changed].sort());
      return Promise.resolve(1);
    };
    this.rejudging = new Rejudging({
      wiring: looks ? { rejudge, resume } : { rejudge },
      rows: () => [],
      judge: () => undefined,
      clock: this.clock,
      log: silentLog,
    });
  }

  async end(result: Rejudgement | Error): Promise<void> {
    const end = this.ends.shift();
    if (result instanceof Error) end?.reject(result);
    else end?.resolve(result);
    await turns();
  }
}

async function turns(): Promise<void> {
  for (let i = 0; i < 10; i++) await Promise.resolve();
}

const nothing = { judged: 0, stopped: 0, resumed: 0 };

describe("Rejudging", () => {
  it("runs one round at a time, and puts what changes meanwhile or soon after into the next", async () => {
    const rig = new Rig();
    rig.rejudging.add(["a"]);
    rig.rejudging.add(["b"]);
    rig.rejudging.add(["c", "b"]);
    expect(rig.rounds).toEqual([["a"]]);
    await rig.end({ judged: 5, stopped: 2, resumed: 1 });
    rig.rejudging.add(["d"]);
    expect(rig.rounds).toEqual([["a"]]);
    rig.clock.advance(millis(250));
    expect(rig.rounds).toEqual([["a"], ["b", "c", "d"]]);
    await rig.end(nothing);
    rig.clock.advance(millis(250));
    expect(rig.rounds).toHaveLength(2);
    expect(rig.rejudging.totals).toEqual({ rounds: 2, judged: 5, stopped: 2, resumed: 1 });
  });

  it("rests three times as long as a round took", async () => {
    const rig = new Rig();
    rig.rejudging.add(["a"]);
    rig.clock.advance(millis(200));
    await rig.end(nothing);
    rig.rejudging.add(["b"]);
    rig.clock.advance(millis(599));
    expect(rig.rounds).toEqual([["a"]]);
    rig.clock.advance(millis(1));
    expect(rig.rounds).toEqual([["a"], ["b"]]);
  });

  it("tries again what failed, with what came meanwhile, and says so until it worked", async () => {
    const rig = new Rig();
    rig.rejudging.add(["a"]);
    await rig.end(new Error("no buffer space"));
    expect(rig.rejudging.problem).toMatch(/no longer allowed may go on: no buffer space/);
    rig.rejudging.add(["b"]);
    rig.clock.advance(millis(250));
    expect(rig.rounds.at(-1)).toEqual(["a", "b"]);
    await rig.end(nothing);
    expect(rig.rejudging.problem).toBeUndefined();
  });

  it("lets go between rounds what is allowed again: after each change, and after a round in which there was one", async () => {
    const rig = new Rig({ looks: true });
    rig.rejudging.add(["a"]);
    rig.rejudging.add(["b"]);
    expect(rig.looks).toEqual([]);
    await rig.end(nothing);
    expect(rig.looks).toEqual([["b"]]);
    rig.rejudging.add(["c"]);
    await turns();
    expect(rig.looks, "one has just been").toHaveLength(1);
    rig.clock.advance(millis(20));
    await turns();
    expect(rig.looks).toEqual([["b"], ["b", "c"]]);
    rig.clock.advance(millis(100));
    await turns();
    expect(rig.looks, "nothing has changed").toHaveLength(2);
    rig.clock.advance(millis(130));
    expect(rig.rounds).toEqual([["a"], ["b", "c"]]);
    expect(rig.rejudging.totals.resumed).toBe(2);
  });

  it("begins nothing once it is closed", async () => {
    const rig = new Rig();
    rig.rejudging.add(["a"]);
    const closed = rig.rejudging.close();
    rig.rejudging.add(["b"]);
    await rig.end(nothing);
    await closed;
    expect(rig.rounds).toEqual([["a"]]);
  });
});
