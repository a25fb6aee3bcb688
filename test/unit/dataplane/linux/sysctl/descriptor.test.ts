import { describe, expect, it } from "vitest";
import { ManualClock } from "../../../../../src/base/clock/manual-clock.ts";
import {
  type SysctlOriginals,
  type Sysctls,
  sysctlDescriptor,
} from "../../../../../src/dataplane/linux/sysctl/descriptor.ts";
import type { Key } from "../../../../../src/kvscheduler/api/descriptor.ts";
import { createScheduler } from "../../../../../src/kvscheduler/scheduler.ts";
import { type SysctlValue, sysctlKey } from "../../../../../src/models/linux.ts";

function setUp(kernel: Record<string, string>, kept: Record<string, string> = {}) {
  const values = new Map(Object.entries(kernel));
  const originals = new Map(Object.entries(kept));
  const calls: string[] = [];
  const sysctls: Sysctls = {
    read: async (name) => values.get(name),
    async write(name, value) {
      calls.push(`write ${name}=${value}`);
      values.set(name, value);
    },
  };
  const memory: SysctlOriginals = {
    get: (name) => originals.get(name),
    async set(name, value) {
      calls.push(value === undefined ? `forget ${name}` : `keep ${name}=${value}`);
      if (value === undefined) originals.delete(name);
      else originals.set(name, value);
    },
  };
  const scheduler = createScheduler({ clock: new ManualClock() });
  scheduler.register(sysctlDescriptor(sysctls, memory));
  scheduler.register({
    name: "other",
    keyPrefixes: ["linux/link/", "guard"],
    create: () => undefined,
    delete: () => {},
  });
  const item = (name: string, value: string, after: readonly string[] = []): [Key, unknown] => [
    sysctlKey(name),
    { name, value, after },
  ];
  return { scheduler, item, values, originals, take: () => calls.splice(0) };
}

describe("a sysctl", () => {
  it("is kept as it was found before it is set, and put back when it is no longer wanted", async () => {
    const { scheduler, item, values, take } = setUp({ a: "0" });
    await scheduler.transact({ changes: [item("a", "1")] });
    expect(take()).toEqual(["keep a=0", "write a=1"]);
    await scheduler.transact({ changes: [item("a", "2")] });
    expect(take()).toEqual(["write a=2"]);
    await scheduler.transact({ changes: [[sysctlKey("a"), undefined]] });
    expect(take()).toEqual(["write a=0", "forget a"]);
    expect(values.get("a")).toBe("0");
  });

  it("that has the value already is kept, not written", async () => {
    const { scheduler, item, take } = setUp({ a: "1" });
    await scheduler.transact({ changes: [item("a", "1")] });
    expect(take()).toEqual(["keep a=1"]);
  });

  it("is set after those that must come first", async () => {
    const { scheduler, item, take } = setUp({ first: "0", second: "0" });
    await scheduler.transact({ changes: [item("second", "1", ["first"]), item("first", "2")] });
    expect(take().filter((call) => call.startsWith("write"))).toEqual(["write first=2", "write second=1"]);
  });

  it("that does not exist fails by name, and leaves nothing behind", async () => {
    const { scheduler, item, originals } = setUp({});
    const { errors } = await scheduler.transact({ changes: [item("a/b", "1")] });
    expect([...errors.values()].map((e) => e.message)).toEqual(["there is no sysctl a/b"]);
    expect(originals.size).toBe(0);
  });

  it("that went with its link needs no putting back", async () => {
    const { scheduler, item, values, take } = setUp({ a: "0" });
    await scheduler.transact({ changes: [item("a", "1")] });
    values.delete("a");
    take();
    const { errors } = await scheduler.transact({ changes: [[sysctlKey("a"), undefined]] });
    expect([errors.size, take()]).toEqual([0, ["forget a"]]);
  });

  it("that somebody has changed is set again by a resync, and the first value stays the one to put back", async () => {
    const { scheduler, item, values, originals, take } = setUp({ a: "0" });
    await scheduler.transact({ changes: [item("a", "1")] });
    values.set("a", "7");
    take();
    await scheduler.transact({ resync: "downstream" });
    expect([take(), originals.get("a")]).toEqual([["write a=1"], "0"]);
    expect((await scheduler.transact({ resync: "downstream" })).record.executed).toEqual([]);
  });

  it("that an earlier run has set is left alone at a restart", async () => {
    const { scheduler, item, take } = setUp({ a: "1" }, { a: "0" });
    const { record } = await scheduler.transact({ resync: "full", changes: [item("a", "1")] });
    expect([record.executed, take()]).toEqual([[], []]);
  });

  it("that has the value by itself is kept at the first start, so that a later end restores it", async () => {
    const { scheduler, item, take } = setUp({ a: "1" });
    await scheduler.transact({ resync: "full", changes: [item("a", "1")] });
    expect(take()).toEqual(["keep a=1"]);
  });
});

describe("a link's sysctl", () => {
  const name = "net/ipv4/conf/hd1/route_localnet";
  const key = sysctlKey(name);
  const value: SysctlValue = { name, value: "1", after: [], link: "hd1", requires: ["guard"] };
  const link: [Key, unknown] = ["linux/link/hd1", "link"];
  const guard: [Key, unknown] = ["guard", "guard"];
  const kernel = { [name]: "0", "net/ipv4/conf/default/route_localnet": "0" };

  it("waits for the link and for what it requires", async () => {
    const { scheduler, take } = setUp(kernel);
    expect((await scheduler.transact({ changes: [[key, value], link] })).pending).toEqual([key]);
    expect(take()).toEqual([]);
    await scheduler.transact({ changes: [guard] });
    expect(take()).toEqual([`write ${name}=1`]);
  });

  it("goes with its link: nothing is recorded, nothing is put back", async () => {
    const { scheduler, take } = setUp(kernel);
    await scheduler.transact({ changes: [link, guard, [key, value]] });
    take();
    const gone = await scheduler.transact({
      changes: [
        [key, undefined],
        ["linux/link/hd1", undefined],
      ],
    });
    expect([gone.errors.size, take()]).toEqual([0, []]);
  });

  it("gets what a new link has when what it requires goes before the link", async () => {
    const { scheduler, take } = setUp(kernel);
    await scheduler.transact({ changes: [link, guard, [key, value]] });
    take();
    await scheduler.transact({ changes: [["guard", undefined]] });
    expect(take()).toEqual([`write ${name}=0`]);
  });

  it("is left alone at a restart, and set again where somebody has changed it", async () => {
    const { scheduler, values, take } = setUp({ ...kernel, [name]: "1" });
    await scheduler.transact({ resync: "full", changes: [link, guard, [key, value]] });
    expect(take()).toEqual([]);
    values.set(name, "0");
    await scheduler.transact({ resync: "downstream" });
    expect(take()).toEqual([`write ${name}=1`]);
  });
});
