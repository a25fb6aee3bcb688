import { describe, expect, it } from "vitest";
import { ManualClock } from "../../../../../src/base/clock/manual-clock.ts";
import { nftDescriptors } from "../../../../../src/dataplane/linux/nftables/descriptors.ts";
import { FakeNft } from "../../../../../src/dataplane/linux/nftables/fake.ts";
import type { Nft } from "../../../../../src/dataplane/linux/nftables/nft.ts";
import { nftBaseItems } from "../../../../../src/dataplane/linux/nodes/nft-base.ts";
import { checkItems } from "../../../../../src/dataplane/linux/pods/check.ts";
import { hostPortBase, hostPortItems } from "../../../../../src/dataplane/linux/services/host-ports.ts";
import type { Key, KeyValue } from "../../../../../src/kvscheduler/api/descriptor.ts";
import type { Txn, TxnResult } from "../../../../../src/kvscheduler/api/scheduler.ts";
import { createScheduler } from "../../../../../src/kvscheduler/scheduler.ts";
import { type NftElementValue, type NftSetValue, nftElementKey, nftSetKey } from "../../../../../src/models/nft.ts";
import { tableOf } from "../../../../support/nft-compliance.ts";
import { engineOf, HOST_POD, hostPorts } from "../../../../support/services/objects.ts";

const BASE = [
  ...nftBaseItems({
    podCIDRs: ["10.244.1.0/24", "fd10:244:0:1::/64"],
    clusterCIDRs: ["10.244.0.0/16", "fd10:244::/48", "192.0.2.1/32", "2001:db8::1/128", "198.51.100.0/24"],
    masquerade: true,
  }),
  ...hostPortBase(),
];
const web = { protocol: "tcp", hostPort: 8080, containerPort: 80 } as const;
const IPS = ["10.244.1.2", "fd10:244:0:1::2"];
const hairpin = (ip: string): NftElementValue => ({
  set: ip.includes(":") ? "hairpin6" : "hairpin4",
  key: `${ip} . ${ip}`,
});
const POD = [
  ...engineOf([hostPorts([web], { ips: IPS })])
    .hostPortsOf(HOST_POD)
    .flatMap((frontend) => [...hostPortItems(frontend)]),
  ...IPS.map(hairpin).map((value) => ({ key: nftElementKey(value.set, value.key), value })),
];

const entries = (items: Iterable<KeyValue>): [Key, unknown][] => [...items].map(({ key, value }) => [key, value]);

function setUp(nft: Nft) {
  const scheduler = createScheduler({ clock: new ManualClock() });
  for (const descriptor of nftDescriptors(nft)) scheduler.register(descriptor);
  const transact = (txn: Txn): Promise<TxnResult> => scheduler.transact(txn);
  return {
    scheduler,
    full: (items: Iterable<KeyValue>) => transact({ resync: "full", changes: entries(items) }),
    heal: () => transact({ resync: "downstream" }),
    change: (...changes: [Key, unknown][]) => transact({ changes }),
  };
}

/** All in place on a fake. */
async function inPlace() {
  const nft = new FakeNft();
  const rig = setUp(nft);
  const first = await rig.full([...BASE, ...POD]);
  expect(first.errors.size).toBe(0);
  const before = await tableOf(nft);
  nft.scripts.length = 0;
  nft.lists.table = 0;
  return { nft, before, ...rig };
}

/** The operations of a transaction, as `kind key`. */
const ops = ({ record }: TxnResult): string[] =>
  record.executed.filter((op) => !op.noop && !op.carried).map((op) => `${op.op} ${op.key}`);

describe("the table", () => {
  it("is made in one commit, with all that is in it", async () => {
    const nft = new FakeNft();
    const { errors, pending } = await setUp(nft).full([...BASE, ...POD]);
    expect([errors.size, pending, nft.scripts.length]).toEqual([0, [], 1]);
    const table = await tableOf(nft);
    expect(table?.sets.map((s) => s.name).sort()).toEqual([
      ...["cluster4", "cluster6", "hairpin4", "hairpin6", "hostports4", "hostports4_ip", "hostports6", "hostports6_ip"],
    ]);
    expect(table?.chains.map((c) => [c.name, c.hook?.hook, c.digests.length])).toEqual([
      ["hostports", undefined, 5],
      ["loopback_guard", "prerouting", 2],
      ["postrouting_snat", "postrouting", 4],
    ]);
    expect(table?.elements.filter((e) => e.set.startsWith("hostports"))).toEqual([
      { set: "hostports4", key: "tcp . 8080", data: "10.244.1.2 . 80" },
      { set: "hostports6", key: "tcp . 8080", data: "fd10:244:0:1::2 . 80" },
    ]);
  });

  it("that is right is left alone, and read once", async () => {
    const { nft, heal } = await inPlace();
    expect(ops(await heal())).toEqual([]);
    expect([nft.scripts, nft.lists.table]).toEqual([[], 1]);
  });

  it("that is right is left alone by a restarted agent", async () => {
    const { nft } = await inPlace();
    expect(ops(await setUp(nft).full([...BASE, ...POD]))).toEqual([]);
    expect(nft.scripts).toEqual([]);
  });

  it("goes, with all that is in it, when nothing is wanted", async () => {
    const { nft, full } = await inPlace();
    await full([]);
    expect(await nft.list("hd")).toBeUndefined();
    expect(nft.scripts).toHaveLength(1);
  });

  it("that a restarted agent does not want goes as well", async () => {
    const { nft } = await inPlace();
    await nft.run("add set inet hd foreign { type ipv4_addr; }\n");
    const { errors } = await setUp(nft).full([]);
    expect([errors.size, await nft.list("hd")]).toEqual([0, undefined]);
  });
});

describe("what others do to the table", () => {
  it.each([
    ["a rule is added", ["add rule inet hd hostports accept"]],
    ["a rule with a comment of its own is added", ['add rule inet hd postrouting_snat accept comment "mine"']],
    ["the rules of a chain are removed", ["flush chain inet hd hostports"]],
    ["a base chain is removed", ["delete chain inet hd loopback_guard"]],
    ["an element is removed", ["delete element inet hd hostports4 { tcp . 8080 }"]],
    ["an element is added", ["add element inet hd hostports6 { udp . 9 : fd00::9 . 9 }"]],
    [
      "an element leads elsewhere",
      [
        "delete element inet hd hostports4 { tcp . 8080 }",
        "add element inet hd hostports4 { tcp . 8080 : 10.0.0.9 . 80 }",
      ],
    ],
    ["a network is removed", ["delete element inet hd cluster4 { 10.244.0.0/16 }"]],
    ["a network is added", ["add element inet hd cluster6 { fd77::/48 }"]],
    ["a set is added", ["add set inet hd foreign { type ipv4_addr; }", "add element inet hd foreign { 10.0.0.1 }"]],
    ["a chain is added", ["add chain inet hd foreign", "add rule inet hd foreign accept"]],
    [
      "a base chain is moved",
      [
        "delete chain inet hd loopback_guard",
        "add chain inet hd loopback_guard { type filter hook prerouting priority 5; policy accept; }",
      ],
    ],
    [
      "a base chain drops what it does not know",
      ["add chain inet hd loopback_guard { type filter hook prerouting priority -300; policy drop; }"],
    ],
    ["the table is removed", ["delete table inet hd"]],
  ])("is repaired in one commit when %s", async (_what, lines) => {
    const { nft, before, heal } = await inPlace();
    await nft.run(`${lines.join("\n")}\n`);
    expect(await tableOf(nft)).not.toEqual(before);
    nft.scripts.length = 0;
    const { errors } = await heal();
    expect([errors.size, nft.scripts.length]).toEqual([0, 1]);
    expect(await tableOf(nft)).toEqual(before);
    expect(ops(await heal())).toEqual([]);
  });

  it("is noticed also where rules have only changed places", async () => {
    const { nft, before, heal } = await inPlace();
    const [script = ""] = await (async () => {
      const fresh = new FakeNft();
      await setUp(fresh).full(BASE);
      return fresh.scripts;
    })();
    const rules = script.split("\n").filter((line) => line.startsWith("add rule inet hd hostports "));
    await nft.run(`${["flush chain inet hd hostports", ...rules.toReversed()].join("\n")}\n`);
    await heal();
    expect(await tableOf(nft)).toEqual(before);
  });
});

describe("a change", () => {
  const key = nftElementKey("hostports4", "tcp . 8080");
  const other = { set: "hostports4", key: "tcp . 8080", data: "10.244.1.3 . 80" };

  it("of an element's data leaves no moment without it", async () => {
    const { nft, change } = await inPlace();
    expect(ops(await change([key, other]))).toEqual([`update ${key}`]);
    expect(nft.scripts).toEqual([
      "delete element inet hd hostports4 { tcp . 8080 }\nadd element inet hd hostports4 { tcp . 8080 : 10.244.1.3 . 80 }\n",
    ]);
  });

  it("touches what changes, and nothing else", async () => {
    const { nft, change } = await inPlace();
    await change(...POD.map(({ key: k }): [Key, unknown] => [k, undefined]));
    expect(nft.scripts).toHaveLength(1);
    expect(nft.scripts[0]?.split("\n").filter((line) => !line.startsWith("delete element "))).toEqual([""]);
    expect((await tableOf(nft))?.elements.filter((e) => !e.set.startsWith("cluster"))).toEqual([]);
  });

  it("of a set's type makes it anew with its elements and the rules that use it", async () => {
    const { nft, change } = await inPlace();
    const value: NftSetValue = { kind: "set", name: "hairpin4", type: "ipv4_addr . ipv4_addr", flags: ["timeout"] };
    expect((await change([nftSetKey("hairpin4"), value])).errors.size).toBe(0);
    const table = await tableOf(nft);
    expect(table?.sets).toContainEqual(value);
    expect(table?.elements).toContainEqual({ set: "hairpin4", key: "10.244.1.2 . 10.244.1.2" });
    expect(table?.chains.find((c) => c.name === "postrouting_snat")?.digests).toHaveLength(4);
  });

  it("that nft refuses fails alone, whatever it is committed with", async () => {
    const { nft, change } = await inPlace();
    const elements = Array.from({ length: 20 }, (_, i): [Key, unknown] => {
      const element = { set: "hostports4", key: `tcp . ${i === 13 ? 70_000 : i + 1}`, data: "10.244.1.2 . 80" };
      return [nftElementKey(element.set, element.key), element];
    });
    const { errors } = await change(...elements);
    expect([...errors.keys()]).toEqual([nftElementKey("hostports4", "tcp . 70000")]);
    expect([...errors.values()].map((e) => e.message)).toEqual([
      'Service out of range (in "add element inet hd hostports4 { tcp . 70000 : 10.244.1.2 . 80 }")',
    ]);
    expect((await tableOf(nft))?.elements.filter((e) => e.set === "hostports4")).toHaveLength(20);
  });

  it("that was committed although its answer was lost is found in place", async () => {
    const { nft, heal } = await inPlace();
    let lose = false;
    const unreliable: Nft = {
      list: (t) => nft.list(t),
      sets: (t) => nft.sets(t),
      chains: () => nft.chains(),
      rules: (...of) => nft.rules(...of),
      async run(script) {
        await nft.run(script);
        if (lose) throw new Error("killed");
      },
    };
    const second = setUp(unreliable);
    await second.full([...BASE, ...POD]);
    await nft.run("delete element inet hd hostports4 { tcp . 8080 }\n");
    lose = true;
    expect([...(await second.heal()).errors.keys()]).toEqual([key]);
    lose = false;
    nft.scripts.length = 0;
    // It was read again behind the commit: the deletion is sent, and nothing is added twice.
    expect((await second.change([key, undefined])).errors.size).toBe(0);
    expect(nft.scripts).toEqual(["delete element inet hd hostports4 { tcp . 8080 }\n"]);
    await heal();
  });
});

describe("CHECK of host ports", () => {
  const check = (nft: Nft) => checkItems(new Map(entries(POD)), nftDescriptors(nft), () => undefined, -1);

  it("finds nothing to say while all is in place", async () => {
    const { nft } = await inPlace();
    expect(await check(nft)).toEqual([]);
  });

  it("names what is missing, and what is another", async () => {
    const { nft } = await inPlace();
    await nft.run(
      [
        "delete element inet hd hostports4 { tcp . 8080 }",
        "add element inet hd hostports4 { tcp . 8080 : 10.0.0.9 . 80 }",
        "delete element inet hd hostports6 { tcp . 8080 }",
      ].join("\n"),
    );
    expect(await check(nft)).toEqual([
      "nft-element hostports4 { tcp . 8080 : 10.244.1.2 . 80 } is now nft-element hostports4 { tcp . 8080 : 10.0.0.9 . 80 }",
      "nft-element hostports6 { tcp . 8080 : fd10:244:0:1::2 . 80 } is missing",
    ]);
  });
});
