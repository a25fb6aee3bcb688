import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { millis } from "../../../src/base/clock/clock.ts";
import type { PastValue } from "../../../src/kvscheduler/introspect/past.ts";
import { Rig, type RigValue } from "./rig.ts";

const KEYS = ["link/a", "link/b", "route/1", "route/2"] as const;

const value: fc.Arbitrary<RigValue | undefined> = fc.oneof(
  fc.constant(undefined),
  fc.record({
    n: fc.nat(3),
    needs: fc.constantFrom("link/a", "link/b"),
    derived: fc.constantFrom([], [{ key: "link/d", value: { n: 1 } }]),
  }),
);
const txn = fc.dictionary(fc.constantFrom(...KEYS), value, { minKeys: 1, maxKeys: 3 });

let rig: Rig | undefined;
afterEach(() => rig?.scheduler.close());

const snapshot = async (r: Rig, query: string) => (await r.get(`/scheduler/snapshot?${query}`)).json as PastValue[];

describe("GET /scheduler/snapshot", () => {
  it("shows the states that there were, whatever has happened since", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(txn, { minLength: 1, maxLength: 8 }), async (txns) => {
        const r = new Rig();
        const seen: { at: number; states: readonly string[] }[] = [];
        for (const changes of txns) {
          await r.apply(changes);
          const states = r.scheduler.statuses().map((s) => `${s.key} ${s.state}`);
          seen.push({ at: r.clock.wall(), states });
          r.clock.advance(millis(1000));
        }
        for (const { at, states } of seen) {
          const past = await snapshot(r, `time=${at}`);
          expect(past.map((v) => `${v.key} ${v.state}`)).toEqual(states);
        }
        await r.scheduler.close();
      }),
      { numRuns: 60 },
    );
  });

  it("shows the value that was in place, and which transaction had put it there", async () => {
    rig = new Rig();
    await rig.apply({ "link/a": { n: 1 } });
    rig.clock.advance(millis(1000));
    await rig.apply({ "link/a": { n: 2 } });
    rig.clock.advance(millis(1000));
    await rig.apply({ "link/a": undefined });
    rig.clock.advance(millis(1000));
    const at = async (ago: string) => (await snapshot(rig!, `time=${ago}`))[0];
    expect(await at("2500ms")).toMatchObject({ state: "CONFIGURED", value: '{"n":1}', txn: 1 });
    expect(await at("1500ms")).toMatchObject({ state: "CONFIGURED", value: '{"n":2}', txn: 2 });
    expect(await at("500ms")).toBeUndefined();
  });

  it("says from when on it knows, when older transactions have been dropped", async () => {
    rig = new Rig({ history: { count: 2 } });
    for (let n = 0; n < 4; n++) {
      await rig.apply({ "link/a": { n } });
      rig.clock.advance(millis(1000));
    }
    const { status, json } = await rig.get("/scheduler/snapshot?time=3s");
    expect([status, json]).toMatchObject([400, { error: /older transactions have been dropped/ }]);
    expect(await snapshot(rig, "time=1500ms")).toMatchObject([{ key: "link/a", value: '{"n":2}' }]);
  });
});
