import { describe, expect, it } from "vitest";
import { Writer } from "../../../../../src/base/bytes/writer.ts";
import { AttrWriter } from "../../../../../src/dataplane/linux/netlink/attr.ts";
import type { NetlinkDump } from "../../../../../src/dataplane/linux/netlink/request.ts";
import { readCounts } from "../../../../../src/dataplane/linux/policy/counters.ts";
import { tableChains, tablePlaces } from "../../../../../src/dataplane/linux/policy/tables.ts";
import type { RuleTable, TableId } from "../../../../../src/policy/api.ts";

const TABLE: RuleTable = {
  id: "t1" as TableId,
  direction: "ingress",
  tiers: [
    {
      name: "Admin",
      rules: [{ verdict: "deny", peer: { kind: "blocks", cidrs: ["10.0.0.0/8", "fd00::/8"] }, ports: [] }],
      end: "next",
    },
    { name: "NetworkPolicy", rules: [{ verdict: "accept", peer: { kind: "any" }, ports: [] }], end: "deny" },
  ],
};

const counter = (a: AttrWriter, packets: number, bytes: number): AttrWriter =>
  a.string(1, "counter").nest(2, (data) => data.bytes(1, be64(bytes)).bytes(2, be64(packets)));
const be64 = (n: number): Uint8Array => new Writer(8).u64be(BigInt(n)).finish();

/** An NFT_MSG_NEWRULE, with an expression that does not count before the one that does. */
function rule(table: string, chain: string, count?: readonly [packets: number, bytes: number]): Uint8Array {
  const w = new Writer();
  w.u32(1);
  new AttrWriter(w)
    .string(1, table)
    .string(2, chain)
    .nest(4, (list) => {
      list.nest(1, (e) => e.string(1, "cmp"));
      if (count) list.nest(1, (e) => counter(e, ...count));
    });
  return w.finish();
}

/** An NFT_MSG_NEWSETELEM with all elements. */
function elements(...links: readonly (readonly [link: string, packets: number, bytes: number])[]): Uint8Array {
  const w = new Writer();
  w.u32(1);
  new AttrWriter(w).string(1, "hd").nest(3, (list) => {
    for (const [link, packets, bytes] of links) {
      const name = new Uint8Array(16);
      name.set(new TextEncoder().encode(link));
      list.nest(1, (e) => e.nest(1, (key) => key.bytes(1, name)).nest(7, (x) => counter(x, packets, bytes)));
    }
  });
  return w.finish();
}

const RULES = [
  rule("other", "t1", [100, 100]),
  rule("hd", "t1", [1, 10]),
  rule("hd", "t1", [2, 20]),
  rule("hd", "t1"),
  rule("hd", "t1_1", [4, 40]),
  rule("hd", "t1_1", [8, 80]),
  rule("hd", "policy_denied", [16, 160]),
  rule("hd", "policy_source", [32, 320]),
  rule("hd", "policy_source"),
  rule("hd", "policy_source", [64, 640]),
];

const socket = (rules: readonly Uint8Array[], links: Uint8Array) => ({
  dump<T>(dump: NetlinkDump<T>): Promise<T[]> {
    const bodies = dump.words.includes("rules") ? rules : [links];
    return Promise.resolve(bodies.flatMap((body) => dump.decode({ type: 0, flags: 0, seq: 0, portId: 0, body }) ?? []));
  },
});

describe("counters", () => {
  it("are those of the rules of tables, whatever number of nftables' rules they are, and of pods", async () => {
    const counts = await readCounts(socket(RULES, elements(["hd1", 3, 30], ["hd2", 0, 0])), [TABLE]);
    expect(counts).toEqual({
      rules: [
        { table: "t1", tier: 0, rule: 0, packets: 3, bytes: 30 },
        { table: "t1", tier: 1, rule: 0, packets: 4, bytes: 40 },
        { table: "t1", tier: 1, rule: "end", packets: 8, bytes: 80 },
      ],
      denied: [
        { id: "hd1", direction: "egress", packets: 3, bytes: 30 },
        { id: "hd2", direction: "egress", packets: 0, bytes: 0 },
        { id: "hd1", direction: "ingress", packets: 3, bytes: 30 },
        { id: "hd2", direction: "ingress", packets: 0, bytes: 0 },
      ],
      stopped: { packets: 16, bytes: 160 },
      forged: { packets: 96, bytes: 960 },
    });
  });

  it("of a chain that is not (yet) as it should be mean nothing", async () => {
    const counts = await readCounts(socket(RULES.slice(2), elements()), [TABLE]);
    expect(counts.rules.map((r) => r.tier)).toEqual([1, 1]);
  });

  it.each([RULES[1], elements(["hd1", 3, 30])])("of a message that is cut off are not made up (%#)", async (whole) => {
    for (let length = 0; length < (whole?.length ?? 0); length++) {
      const cut = whole?.slice(0, length) ?? new Uint8Array();
      const read = readCounts(socket([cut], cut), []).catch((e: unknown) => (e as { code: string }).code);
      const counts = await read;
      if (typeof counts === "string") expect(counts).toMatch(/^(TRUNCATED|NETLINK_FORMAT)$/);
      else expect([...counts.rules, ...counts.denied].every((c) => c.packets <= 3)).toBe(true);
    }
  });
});

it("a table's chains have a place for each of their rules", () => {
  for (const { chain, places } of tablePlaces(TABLE)) {
    expect(tableChains(TABLE).find((c) => c.name === chain)?.rules).toHaveLength(places.length);
  }
  expect(tablePlaces(TABLE).map((p) => p.places)).toEqual([
    [0, 0, "end"],
    [0, "end"],
  ]);
});
