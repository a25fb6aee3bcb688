import { describe, expect, it } from "vitest";
import { seconds } from "../../../src/base/clock/clock.ts";
import { ManualClock } from "../../../src/base/clock/manual-clock.ts";
import { fullMessage } from "../../../src/base/errors/errors.ts";
import { type Component, Lifecycle, StartError, together } from "../../../src/infra/lifecycle/lifecycle.ts";
import { turns } from "../../support/controller/fakes.ts";

function setUp(components: readonly (Partial<Component> & { name: string })[]) {
  const calls: string[] = [];
  const closeErrors: string[] = [];
  const clock = new ManualClock();
  const recorded = components.map(
    (c): Component => ({
      init: () => void calls.push(`init ${c.name}`),
      afterInit: () => void calls.push(`after ${c.name}`),
      close: () => void calls.push(`close ${c.name}`),
      ...c,
    }),
  );
  const lifecycle = new Lifecycle(recorded, {
    clock,
    startTimeout: seconds(30),
    closeTimeout: seconds(5),
    onCloseError: (name, error) => closeErrors.push(`${name}: ${error.message}`),
  });
  return { lifecycle, calls, closeErrors, clock };
}

const never = () => new Promise<void>(() => {});
const fails = (text: string) => () => {
  throw new Error(text);
};

describe("components", () => {
  it("start in order, all of them before the second phase, and close in reverse", async () => {
    const { lifecycle, calls, clock } = setUp([{ name: "a" }, { name: "b" }, { name: "c" }]);
    await lifecycle.start();
    await lifecycle.close();
    expect(calls).toEqual([
      ...["init a", "init b", "init c"],
      ...["after a", "after b", "after c"],
      ...["close c", "close b", "close a"],
    ]);
    expect(clock.pending).toBe(0);
  });

  it("wait for each other", async () => {
    const gate = Promise.withResolvers<void>();
    const { lifecycle, calls } = setUp([{ name: "a", init: () => gate.promise }, { name: "b" }]);
    const started = lifecycle.start();
    await turns();
    expect(calls).toEqual([]);
    gate.resolve();
    await started;
    expect(calls).toEqual(["init b", "after a", "after b"]);
  });

  it.each([
    ["synchronously", fails("refused")],
    ["by a promise", () => Promise.reject(new Error("refused"))],
  ])("that have started are closed when one fails %s; that one is not", async (_how, init) => {
    const { lifecycle, calls } = setUp([{ name: "a" }, { name: "b" }, { name: "c", init }, { name: "d" }]);
    const error = await lifecycle.start().catch((e: unknown) => e);
    expect(error).toBeInstanceOf(StartError);
    expect([(error as StartError).component, fullMessage(error)]).toEqual(["c", "cannot start c: refused"]);
    expect(calls).toEqual(["init a", "init b", "close b", "close a"]);
  });

  it("are all closed when one fails in the second phase", async () => {
    const { lifecycle, calls } = setUp([{ name: "a" }, { name: "b", afterInit: fails("no") }]);
    await expect(lifecycle.start()).rejects.toThrow("cannot start b");
    expect(calls).toEqual(["init a", "init b", "after a", "close b", "close a"]);
  });

  it("that take too long to start are given up, and told so by their signal", async () => {
    let signal: AbortSignal | undefined;
    const { lifecycle, calls, clock } = setUp([
      { name: "a" },
      {
        name: "b",
        init: (s) => {
          signal = s;
          return never();
        },
      },
    ]);
    const error = lifecycle.start().catch(fullMessage);
    await turns();
    await clock.advanceAsync(seconds(30));
    expect(await error).toBe("cannot start b: init of b did not finish within 30000 ms");
    expect(signal?.aborted).toBe(true);
    expect(calls).toEqual(["init a", "close a"]);
  });

  it("that fail to close, or take too long, are reported; the others are closed all the same", async () => {
    const { lifecycle, calls, closeErrors, clock } = setUp([
      { name: "a" },
      { name: "b", close: fails("busy") },
      { name: "c", close: never },
      { name: "d" },
    ]);
    await lifecycle.start();
    const closed = lifecycle.close();
    await turns();
    await clock.advanceAsync(seconds(5));
    await closed;
    expect(closeErrors).toEqual(["c: close of c did not finish within 5000 ms", "b: busy"]);
    expect(calls.slice(-2)).toEqual(["close d", "close a"]);
  });

  it("are closed once, however often it is asked for", async () => {
    const { lifecycle, calls } = setUp([{ name: "a" }]);
    await lifecycle.start();
    await lifecycle.close();
    await lifecycle.close();
    expect(calls.filter((c) => c === "close a")).toHaveLength(1);
  });

  it("must have names of their own", () => {
    expect(() => setUp([{ name: "a" }, { name: "a" }])).toThrow("two components are called a");
  });
});

describe("closing", () => {
  it("while something is being started waits for it, and starts nothing after it", async () => {
    const gate = Promise.withResolvers<void>();
    const { lifecycle, calls } = setUp([{ name: "a" }, { name: "b", init: () => gate.promise }, { name: "c" }]);
    const started = lifecycle.start().catch(fullMessage);
    await turns();
    let isClosed = false;
    const closed = lifecycle.close().then(() => (isClosed = true));
    await turns();
    expect([isClosed, calls]).toEqual([false, ["init a"]]);
    gate.resolve();
    await closed;
    expect(await started).toBe("cannot start b: shutting down");
    expect(calls).toEqual(["init a", "close b", "close a"]);
  });

  it.each([true, false])("does not wait for ever for a start that heeds no signal (patient: %s)", async (patient) => {
    const { lifecycle, calls, clock } = setUp([{ name: "a" }, { name: "b", init: never, patient }]);
    lifecycle.start().catch(() => {});
    await turns();
    const closed = lifecycle.close();
    await turns();
    await clock.advanceAsync(seconds(5));
    await closed;
    expect(calls).toEqual(["init a", "close a"]);
  });

  it("twice at once closes in order all the same", async () => {
    const gate = Promise.withResolvers<void>();
    const { lifecycle, calls } = setUp([{ name: "a" }, { name: "b", close: () => gate.promise }]);
    await lifecycle.start();
    const both = Promise.all([lifecycle.close(), lifecycle.close()]);
    await turns();
    expect(calls).not.toContain("close a");
    gate.resolve();
    await both;
    expect(calls.filter((c) => c === "close a")).toHaveLength(1);
  });

  it("also closes what came up after it had been given up", async () => {
    const gate = Promise.withResolvers<void>();
    const { lifecycle, calls, clock } = setUp([{ name: "a", init: () => gate.promise }]);
    const started = lifecycle.start().catch(fullMessage);
    await turns();
    await clock.advanceAsync(seconds(30));
    expect(await started).toContain("did not finish");
    expect(calls).toEqual([]);
    gate.resolve();
    await turns();
    expect(calls).toEqual(["close a"]);
  });

  it("ends the life cycle: nothing starts afterwards", async () => {
    const { lifecycle, calls } = setUp([{ name: "a" }]);
    await lifecycle.start();
    await expect(lifecycle.start()).rejects.toThrow("starts once");
    await lifecycle.close();
    await expect(lifecycle.restart("a")).rejects.toThrow("shutting down");
    expect(calls).toEqual(["init a", "after a", "close a"]);
  });
});

describe("a restart", () => {
  it("closes and starts the component and those after it", async () => {
    const { lifecycle, calls } = setUp([{ name: "a" }, { name: "b" }, { name: "c" }]);
    await lifecycle.start();
    calls.length = 0;
    await lifecycle.restart("b");
    expect(calls).toEqual(["close c", "close b", "init b", "init c", "after b", "after c"]);
    await expect(lifecycle.restart("x")).rejects.toThrow("there is no component x");
  });

  it("that fails leaves those before it as they are, and may be tried again", async () => {
    let isBroken = false;
    const init = () => {
      if (isBroken) throw new Error("no luck");
    };
    const { lifecycle, calls } = setUp([{ name: "a" }, { name: "b", init }, { name: "c" }]);
    await lifecycle.start();
    isBroken = true;
    await expect(lifecycle.restart("b")).rejects.toThrow("cannot start b");
    expect(Object.fromEntries(lifecycle.health())).toEqual({ b: "no luck", c: "not started" });
    isBroken = false;
    await lifecycle.restart("b");
    expect(lifecycle.health().size).toBe(0);
    expect(calls).not.toContain("close a");
  });

  it("waits for an earlier start that was given up", async () => {
    const gates = [Promise.resolve(), Promise.withResolvers<void>().promise];
    const late = Promise.withResolvers<void>();
    gates[1] = late.promise;
    const order: string[] = [];
    let n = 0;
    const { lifecycle, clock } = setUp([
      {
        name: "a",
        init: async () => {
          const i = n++;
          await gates[i];
          order.push(`up ${i}`);
        },
        close: () => void order.push("down"),
      },
    ]);
    await lifecycle.start();
    const failed = lifecycle.restart("a").catch(fullMessage);
    await turns();
    await clock.advanceAsync(seconds(30));
    expect(await failed).toContain("did not finish");
    const again = lifecycle.restart("a");
    await turns();
    expect(n).toBe(2);
    late.resolve();
    await again;
    expect(order).toEqual(["up 0", "down", "up 1", "down", "up 2"]);
  });
});

describe("components that start together", () => {
  it("start and close at the same time", async () => {
    const gate = Promise.withResolvers<void>();
    const calls: string[] = [];
    const member = (name: string): Component => ({
      name,
      init: async () => {
        calls.push(`init ${name}`);
        await gate.promise;
      },
      close: () => void calls.push(`close ${name}`),
    });
    const { lifecycle } = setUp([together("both", [member("x"), member("y")])]);
    const started = lifecycle.start();
    await turns();
    expect(calls).toEqual(["init x", "init y"]);
    gate.resolve();
    await started;
  });

  it("are closed when one of them cannot start; the others are told", async () => {
    const calls: string[] = [];
    const { lifecycle } = setUp([
      together("three", [
        { name: "x", close: () => void calls.push("close x") },
        { name: "y", init: () => Promise.reject(new Error("refused")), close: () => void calls.push("close y") },
        {
          name: "z",
          init: (signal) =>
            new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error))),
        },
      ]),
    ]);
    expect(await lifecycle.start().catch(fullMessage)).toBe("cannot start three: y: refused");
    expect(calls).toEqual(["close x"]);
  });

  it("close all, whatever fails, and are as healthy as the illest of them", async () => {
    const calls: string[] = [];
    const { lifecycle, closeErrors } = setUp([
      together("both", [
        { name: "x", close: fails("busy"), health: () => "tired" },
        { name: "y", close: () => void calls.push("close y"), health: () => undefined },
      ]),
    ]);
    await lifecycle.start();
    expect(Object.fromEntries(lifecycle.health())).toEqual({ both: "x: tired" });
    await lifecycle.close();
    expect(calls).toEqual(["close y"]);
    expect(closeErrors).toEqual(["both: x"]);
  });
});

describe("health", () => {
  it("says what is wrong, by component", async () => {
    let problem: string | undefined;
    const { lifecycle } = setUp([{ name: "a", health: () => problem }, { name: "b" }]);
    expect(Object.fromEntries(lifecycle.health())).toEqual({ a: "not started", b: "not started" });
    await lifecycle.start();
    expect(lifecycle.health().size).toBe(0);
    problem = "the disk is full";
    expect(Object.fromEntries(lifecycle.health())).toEqual({ a: "the disk is full" });
    await lifecycle.close();
    expect(lifecycle.health().get("b")).toBe("not started");
  });

  it("is told component by component, with how long each took to start", async () => {
    const gate = Promise.withResolvers<void>();
    const { lifecycle, clock } = setUp([{ name: "a" }, { name: "b", init: () => gate.promise }, { name: "c" }]);
    expect(lifecycle.components()[0]).toEqual({ name: "a", state: "new", problem: "not started" });
    const started = lifecycle.start();
    await turns();
    expect(lifecycle.components().map((c) => [c.name, c.state, c.problem])).toEqual([
      ["a", "starting", undefined],
      ["b", "starting", "starting"],
      ["c", "new", "not started"],
    ]);
    clock.advance(seconds(2));
    gate.resolve();
    await started;
    expect(lifecycle.components()[1]).toEqual({ name: "b", state: "started", startMs: 2000 });
    await lifecycle.close();
    expect(lifecycle.components()[1]!.state).toBe("closed");
  });

  it("of one that failed is the reason, and one that throws does not hide the others", async () => {
    const { lifecycle } = setUp([
      { name: "a", health: fails("oops") },
      { name: "b", health: () => "ill" },
    ]);
    await lifecycle.start();
    expect(Object.fromEntries(lifecycle.health())).toEqual({ a: "its health cannot be told: oops", b: "ill" });
    const other = setUp([{ name: "a", init: fails("refused") }]).lifecycle;
    await other.start().catch(() => {});
    expect(other.components()).toEqual([{ name: "a", state: "failed", problem: "refused" }]);
  });
});
