import { describe, expect, it } from "vitest";
import { nftDescriptors } from "../../../../../src/dataplane/linux/nftables/descriptors.ts";
import type { NftBatch } from "../../../../../src/dataplane/linux/nftables/direct/batch.ts";
import { directBatch } from "../../../../../src/dataplane/linux/nftables/direct/direct.ts";
import { FakeNft } from "../../../../../src/dataplane/linux/nftables/fake.ts";
import { dropChain } from "../../../../../src/dataplane/vpp/shared-device.ts";
import type { GroupOp } from "../../../../../src/kvscheduler/api/descriptor.ts";
import { createScheduler } from "../../../../../src/kvscheduler/scheduler.ts";
import {
  NFT_TABLE,
  NFT_TABLE_KEY,
  type NftElementValue,
  type NftSetValue,
  nftChainKey,
  nftElementKey,
  nftSetKey,
} from "../../../../../src/models/nft.ts";

const op = (kind: GroupOp["kind"], descriptor: string, value: unknown, oldValue?: unknown): GroupOp => ({
  kind,
  key: "k",
  descriptor,
  value,
  oldValue,
});
const chain = (kind: GroupOp["kind"], value: unknown): GroupOp => op(kind, "nft-chain", value);
const element = (kind: GroupOp["kind"], value: NftElementValue, old?: NftElementValue): GroupOp =>
  op(kind, "nft-element", value, old);

const set = (name: string, type: string, more: Partial<NftSetValue> = {}): [string, NftSetValue] => [
  name,
  { kind: more.data === undefined ? "set" : "map", name, type, ...more },
];
const SETS = new Map([
  set("pod_egress", "ifname", { data: "verdict" }),
  set("den", "ifname", { counters: true }),
  set("src4", "ifname . ipv4_addr"),
  set("src6", "ifname . ipv6_addr"),
  set("ports", "inet_proto . inet_service", { data: "ipv4_addr . inet_service" }),
  set("nets", "ipv4_addr", { flags: ["interval"] }),
]);
const drop = dropChain("hda", []);
const regular = (...rules: readonly string[]) => ({ name: "regular", rules, uses: [], jumps: [] });
const [, more] = set("more", "ipv6_addr");
const ports = (count: number) => `{ ${Array.from({ length: count }, (_, i) => 2 * i).join(", ")} }`;

const hex = (batch: NftBatch | undefined): string => Buffer.from(batch?.finish() ?? []).toString("hex");
/** The bytes of an expectation, and the flag that asks for an acknowledgement. */
const message = (length: string, type: string, flags: string, seq: number, body: string): string =>
  `${length}000000${type}${flags}0${seq}00000000000000${body}`.replaceAll(" ", "");
const BEGIN = message("14", "1000", "0100", 0, "0000000a");
const end = (seq: number): string => message("14", "1100", "0100", seq, "0000000a");

describe("what is sent without nft", () => {
  // strace -x -e sendmsg nft -f -  (nft 1.0.6):
  //   add chain inet hd drop_hda { type filter hook ingress device "hda" priority -500; policy drop; }
  //   flush chain inet hd drop_hda
  it("is what nft sends for a chain of a device, with acknowledgements", () => {
    const expected = [
      BEGIN,
      message(
        "5c",
        "030a",
        "0504",
        1,
        "01000000 07000100 68640000 0d000300 64726f705f68646100000000 0b000700 66696c7465720000 08000500 00000000" +
          "1c000480 08000100 00000005 08000200 fffffe0c 08000300 68646100",
      ),
      message("2c", "080a", "0500", 2, "01000000 07000100 68640000 0d000200 64726f705f68646100000000"),
      end(3),
    ];
    expect(hex(directBatch([chain("create", drop)], SETS))).toBe(expected.join(""));
  });

  //   add element inet hd pod_egress { hd12 : jump c1 }
  //   delete element inet hd src4 { hd12 . 10.1.2.3 }
  //   add element inet hd ports { tcp . 80 : 10.0.0.2 . 8080 }
  // nft adds a number to each set's name (NFTA_SET_ELEM_LIST_SET_ID), which is for sets of the same batch.
  it("is what nft sends for elements", () => {
    const name = "68643132 000000000000000000000000";
    const expected = [
      BEGIN,
      message(
        "64",
        "0c0a",
        "0504",
        1,
        "01000000 07000100 68640000 0f000200 706f645f656772657373 0000 38000380 34000180 18000180 14000100" +
          `${name} 18000280 14000280 08000100 fffffffd 07000200 63310000`,
      ),
      message(
        "4c",
        "0e0a",
        "0500",
        2,
        `01000000 07000100 68640000 09000200 7372633400000000 24000380 20000180 1c000180 18000100 ${name} 0a010203`,
      ),
      message(
        "50",
        "0c0a",
        "0504",
        3,
        "01000000 07000100 68640000 0a000200 706f727473000000 28000380 24000180 10000180 0c000100 06000000 00500000" +
          "10000280 0c000100 0a000002 1f900000",
      ),
      end(4),
    ];
    const ops = [
      element("create", { set: "pod_egress", key: "hd12", data: "jump c1" }),
      element("delete", { set: "src4", key: "hd12 . 10.1.2.3" }),
      element("create", { set: "ports", key: "tcp . 80", data: "10.0.0.2 . 8080" }),
    ];
    expect(hex(directBatch(ops, SETS))).toBe(expected.join(""));
  });

  it("has elements of a set that follow each other in one message, and says of which one an error is", () => {
    const many = Array.from({ length: 600 }, (_, i) =>
      element("create", { set: "src4", key: `hd${i} . 10.1.${i >> 8}.${i & 255}` }),
    );
    const batch = directBatch([...many, element("create", { set: "den", key: "hd1" })], SETS);
    expect(batch?.count).toBe(3);
    expect([1, 2, 3].map((seq) => batch?.subject(seq))).toEqual([
      "element src4 { hd0 . 10.1.0.0 } and 499 more",
      "element src4 { hd500 . 10.1.1.244 } and 99 more",
      "element den { hd1 }",
    ]);
  });

  it.each<[string, readonly GroupOp[], number | undefined]>([
    ["two chains that are made", [chain("create", drop), chain("create", dropChain("hdb", []))], 4],
    ["one that goes, whatever was in it", [chain("delete", { ...drop, rules: ["accept"] })], 2],
    ["one of a device with a rule", [chain("create", { ...drop, rules: ["accept"] })], undefined],
    ["one of a device that changes", [op("update", "nft-chain", drop, drop)], undefined],
    ["a chain with rules of policies", [chain("create", regular("ip saddr @src counter return", "counter drop"))], 4],
    ["a chain whose rules change", [op("update", "nft-chain", regular("counter drop"), regular("accept"))], 3],
    ["a rule with a set of its own", [chain("create", regular("tcp dport { 80, 443 } counter return"))], 5],
    ["a rule with more than is written", [chain("create", regular("ct state new counter return"))], undefined],
    ["a rule without a verdict", [chain("create", regular("tcp dport 80 counter"))], undefined],
    [
      "a rule with a set of overlapping ranges",
      [chain("create", regular("tcp dport { 80, 79-90 } accept"))],
      undefined,
    ],
    ["a rule with a range that ends before it begins", [chain("create", regular("tcp dport 90-80 accept"))], undefined],
    ["a rule with bits behind the prefix", [chain("create", regular("ip saddr 10.1.2.3/16 accept"))], undefined],
    ["a rule with an address of the other family", [chain("create", regular("ip saddr fd00::1 accept"))], undefined],
    [
      "a rule with more ranges than a message holds",
      [chain("create", regular(`tcp dport ${ports(600)} accept`))],
      undefined,
    ],
    ["a jump to nowhere", [chain("create", regular("jump"))], undefined],
    ["one that accepts", [chain("create", { ...drop, hook: { ...drop.hook, policy: undefined } })], undefined],
    ["one of no device", [chain("create", { ...drop, hook: { ...drop.hook, device: undefined } })], undefined],
    ["one of another hook", [chain("create", { ...drop, hook: { ...drop.hook, hook: "forward" } })], undefined],
    ["a table beside it", [op("create", "nft-table", NFT_TABLE), chain("create", drop)], undefined],
    ["a set", [op("create", "nft-set", SETS.get("src4"))], 1],
    ["a set and its elements", [op("create", "nft-set", more), element("create", { set: "more", key: "fd00::1" })], 2],
    ["a set that goes", [op("delete", "nft-set", more)], 1],
    ["a map", [op("create", "nft-set", SETS.get("ports"))], undefined],
    ["a set with counters", [op("create", "nft-set", SETS.get("den"))], undefined],
    ["a set of intervals", [op("create", "nft-set", SETS.get("nets"))], undefined],
    ["an element of a set that is not known", [element("create", { set: "other", key: "hd1" })], undefined],
    ["an element of a set of intervals", [element("create", { set: "nets", key: "10.0.0.0" })], undefined],
    ["an element with another verdict", [element("update", to("return"), to("jump c1"))], 2],
    ["an element with a verdict that does not exist", [element("create", to("queue"))], undefined],
    ["an element without its data", [element("create", { set: "ports", key: "tcp . 80" })], undefined],
    ["an element with data in a set", [element("create", { set: "den", key: "hd1", data: "drop" })], undefined],
    ["an address of the other family", [element("create", { set: "src6", key: "hd1 . 10.0.0.1" })], undefined],
    ["an element with a field too few", [element("create", { set: "src6", key: "hd1" })], undefined],
    ["a port that is none", [element("delete", { set: "ports", key: "tcp . 65536" })], undefined],
    ["a protocol that is none", [element("delete", { set: "ports", key: "icmp . 1" })], undefined],
    ["a pattern of names", [element("create", { set: "den", key: "hd*" })], undefined],
    ["a name that fills its field", [element("create", { set: "den", key: "x".repeat(16) })], undefined],
    ["nothing of ours between", [element("create", { set: "den", key: "hd1" }), chain("create", drop)], 3],
  ])("is told from what needs nft: %s", (_what, ops, count) => {
    expect(directBatch(ops, SETS)?.count).toBe(count);
  });

  it("is left to nft where there is much of it", () => {
    const chains = Array.from({ length: 600 }, (_, i) => chain("create", dropChain(`hd${i}`, [])));
    expect(directBatch(chains, SETS)).toBeUndefined();
  });
});

const to = (data: string): NftElementValue => ({ set: "pod_egress", key: "hd1", data });

describe("a commit of the table", () => {
  it("is made directly where its sets are known, and all else by nft", async () => {
    const nft = new FakeNft();
    const made: string[] = [];
    const direct = {
      commit: async (batch: NftBatch): Promise<void> => {
        made.push(...Array.from({ length: batch.count }, (_, i) => batch.subject(i + 1)));
      },
    };
    const scheduler = createScheduler();
    for (const descriptor of nftDescriptors(nft, undefined, direct)) scheduler.register(descriptor);
    const pairs: NftSetValue = { kind: "set", name: "pairs", type: "ipv4_addr . ipv4_addr" };
    const pair = (key: string): [string, NftElementValue] => [nftElementKey("pairs", key), { set: "pairs", key }];
    await scheduler.transact({
      changes: [[NFT_TABLE_KEY, NFT_TABLE], [nftSetKey("pairs"), pairs], pair("10.0.0.1 . 10.0.0.1")],
    });
    expect([nft.scripts.length, made]).toEqual([1, []]);
    await scheduler.transact({ changes: [pair("10.0.0.2 . 10.0.0.2"), [nftChainKey("drop_hda"), drop]] });
    expect([nft.scripts.length, made.splice(0).sort()]).toEqual([
      1,
      ["chain drop_hda", "chain drop_hda for hda", "element pairs { 10.0.0.2 . 10.0.0.2 }"],
    ]);
    const base = { ...drop, name: "base", hook: { type: "filter", hook: "forward", priority: 0 } };
    await scheduler.transact({ changes: [[nftChainKey("base"), base]] });
    expect([nft.scripts.length, made]).toEqual([2, []]);
    await scheduler.close();
  });
});
