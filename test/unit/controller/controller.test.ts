import { describe, expect, it } from "vitest";
import { millis, seconds } from "../../../src/base/clock/clock.ts";
import { ManualClock } from "../../../src/base/clock/manual-clock.ts";
import type { EventOutcome, Handler } from "../../../src/controller/api.ts";
import { Controller } from "../../../src/controller/controller.ts";
import { resyncEvent } from "../../../src/controller/store-watcher.ts";
import { silentLog } from "../../../src/infra/log/log.ts";
import { Registry } from "../../../src/infra/metrics/metrics.ts";
import { FakeMemory, FakeScheduler, handler, named, turns } from "../../support/controller/fakes.ts";

function setUp(handlers: Handler[], healing = { afterErrorSeconds: 5, periodSeconds: 0 }) {
  const clock = new ManualClock();
  const scheduler = new FakeScheduler();
  const memory = new FakeMemory();
  const registry = new Registry();
  let synced = 0;
  const controller = new Controller({
    handlers,
    scheduler: scheduler.asScheduler,
    memory,
    clock,
    log: silentLog,
    registry,
    healing,
    onSynced: () => synced++,
  });
  return { clock, scheduler, memory, controller, registry, synced: () => synced };
}

const failing = (key: string) => () => ({ errors: new Map([[key, new Error("no")]]) });

/** Which handlers were called for which event, in order. */
function recorder() {
  const calls: string[] = [];
  const record = (name: string, more: Partial<Handler> = {}): Handler =>
    handler({
      name,
      update: (event) => void calls.push(`${name}.update ${event.describe()}`),
      resync: () => void calls.push(`${name}.resync`),
      finish: (event) => void calls.push(`${name}.finish ${event.describe()}`),
      failed: (event, error) => void calls.push(`${name}.failed ${event.describe()}: ${error.message}`),
      ...more,
    });
  return { calls, record };
}

describe("the order of events", () => {
  it("is that of their arrival, each through all handlers before the next", async () => {
    const { calls, record } = recorder();
    const { controller } = setUp([record("a"), record("b")]);
    for (const name of ["1", "2"]) controller.push(named(name));
    await turns();
    expect(calls).toEqual(
      ["1", "2"].flatMap((n) => [`a.update ${n}`, `b.update ${n}`, `a.finish ${n}`, `b.finish ${n}`]),
    );
  });

  it("lets a follow-up overtake what waits", async () => {
    const seen: string[] = [];
    const { controller } = setUp([
      handler({
        update(event) {
          seen.push(event.describe());
          if (event.describe() === "1") controller.followUp(named("follow-up of 1"));
        },
      }),
    ]);
    for (const name of ["1", "2", "3"]) controller.push(named(name));
    await turns(10);
    expect(seen).toEqual(["1", "follow-up of 1", "2", "3"]);
  });

  it("never handles two at once, also when a handler takes its time", async () => {
    let inHand = 0;
    let most = 0;
    const { controller } = setUp([
      handler({
        async update() {
          most = Math.max(most, ++inHand);
          await turns(2);
        },
        async finish() {
          await turns(2);
          inHand--;
        },
      }),
    ]);
    for (let i = 0; i < 3; i++) controller.push(named(String(i)));
    await turns(30);
    expect([most, inHand, controller.waiting]).toEqual([1, 0, 0]);
  });

  it("joins what waits directly behind, up to the first that will not be joined", async () => {
    const seen: string[] = [];
    const joining = (name: string) => {
      const names = [name];
      return named(name, {
        describe: () => names.join("+"),
        absorb: (next) => next.describe().startsWith("j") && names.push(next.describe()) > 0,
      });
    };
    const { controller } = setUp([handler({ update: (event) => void seen.push(event.describe()) })]);
    for (const name of ["j1", "j2", "j3"]) controller.push(joining(name));
    controller.push(named("alone"));
    controller.push(joining("j4"));
    await turns(10);
    expect(seen).toEqual(["j1+j2+j3", "alone", "j4"]);
  });

  it("passes handlers over that do not care, except in a resync", async () => {
    const { calls, record } = recorder();
    const { controller } = setUp([record("deaf", { handles: () => false }), record("b")]);
    controller.push(named("1"));
    controller.push(resyncEvent("start", new Map()));
    await turns();
    expect(calls).toEqual([
      "b.update 1",
      "b.finish 1",
      "deaf.resync",
      "b.resync",
      "deaf.finish resync: start",
      "b.finish resync: start",
    ]);
  });
});

describe("an event's outcome", () => {
  it("is one transaction and one commit of the local database, later writes replacing earlier ones", async () => {
    const { controller, scheduler, memory } = setUp([
      handler({
        update(_event, out) {
          out.delete("k/1");
          out.put("k/1", "first");
          out.put("k/2", "x");
          out.delete("k/2");
          out.remember("r", "1");
        },
      }),
      handler({ update: (_event, out) => out.put("k/1", "second") }),
    ]);
    controller.push(named("1"));
    await turns();
    expect(scheduler.txns.map((t) => [...(t.changes ?? [])])).toEqual([
      [
        ["k/1", "second"],
        ["k/2", undefined],
      ],
    ]);
    expect(memory.commits).toEqual([[["r", "1"]]]);
  });

  it("needs no transaction where nothing changes, but a resync always has one", async () => {
    const { controller, scheduler, synced } = setUp([handler({})]);
    controller.push(named("1"));
    controller.push(resyncEvent("start", new Map()));
    await turns();
    expect(scheduler.txns.map((t) => t.resync)).toEqual(["full"]);
    expect(synced()).toBe(1);
  });

  it("repeats failures without end by default, and not at all where the event says so", async () => {
    const { controller, scheduler } = setUp([handler({ update: (_event, out) => out.put("k", 1) })]);
    controller.push(named("1"));
    controller.push(named("2", { retry: null }));
    await turns();
    expect(scheduler.txns.map((t) => t.retry?.attempts)).toEqual([0, undefined]);
  });

  it("reaches finish with the failed keys", async () => {
    const outcomes: EventOutcome[] = [];
    const { controller, scheduler } = setUp([
      handler({
        update: (_event, out) => out.put("k", 1),
        finish: (_event, outcome) => void outcomes.push(outcome),
      }),
    ]);
    scheduler.answer = failing("k");
    controller.push(named("1"));
    await turns();
    expect([...(outcomes[0]?.txn?.errors.keys() ?? [])]).toEqual(["k"]);
    expect(controller.history()[0]).toMatchObject({ description: "1", txn: 1, outcome: "1 key(s) failed" });
  });

  it("tells handlers when the local database refused, and writes the same with the next commit", async () => {
    const outcomes: (string | undefined)[] = [];
    const { controller, memory, clock } = setUp([
      handler({
        update: (event, out) => out.remember("r", event.describe()),
        finish: (_event, outcome) => void outcomes.push(outcome.rememberError?.message),
      }),
      handler({ update: (event, out) => out.remember(`only ${event.describe()}`, "x") }),
    ]);
    memory.refuse = new Error("disk full");
    controller.push(named("1"));
    await turns();
    expect(controller.history()[0]?.outcome).toBe("not remembered");
    memory.refuse = undefined;
    controller.push(named("2"));
    await turns();
    expect(outcomes).toEqual(["disk full", undefined]);
    expect(Object.fromEntries(memory.records)).toEqual({ r: "2", "only 1": "x", "only 2": "x" });
    expect(clock.pending).toBe(1);
  });

  it("writes what was refused when the dataplane is healed, if nothing else comes", async () => {
    const { controller, memory, clock } = setUp([handler({ update: (_event, out) => out.remember("r", "1") })]);
    memory.refuse = new Error("disk full");
    controller.push(named("1"));
    await turns();
    memory.refuse = undefined;
    await clock.advanceAsync(seconds(5));
    await turns();
    expect(memory.records.get("r")).toBe("1");
    expect(memory.commits).toHaveLength(1);
  });
});

describe("healing", () => {
  it("compares with the dataplane some time after a key failed, once however many failed", async () => {
    const { controller, scheduler, clock } = setUp([handler({ update: (_event, out) => out.put("k", 1) })]);
    scheduler.answer = failing("k");
    controller.push(named("1"));
    controller.push(named("2"));
    await turns();
    scheduler.answer = () => ({});
    await clock.advanceAsync(millis(4999));
    expect(scheduler.txns).toHaveLength(2);
    await clock.advanceAsync(millis(1));
    await turns();
    expect(scheduler.txns.slice(2).map((t) => [t.resync, t.description])).toEqual([
      ["downstream", 'healing: after "1" failed'],
    ]);
    await clock.advanceAsync(seconds(100));
    expect(scheduler.txns).toHaveLength(3);
  });

  it("is left to the handler where the event says so", async () => {
    const { controller, scheduler, clock } = setUp([handler({ update: (_event, out) => out.put("k", 1) })]);
    scheduler.answer = failing("k");
    controller.push(named("1", { onFailure: "own" }));
    await turns();
    expect(clock.pending).toBe(0);
  });

  it("asks all handlers anew after one of them failed, because the dataplane cannot know what that one wanted", async () => {
    const { calls, record } = recorder();
    let broken = true;
    const { controller, scheduler, clock, synced } = setUp([
      record("a"),
      record("b", {
        update(event) {
          if (broken) throw new Error(`cannot do ${event.describe()}`);
        },
      }),
    ]);
    const entries = new Map();
    controller.push(resyncEvent("start", entries));
    await turns();
    calls.length = 0;
    controller.push(named("1"));
    await turns();
    expect(calls).toEqual(["a.update 1", "a.failed 1: cannot do 1", "b.failed 1: cannot do 1"]);
    expect(scheduler.txns).toHaveLength(1);
    expect(controller.history().at(-1)?.outcome).toBe("cannot do 1");
    broken = false;
    await clock.advanceAsync(seconds(5));
    await turns();
    expect(calls.slice(3, 5)).toEqual(["a.resync", "b.resync"]);
    expect(scheduler.txns[1]).toMatchObject({ resync: "full", description: 'resync: after "1" failed' });
    expect(synced()).toBe(2);
  });

  it("begins again when the first resync failed", async () => {
    let broken = true;
    const { controller, clock, synced } = setUp([
      handler({
        resync() {
          if (broken) throw new Error("no");
        },
      }),
    ]);
    controller.push(resyncEvent("start", new Map()));
    await turns();
    expect(synced()).toBe(0);
    broken = false;
    await clock.advanceAsync(seconds(5));
    await turns();
    expect(synced()).toBe(1);
  });

  it("tells handlers when the transaction could not be run at all", async () => {
    const { calls, record } = recorder();
    const { controller, scheduler, memory } = setUp([
      record("a", {
        update(_event, out) {
          out.put("k", 1);
          out.remember("r", "1");
        },
      }),
    ]);
    scheduler.answer = () => Promise.reject(new Error("the scheduler is closed"));
    controller.push(named("1"));
    await turns();
    expect(calls).toEqual(["a.failed 1: the scheduler is closed"]);
    expect(memory.records.get("r")).toBe("1");
  });

  it("is repeated as long as it fails itself", async () => {
    const { controller, scheduler, clock } = setUp([handler({ update: (_event, out) => out.put("k", 1) })]);
    scheduler.answer = failing("k");
    controller.push(named("1"));
    await turns();
    for (let i = 0; i < 3; i++) {
      await clock.advanceAsync(seconds(5));
      await turns();
    }
    expect(scheduler.txns.map((t) => t.resync)).toEqual([undefined, "downstream", "downstream", "downstream"]);
  });

  it("comes periodically, and two that wait are one", async () => {
    const { scheduler, clock } = setUp([], { afterErrorSeconds: 5, periodSeconds: 60 });
    clock.advance(seconds(180));
    await turns(10);
    expect(scheduler.txns.map((t) => t.description)).toEqual(["healing: periodic comparison"]);
    await clock.advanceAsync(seconds(60));
    await turns();
    expect(scheduler.txns).toHaveLength(2);
  });
});

describe("closing", () => {
  it("finishes the event in hand, drops those that wait and come, and says so to each", async () => {
    const seen: string[] = [];
    const dropped: string[] = [];
    const event = (name: string) => named(name, { dropped: () => void dropped.push(name) });
    const gate = Promise.withResolvers<void>();
    const { controller, clock } = setUp(
      [
        handler({
          async update() {
            await gate.promise;
          },
          finish(e) {
            seen.push(e.describe());
            controller.followUp(event("follow-up"));
          },
        }),
      ],
      { afterErrorSeconds: 5, periodSeconds: 60 },
    );
    for (const name of ["1", "2", "3"]) controller.push(event(name));
    await turns();
    const closed = controller.close();
    controller.push(event("late"));
    expect(dropped).toEqual(["2", "3", "late"]);
    gate.resolve();
    await closed;
    expect(seen).toEqual(["1"]);
    expect(dropped).toEqual(["2", "3", "late", "follow-up"]);
    expect(clock.pending).toBe(0);
  });

  it("ends at once when nothing is in hand, and leaves no timer of a failure", async () => {
    const { controller, scheduler, clock } = setUp([handler({ update: (_event, out) => out.put("k", 1) })]);
    scheduler.answer = failing("k");
    controller.push(named("1"));
    await turns();
    expect(clock.pending).toBe(1);
    await controller.close();
    expect(clock.pending).toBe(0);
  });
});

describe("the history", () => {
  it("holds the last 500 events, oldest first, with time and outcome", async () => {
    const { controller, clock } = setUp([handler({})]);
    for (let i = 1; i <= 503; i++) controller.push(named(String(i)));
    await turns(600);
    const history = controller.history();
    expect(history.map((r) => r.seq)).toEqual(Array.from({ length: 500 }, (_, i) => i + 4));
    expect(history[0]).toMatchObject({ description: "4", kind: "test", outcome: "ok", at: clock.wall(), ms: 0 });
  });

  it("is counted in metrics by kind and outcome, with the length of the queue", async () => {
    const { controller, registry, scheduler } = setUp([handler({ update: (_event, out) => out.put("k", 1) })]);
    controller.push(named("1"));
    await turns();
    scheduler.answer = failing("k");
    controller.push(named("2"));
    await turns();
    controller.push(named("3"));
    const text = await registry.metrics();
    expect(text).toContain('heddle_controller_events_total{kind="test",outcome="ok"} 1');
    expect(text).toContain('heddle_controller_events_total{kind="test",outcome="failed"} 1');
    expect(text).toContain("heddle_controller_queue_length 1");
  });
});
