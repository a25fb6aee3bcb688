import { beforeEach, describe, expect, it } from "vitest";
import { type Clock, millis, systemClock } from "../../../src/base/clock/clock.ts";
import { parseIp } from "../../../src/base/ip/address.ts";
import { silentLog } from "../../../src/infra/log/log.ts";
import {
  encodeNodeId,
  encodeNodeInfo,
  encodeNodeName,
  nodeIdKey,
  nodeInfoKey,
  nodeNameKey,
} from "../../../src/models/node.ts";
import { type NodeInfo, vtepMacOf } from "../../../src/nodes/api.ts";
import { NodeRegistry } from "../../../src/nodes/registry.ts";
import { StoreError } from "../../../src/stores/api/store.ts";
import { MemoryStore, MemoryStoreData, type MemoryStoreHooks } from "../../support/memory-store.ts";

/** Pauses between attempts cost no time. */
const clock: Clock = { ...systemClock, schedule: (_delay, callback) => systemClock.schedule(millis(0), callback) };
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

let data: MemoryStoreData;
beforeEach(() => {
  data = new MemoryStoreData();
});

function registry(options: { hooks?: MemoryStoreHooks; maxId?: number } = {}): NodeRegistry {
  const limit = { maxId: options.maxId ?? 255, limitedBy: "network.pools[0] (10.0.0.0/16, a /24 per node)" };
  return new NodeRegistry({
    store: new MemoryStore(data, options.hooks),
    clock,
    log: silentLog,
    limit,
    random: () => 0,
  });
}

const put = (key: string, value: Uint8Array): unknown => data.apply([{ op: "put", key, value }]);
const drop = (...keys: string[]): unknown => data.apply(keys.map((key) => ({ op: "delete", key })));
/** Keys without the common prefix. */
const keys = (): string[] => data.list("/heddle/nodes/").map((e) => e.key.slice("/heddle/nodes/".length));
const textOf = (key: string): string => new TextDecoder().decode(data.entries.get(key)?.value);

const info = (name: string, id: number, change: Partial<NodeInfo> = {}): NodeInfo => ({
  name,
  id,
  underlayIps: [parseIp(`192.168.0.${id}`)],
  podCIDRs: [`10.0.${id}.0/24`],
  vtepMac: vtepMacOf(id),
  overlay: "vxlan",
  version: "0.1.0",
  ...change,
});

describe("a claim", () => {
  it("gets the smallest free ID, and the same again", async () => {
    const r = registry();
    expect([await r.claim("a"), await r.claim("b"), await r.claim("c")]).toEqual([1, 2, 3]);
    const { writes } = data;
    expect([await r.claim("b"), await r.claim("a")]).toEqual([2, 1]);
    expect(data.writes).toBe(writes); // claiming what one has writes nothing
    await r.release("b");
    expect([await r.claim("d"), await r.claim("e")]).toEqual([2, 4]);
  });

  it("writes the ID under both keys at once", async () => {
    await registry().claim("a", { uid: "u1" });
    expect(textOf(nodeIdKey(1))).toBe('{"v":1,"name":"a","uid":"u1"}');
    expect(textOf(nodeNameKey("a"))).toBe('{"v":1,"id":1,"uid":"u1"}');
    expect(data.entries.get(nodeIdKey(1))?.revision).toBe(data.entries.get(nodeNameKey("a"))?.revision);
  });

  it("of a node created again under its name gets the old ID and keeps the new UID", async () => {
    const r = registry();
    await r.claim("a", { uid: "u1" });
    expect(await r.claim("a", { uid: "u2" })).toBe(1);
    expect(textOf(nodeIdKey(1))).toContain('"u2"');
    expect(textOf(nodeNameKey("a"))).toContain('"u2"');
    expect(await r.claim("a")).toBe(1); // without a UID it stays
    expect(textOf(nodeIdKey(1))).toContain('"u2"');
  });

  it("fails when there are as many nodes as the pools have subnets for, and names the pool", async () => {
    const r = registry({ maxId: 2 });
    await r.claim("a");
    await r.claim("b");
    await expect(r.claim("c")).rejects.toMatchObject({
      code: "IDS_EXHAUSTED",
      message: expect.stringContaining("network.pools[0] (10.0.0.0/16, a /24 per node) allows 2 nodes"),
    });
    await r.release("a");
    expect(await r.claim("c")).toBe(1);
  });

  it("goes on when somebody was quicker", async () => {
    let races = 3;
    const before: MemoryStoreHooks["before"] = (op) => {
      if (op === "txn" && races-- > 0) put(nodeIdKey(3 - races), encodeNodeId({ name: `quick${races}` }));
    };
    expect(await registry({ hooks: { before } }).claim("slow")).toBe(4);
    expect(keys()).toEqual(["ids/1", "ids/2", "ids/3", "ids/4", "names/slow"]);
  });

  it("gives up in the end when it always loses", async () => {
    let id = 1;
    const before: MemoryStoreHooks["before"] = (op) => {
      if (op === "txn") put(nodeIdKey(id++), encodeNodeId({ name: "quick" }));
    };
    await expect(registry({ hooks: { before }, maxId: 1000 }).claim("slow")).rejects.toMatchObject({
      code: "CONTENTION",
    });
  });

  it("whose answer was lost holds, and is found when it is repeated", async () => {
    let lost = false;
    const after: MemoryStoreHooks["after"] = (op) => {
      if (op === "txn" && !lost) {
        lost = true;
        throw new StoreError("UNAVAILABLE", "connection reset");
      }
    };
    const r = registry({ hooks: { after } });
    await expect(r.claim("a")).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(await r.claim("a")).toBe(1);
    expect(keys()).toEqual(["ids/1", "names/a"]);
  });

  it("ends with its signal", async () => {
    await expect(registry().claim("a", { signal: AbortSignal.abort(new Error("stop")) })).rejects.toThrow("stop");
  });
});

describe("a claim finds the node's ID again", () => {
  it("when its ID record was lost", async () => {
    put(nodeNameKey("a"), encodeNodeName({ id: 5, uid: "u" }));
    expect(await registry().claim("a")).toBe(5);
    expect(textOf(nodeIdKey(5))).toBe('{"v":1,"name":"a","uid":"u"}');
  });

  it("when its name record was lost, and frees what it holds besides", async () => {
    for (const id of [4, 6]) put(nodeIdKey(id), encodeNodeId({ name: "a", uid: "u" }));
    expect(await registry().claim("a")).toBe(4);
    expect(keys()).toEqual(["ids/4", "names/a"]);
  });

  it("when only its published info is left", async () => {
    put(nodeInfoKey("a"), encodeNodeInfo(info("a", 5)));
    expect(await registry().claim("a")).toBe(5);
    expect(keys()).toEqual(["ids/5", "info/a", "names/a"]);
  });

  it("when one of its records was damaged", async () => {
    const r = registry();
    await r.claim("a");
    for (const key of [nodeIdKey(1), nodeNameKey("a")]) {
      put(key, bytes("garbage"));
      expect(await r.claim("a")).toBe(1);
      expect(textOf(key)).toMatch(/^\{"v":1/);
    }
  });

  it("and takes none that another node is known to have, though the record is lost", async () => {
    put(nodeInfoKey("a"), encodeNodeInfo(info("a", 1)));
    put(nodeNameKey("b"), encodeNodeName({ id: 2 }));
    put(nodeIdKey(3), bytes("garbage"));
    put(nodeIdKey(4), bytes('{"v":2}'));
    put("/heddle/nodes/ids/five", bytes("{}"));
    expect(await registry().claim("c")).toBe(5);
    expect(textOf(nodeIdKey(3))).toBe("garbage");
  });

  it.each([nodeNameKey("a"), nodeInfoKey("a")])("or says that another node has it (known from %s)", async (key) => {
    put(key, key === nodeNameKey("a") ? encodeNodeName({ id: 5 }) : encodeNodeInfo(info("a", 5)));
    put(nodeIdKey(5), encodeNodeId({ name: "b" }));
    await expect(registry().claim("a")).rejects.toMatchObject({
      code: "ID_CONFLICT",
      message: expect.stringContaining("node a has ID 5, but /heddle/nodes/ids/5 says that it is node b's"),
    });
    expect(data.writes).toBe(2);
  });

  it.each([nodeNameKey("a"), nodeInfoKey("a")])("or stops at a record of a newer version: %s", async (key) => {
    put(key, bytes('{"v":2}'));
    await expect(registry().claim("a")).rejects.toMatchObject({ code: "NEWER_VERSION", key });
    expect(textOf(key)).toBe('{"v":2}');
    expect(await registry().claim("b")).toBe(1); // the others go on
  });
});

describe("publishing", () => {
  it("stores the info, once", async () => {
    const r = registry();
    await r.claim("a");
    await r.publish(info("a", 1));
    const { writes } = data;
    await r.publish(info("a", 1));
    expect(data.writes).toBe(writes);
    await r.publish(info("a", 1, { version: "0.2.0" }));
    expect((await r.list()).infos).toEqual([info("a", 1, { version: "0.2.0" })]);
  });

  it("is refused when the node has no claim, or another has its ID", async () => {
    const r = registry();
    await expect(r.publish(info("a", 1))).rejects.toMatchObject({
      code: "NOT_CLAIMED",
      message: "node a does not hold ID 1: /heddle/nodes/ids/1 is gone",
    });
    await r.claim("b");
    await expect(r.publish(info("a", 1))).rejects.toThrow("/heddle/nodes/ids/1 is node b's");
    expect(keys()).not.toContain("info/a");
  });

  it("loses against a release at the same time", async () => {
    const quiet = registry();
    await quiet.claim("a");
    let once = true;
    const before: MemoryStoreHooks["before"] = async (op) => {
      if (op !== "txn" || !once) return;
      once = false;
      await quiet.release("a");
    };
    await expect(registry({ hooks: { before } }).publish(info("a", 1))).rejects.toMatchObject({ code: "NOT_CLAIMED" });
    expect(keys()).toEqual([]);
  });
});

describe("a release", () => {
  it("frees everything of the node and nothing else", async () => {
    const r = registry();
    for (const name of ["a", "b"]) await r.publish(info(name, await r.claim(name)));
    put(nodeIdKey(9), encodeNodeId({ name: "a" }));
    expect(await r.release("a")).toEqual([1, 9]);
    expect(keys()).toEqual(["ids/2", "info/b", "names/b"]);
    expect(await r.release("a")).toEqual([]);
  });

  it("meant for an earlier node of the same name does nothing", async () => {
    const r = registry();
    await r.claim("a", { uid: "new" });
    expect(await r.release("a", { uid: "old" })).toEqual([]);
    expect(await r.claim("b")).toBe(2);
    expect(await r.release("a", { uid: "new" })).toEqual([1]);
  });

  it("does not free an ID that has become another node's meanwhile", async () => {
    const quiet = registry();
    await quiet.claim("a");
    put(nodeIdKey(2), encodeNodeId({ name: "a" })); // a has one too many
    let once = true;
    const before: MemoryStoreHooks["before"] = async (op) => {
      if (op !== "txn" || !once) return;
      once = false;
      await quiet.claim("a"); // gives it back
      await quiet.claim("b"); // gets it
    };
    expect(await registry({ hooks: { before } }).release("a")).toEqual([1]);
    expect(keys()).toEqual(["ids/2", "names/b"]);
  });

  it("also takes an info that is published meanwhile", async () => {
    const quiet = registry();
    await quiet.claim("a");
    let once = true;
    const before: MemoryStoreHooks["before"] = async (op) => {
      if (op !== "txn" || !once) return;
      once = false;
      await quiet.publish(info("a", 1));
    };
    expect(await registry({ hooks: { before } }).release("a")).toEqual([1]);
    expect(keys()).toEqual([]);
  });
});

describe("reconciliation", () => {
  it("frees the IDs of nodes that went away unseen, whatever is left of their records", async () => {
    const r = registry();
    for (const name of ["a", "b", "c", "d"]) await r.publish(info(name, await r.claim(name)));
    drop(nodeNameKey("b"));
    drop(nodeIdKey(3), nodeNameKey("c"));
    const { freed } = await r.reconcile(() => ["a"]);
    expect(freed).toEqual([
      { name: "b", ids: [2] },
      { name: "c", ids: [] },
      { name: "d", ids: [4] },
    ]);
    expect(keys()).toEqual(["ids/1", "info/a", "names/a"]);
    expect((await r.reconcile(() => ["a"])).freed).toEqual([]);
  });

  it("reports what it can't read, by key, and goes on", async () => {
    const r = registry();
    await r.claim("gone");
    put(nodeIdKey(7), bytes('{"v":2}'));
    put("/heddle/nodes/other", bytes("{}"));
    const { freed, problems } = await r.reconcile(() => []);
    expect(freed).toEqual([{ name: "gone", ids: [1] }]);
    expect(problems.map((p) => [p.code, p.key])).toEqual([
      ["NEWER_VERSION", nodeIdKey(7)],
      ["BAD_KEY", "/heddle/nodes/other"],
    ]);
    expect(keys()).toEqual(["ids/7", "other"]);
  });

  it("spares a node that joins or comes back while it runs", async () => {
    const quiet = registry();
    await quiet.claim("back", { uid: "old" });
    const { freed } = await registry().reconcile(async () => {
      const names: string[] = []; // the cluster's nodes, asked for a moment before these two appear
      await quiet.claim("new", { uid: "x" });
      await quiet.claim("back", { uid: "new" });
      return names;
    });
    expect(freed).toEqual([]);
    expect(keys()).toEqual(["ids/1", "ids/2", "names/back", "names/new"]);
  });
});

it("lists the infos by ID and names those that can't be read", async () => {
  put(nodeInfoKey("z"), encodeNodeInfo(info("z", 1)));
  put(nodeInfoKey("y"), bytes("{}"));
  put(nodeInfoKey("x"), encodeNodeInfo(info("x", 2)));
  const { infos, problems } = await registry().list();
  expect(infos.map((i) => i.name)).toEqual(["z", "x"]);
  expect(problems.map((p) => p.message)).toEqual([`${nodeInfoKey("y")}: the value's version "v" is not 1`]);
});
