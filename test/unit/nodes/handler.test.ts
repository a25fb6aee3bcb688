import { describe, expect, it } from "vitest";
import { parseIp } from "../../../src/base/ip/address.ts";
import type { StoreEvent } from "../../../src/controller/api.ts";
import { resyncEvent } from "../../../src/controller/store-watcher.ts";
import { silentLog } from "../../../src/infra/log/log.ts";
import { encodeNodeInfo, nodeInfoKey } from "../../../src/models/node.ts";
import { type LocalNodeRow, type NodeInfo, type NodeWiring, vtepMacOf } from "../../../src/nodes/api.ts";
import { NodesHandler } from "../../../src/nodes/handler.ts";
import type { Entry } from "../../../src/stores/api/store.ts";
import { FakeOutput, named } from "../../support/controller/fakes.ts";

const info = (id: number, change: Partial<NodeInfo> = {}): NodeInfo => ({
  name: `n${id}`,
  id,
  underlayIps: [parseIp(`192.168.0.${id}`)],
  podCIDRs: [`10.244.${id}.0/24`],
  vtepMac: vtepMacOf(id),
  overlay: "vxlan",
  version: "0.1.0",
  ...change,
});

const local: LocalNodeRow = {
  name: "n1",
  id: 1,
  podCIDRs: ["10.244.1.0/24"],
  gateways: [parseIp("10.244.1.1")],
  clusterCIDRs: ["10.244.0.0/16"],
  masquerade: true,
  uplinks: [],
  raLinks: [],
  overlay: { kind: "none" },
};

const wiring: NodeWiring = {
  *renderLocal(row) {
    yield { key: "local", value: row.name };
  },
  *renderPeer(peer) {
    yield { key: `peer/${peer.name}`, value: peer.underlayIp };
    for (const cidr of peer.podCIDRs) yield { key: `route/${cidr}`, value: peer.name };
  },
};

const entryOf = (name: string, value: Uint8Array): Entry => ({ key: nodeInfoKey(name), value, revision: "1" });
const entry = (node: NodeInfo): Entry => entryOf(node.name, encodeNodeInfo(node));
const raw = (name: string, text: string): Entry => entryOf(name, Buffer.from(text));

function setUp(...entries: Entry[]) {
  const handler = new NodesHandler({ wiring, log: silentLog, self: info(1), local });
  const store = new Map(entries.map((e) => [e.key, e]));
  const output = () => {
    const out = new FakeOutput();
    return { out, items: () => Object.fromEntries(out.items) };
  };
  const resync = () => {
    const { out, items } = output();
    handler.resync(resyncEvent("test", store), out);
    return items();
  };
  /** By key; absent entries are records that go. */
  const changeKeys = (changes: Record<string, Entry | undefined>) => {
    const event: StoreEvent = {
      kind: "store",
      describe: () => "test",
      changes: Object.entries(changes).map(([key, now]) => {
        const old = store.get(key);
        if (now) store.set(key, now);
        else store.delete(key);
        return { key, old, new: now };
      }),
    };
    const { out, items } = output();
    handler.update(event, out);
    return items();
  };
  /** Of infos, by the nodes' names. */
  const change = (changes: Record<string, Entry | undefined>) =>
    changeKeys(Object.fromEntries(Object.entries(changes).map(([name, now]) => [nodeInfoKey(name), now])));
  const changeKey = (key: string, now: Entry | undefined) => changeKeys({ [key]: now });
  const initial = resync();
  return { handler, initial, resync, change, changeKey };
}

const peer = (id: number, ip = `192.168.0.${id}`) => ({
  [`peer/n${id}`]: ip,
  [`route/10.244.${id}.0/24`]: `n${id}`,
});

describe("a resync", () => {
  it("yields this node's items and those of every peer", () => {
    const { initial, handler } = setUp(entry(info(1)), entry(info(2)), entry(info(3)));
    expect(initial).toEqual({ local: "n1", ...peer(2), ...peer(3) });
    expect([...handler.peers.keys()]).toEqual(["n2", "n3"]);
  });

  it("has what the node has moved to, and its peers as seen from there", () => {
    const { handler, resync } = setUp(entry(info(2)));
    const self = info(1, { underlayIps: [parseIp("192.168.0.11")] });
    handler.move(self, { ...local, name: "n1 at .11" });
    expect(resync()).toEqual({ local: "n1 at .11", ...peer(2) });
    expect(handler.peers.get("n2")?.localIp).toBe("192.168.0.11");
  });

  it("forgets what is no longer there", () => {
    const { change, resync, handler } = setUp(entry(info(2)), raw("n3", "{"));
    change({ n2: undefined, n3: undefined });
    expect(resync()).toEqual({ local: "n1" });
    expect(handler.ignored).toEqual([]);
  });
});

describe("a peer", () => {
  it("is wired when it comes, moves when it changes, and goes", () => {
    const { change } = setUp();
    expect(change({ n2: entry(info(2)) })).toEqual(peer(2));
    expect(change({ n2: entry(info(2, { underlayIps: [parseIp("192.168.0.99")] })) })).toEqual(peer(2, "192.168.0.99"));
    expect(change({ n2: entry(info(2, { podCIDRs: ["10.244.9.0/24"] })) })).toEqual({
      "peer/n2": "192.168.0.2",
      "route/10.244.2.0/24": undefined,
      "route/10.244.9.0/24": "n2",
    });
    expect(change({ n2: undefined })).toEqual({ "peer/n2": undefined, "route/10.244.9.0/24": undefined });
  });

  it("whose info says the same again changes nothing", () => {
    const { change } = setUp(entry(info(2)));
    expect(change({ n2: entry(info(2, { version: "0.2.0" })) })).toEqual({});
  });

  it("may take over in one event what another gives up", () => {
    const { change } = setUp(entry(info(2)), entry(info(3)));
    const swapped = {
      n3: entry(info(3, { podCIDRs: ["10.244.2.0/24"] })),
      n2: entry(info(2, { podCIDRs: ["10.244.3.0/24"] })),
    };
    expect(change(swapped)).toEqual({
      "peer/n2": "192.168.0.2",
      "peer/n3": "192.168.0.3",
      "route/10.244.2.0/24": "n3",
      "route/10.244.3.0/24": "n2",
    });
  });

  it("that is this node itself is none", () => {
    const { change } = setUp();
    expect(change({ n1: entry(info(1)) })).toEqual({});
  });

  it("with another overlay is ignored by name, until it has ours", () => {
    const { change, handler } = setUp();
    expect(change({ n2: entry(info(2, { overlay: "none" })) })).toEqual({});
    expect(handler.ignored).toEqual([{ name: "n2", reason: "its overlay is none, this node's is vxlan" }]);
    expect(change({ n2: entry(info(2)) })).toEqual(peer(2));
    expect(handler.ignored).toEqual([]);
  });
});

describe("a value that cannot be used", () => {
  const key = nodeInfoKey("n2");
  it.each([
    ["is not JSON", "{", `${key}: the value is not JSON`],
    ["is not UTF-8", Buffer.from([0xff, 0xfe]), `${key}: the value is not JSON`],
    ["is of a newer version", '{"v":2}', `${key}: the value is of version 2, this Heddle knows version 1`],
    ["lacks a member", '{"v":1,"name":"n2"}', /info\/n2: id: /],
    ["is about another node", Buffer.from(encodeNodeInfo(info(3))), `${key}: the value is about node n3`],
  ])("because it %s is named, and the other nodes go on", (_what, value, reason) => {
    const bad = entryOf("n2", Buffer.from(value));
    const { initial, handler, change } = setUp(bad, entry(info(3)));
    expect(initial).toEqual({ local: "n1", ...peer(3) });
    expect(handler.ignored).toEqual([{ name: key, reason: expect.stringMatching(reason) as string }]);
    expect(change({ n2: entry(info(2)) })).toEqual(peer(2));
    expect(handler.ignored).toEqual([]);
  });

  it("in place of a good one removes the peer: what it said no longer holds", () => {
    const { change, handler } = setUp(entry(info(2)));
    expect(change({ n2: raw("n2", "x") })).toEqual({ "peer/n2": undefined, "route/10.244.2.0/24": undefined });
    expect(handler.ignored).toHaveLength(1);
    expect(change({ n2: undefined })).toEqual({});
    expect(handler.ignored).toEqual([]);
  });
});

describe("a record that is no node's info", () => {
  it.each([
    ["/heddle/nodes/x/n2", "{}", "unknown key"],
    ["/heddle/nodes/", "", "unknown key"],
    ["/heddle/nodes/info/a/b", "{}", "unknown key"],
    ["/heddle/nodes/ids/007", '{"v":1,"name":"n7"}', "unknown key"],
    ["/heddle/nodes/ids/7", "seven", "the value is not JSON"],
    ["/heddle/nodes/ids/7", '{"v":9}', "the value is of version 9, this Heddle knows version 1"],
    ["/heddle/nodes/names/n7", '{"v":1,"id":0}', "id: "],
  ])("%s with %j is named while it is there, and the nodes go on", (key, value, reason) => {
    const bad: Entry = { key, value: Buffer.from(value), revision: "1" };
    const { initial, handler, changeKey, change } = setUp(bad, entry(info(3)));
    expect(initial).toEqual({ local: "n1", ...peer(3) });
    expect(handler.ignored).toEqual([{ name: key, reason: expect.stringContaining(`${key}: ${reason}`) as string }]);
    expect(changeKey(key, undefined)).toEqual({});
    expect(handler.ignored).toEqual([]);
    expect(changeKey(key, bad)).toEqual({});
    expect(handler.ignored).toHaveLength(1);
    expect(change({ n2: entry(info(2)) })).toEqual(peer(2));
  });

  it("is none to name when it says who has an ID", () => {
    const good = [
      { key: "/heddle/nodes/ids/3", value: Buffer.from('{"v":1,"name":"n3"}'), revision: "1" },
      { key: "/heddle/nodes/names/n3", value: Buffer.from('{"v":1,"id":3}'), revision: "1" },
    ];
    expect(setUp(...good, entry(info(3))).handler.ignored).toEqual([]);
  });
});

describe("what is wrong with this node itself", () => {
  it("is told, for as long as it is so", () => {
    const { change, handler } = setUp(entry(info(2)));
    expect(handler.selfProblem).toBeUndefined();
    // Who has the lower name of two with one ID is in the right.
    change({ a: entry(info(1, { name: "a" })) });
    expect(handler.selfProblem).toBe("its ID 1 is also that of node a (ID 1)");
    change({ a: undefined });
    expect(handler.selfProblem).toBeUndefined();
  });
});

describe("the events that concern nodes", () => {
  it("are those below their prefix", () => {
    const { handler } = setUp();
    const event = (key: string): StoreEvent => ({
      kind: "store",
      describe: () => "",
      changes: [{ key, old: undefined, new: undefined }],
    });
    expect(handler.handles(event(nodeInfoKey("n2")))).toBe(true);
    expect(handler.handles(event("/heddle/nodes/ids/7"))).toBe(true);
    expect(handler.handles(event("/heddle/k8s/pods/7"))).toBe(false);
    expect(handler.handles(named("x"))).toBe(false);
  });
});
