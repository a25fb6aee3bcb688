import { describe, expect, it } from "vitest";
import { seconds } from "../../../src/base/clock/clock.ts";
import { ManualClock } from "../../../src/base/clock/manual-clock.ts";
import { fullMessage } from "../../../src/base/errors/errors.ts";
import { type Component, Lifecycle, StartError } from "../../../src/infra/lifecycle/lifecycle.ts";
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
});
