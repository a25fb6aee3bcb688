import { describe, expect, test } from "vitest";
import type { Descriptor } from "../../../src/kvscheduler/api/descriptor.ts";
import { InvalidValueError } from "../../../src/kvscheduler/api/errors.ts";
import type { Scheduler } from "../../../src/kvscheduler/api/scheduler.ts";
import { createScheduler } from "../../../src/kvscheduler/scheduler.ts";
import { plain } from "../../support/kvscheduler/plain.ts";
import { ticking } from "./ticking-clock.ts";

interface Port {
  readonly mtu: number;
}
interface Bridge {
  readonly ports: Readonly<Record<string, Port>>;
}

/** Bridges derive ports, and ports derive a queue. */
function scheduler(more: Partial<Descriptor> = {}): Scheduler {
  const s = createScheduler({ clock: ticking(0.1) });
  s.register(
    plain("bridge", {
      derived: (_, v) => Object.entries((v as Bridge).ports).map(([name, p]) => ({ key: `port/${name}`, value: p })),
    }),
  );
  s.register(
    plain("port", {
      validate: (key, v) => {
        if ((v as Port).mtu > 9000) throw new InvalidValueError(`${key}: mtu is too large`, ["mtu"]);
      },
      derived: (key, v) => [{ key: `queue/${key}`, value: { length: (v as Port).mtu } }],
      ...more,
    }),
  );
  s.register(
    plain("queue", {
      validate: (key, v) => {
        if ((v as { length: number }).length === 13) throw new Error(`${key}: bad luck`);
      },
    }),
  );
  return s;
}

describe("validation without a transaction", () => {
  test("finds nothing wrong with what is right, and leaves no trace", async () => {
    const s = scheduler();
    expect(await s.validate([["port/1", { mtu: 1500 }]])).toEqual([]);
    expect(s.statuses()).toEqual([]);
    expect(s.history()).toEqual([]);
  });

  test("names key, fields and error, of derived values also what they are derived from", async () => {
    const found = await scheduler().validate([
      ["port/1", { mtu: 9999 }],
      ["bridge/1", { ports: { a: { mtu: 1500 }, b: { mtu: 9001 }, c: { mtu: 13 } } }],
    ]);
    expect(found.map(({ key, base, fields, error }) => [key, base, fields, error.message])).toEqual([
      ["port/1", undefined, ["mtu"], "port/1: mtu is too large"],
      ["port/b", "bridge/1", ["mtu"], "port/b: mtu is too large"],
      ["queue/port/c", "bridge/1", [], "queue/port/c: bad luck"],
    ]);
  });

  test.each([
    ["dependencies that cannot be computed", { dependencies: () => 7 as never }],
    ["derived values that cannot be computed", { derived: () => 7 as never }],
    ["two dependencies of one label", { dependencies: () => ["a", "b"].map((key) => ({ label: "x", key })) }],
    ["a validation that answers with a promise", { validate: () => Promise.reject(new Error("late")) as never }],
  ] satisfies [string, Partial<Descriptor>][])("finds %s", async (_, more) => {
    const found = await scheduler(more).validate([["port/1", { mtu: 1 }]]);
    expect(found.map(({ key }) => key)).toEqual(["port/1"]);
  });

  test("finds keys and values that no transaction would take", async () => {
    const found = await scheduler().validate([
      ["", 1],
      ["port/1", null],
    ]);
    expect(found.map((f) => [f.key, f.error.message])).toEqual([
      ["", "a key must be a string that is not empty"],
      ["port/1", "port/1: null is not a value; undefined deletes"],
    ]);
  });

  test("says nothing about removals, and about values without a descriptor", async () => {
    const found = await scheduler().validate([
      ["port/1", undefined],
      ["nobody/1", { x: 1 }],
    ]);
    expect(found).toEqual([]);
  });

  test("gives the event loop its turns", async () => {
    let turns = 0;
    const count = (): void => {
      turns++;
      if (turns < 1000) setImmediate(count);
    };
    setImmediate(count);
    await scheduler().validate(Array.from({ length: 5000 }, (_, i) => [`port/${i}`, { mtu: i }] as const));
    expect(turns).toBeGreaterThan(2);
    turns = 1000;
  });
});

describe("values", () => {
  test("are frozen: a descriptor that would change one fails, and only its key", async () => {
    const s = scheduler({
      create: (_, v) => {
        (v as { mtu: number }).mtu = 1;
      },
    });
    const given = { mtu: 1500 };
    const { errors } = await s.transact({
      changes: [
        ["port/1", given],
        ["bridge/1", { ports: {} }],
      ],
    });
    expect([...errors].map(([key, e]) => [key, e.name])).toEqual([["port/1", "TypeError"]]);
    expect(given).toEqual({ mtu: 1500 });
    expect(s.dump("northbound", "port/")).toEqual([{ key: "port/1", value: { mtu: 1500 } }]);
    expect(s.status("bridge/1").state).toBe("CONFIGURED");
  });

  test("derived ones are frozen, too", async () => {
    const s = scheduler({
      create: (_, v) => {
        (v as { mtu: number }).mtu = 1;
      },
    });
    const { errors } = await s.transact({ changes: [["bridge/1", { ports: { a: { mtu: 1500 } } }]] });
    expect([...errors.keys()]).toEqual(["port/a"]);
  });

  test("that are no plain data are left as they are", async () => {
    const s = createScheduler();
    s.register(
      plain("a", {
        create: (_, v) => {
          (v as Map<string, number>).set("made", 1);
        },
      }),
    );
    const value = new Map<string, number>();
    expect((await s.transact({ changes: [["a/1", value]] })).errors.size).toBe(0);
    expect(value.get("made")).toBe(1);
  });
});
