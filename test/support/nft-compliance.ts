import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { type Nft, NftError } from "../../src/dataplane/linux/nftables/nft.ts";
import { type FoundTable, parseTable } from "../../src/dataplane/linux/nftables/parse.ts";

/** A table in a form that does not depend on the order of what is in it, but for the rules of a chain. */
export async function tableOf(nft: Nft): Promise<FoundTable | undefined> {
  const objects = await nft.list("hd");
  if (!objects) return undefined;
  const { sets, elements, chains } = parseTable(objects);
  const byText = <T>(list: readonly T[]): T[] =>
    list.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
  return { sets: byText(sets), elements: byText(elements), chains: byText(chains) };
}

/** "ok", or "refused" with nothing changed. */
export async function outcome(nft: Nft, ...lines: string[]): Promise<"ok" | "refused"> {
  try {
    await nft.run(`${lines.join("\n")}\n`);
    return "ok";
  } catch (e) {
    if (e instanceof NftError && e.code === "REFUSED") return "refused";
    throw e;
  }
}

/** No table, whether there was one or not. */
const EMPTY = ["add table inet hd", "delete table inet hd"];

/** A table with something of every kind. */
const BASE = [
  "add table inet hd",
  "add set inet hd nets4 { type ipv4_addr; flags interval; }",
  "add set inet hd nets6 { type ipv6_addr; flags interval; }",
  "add set inet hd pairs { type ipv6_addr . ipv6_addr; }",
  "add map inet hd ports { type inet_proto . inet_service : ipv4_addr . inet_service; }",
  "add map inet hd ports_ip { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }",
  "add set inet hd unused { type ipv4_addr; }",
  "add chain inet hd hostports",
  "add chain inet hd idle",
  "add chain inet hd pre { type nat hook prerouting priority -110; policy accept; }",
  'add rule inet hd hostports dnat ip to meta l4proto . th dport map @ports comment "hd:1"',
  'add rule inet hd hostports ip daddr @nets4 accept comment "hd:2"',
  'add rule inet hd pre meta l4proto { tcp, udp, sctp } fib daddr type local jump hostports comment "hd:3"',
  "add element inet hd nets4 { 10.0.0.0/16 }",
  "add element inet hd nets6 { fd00::/48 }",
  "add element inet hd ports { tcp . 80 : 10.0.0.2 . 8080 }",
];

const FORWARD = "add chain inet hd later";

/** What happens to a statement on top of {@link BASE}. */
const STATEMENTS: readonly (readonly [what: string, lines: readonly string[], expected: "ok" | "refused"])[] = [
  ["a table again", ["add table inet hd"], "ok"],
  ["the removal of the table with all that is in it", ["delete table inet hd"], "ok"],
  ["the removal of a table that is not there", ["delete table inet other"], "refused"],
  ["a set in a table that is not there", ["add set inet other s { type ipv4_addr; }"], "refused"],
  ["a chain in a table that is not there", ["add chain inet other c"], "refused"],
  ["a rule in a table that is not there", ["add rule inet other c accept"], "refused"],

  ["a set again", ["add set inet hd nets4 { type ipv4_addr; flags interval; }"], "ok"],
  ["a set with other flags", ["add set inet hd nets4 { type ipv4_addr; }"], "refused"],
  ["a set of another type", ["add set inet hd unused { type ipv6_addr; }"], "refused"],
  ["a map where a set is", ["add map inet hd unused { type ipv4_addr : ipv4_addr; }"], "refused"],
  ["a type that does not exist", ["add set inet hd s { type ipv5_addr; }"], "refused"],
  ["the removal of a set that nothing uses", ["delete set inet hd unused"], "ok"],
  ["the removal of a set with its elements", ["delete set inet hd nets6"], "ok"],
  ["the removal of a set that a rule uses", ["delete set inet hd nets4"], "refused"],
  ["the removal of a map that a rule uses", ["delete map inet hd ports"], "refused"],
  ["the removal of a set that is not there", ["delete set inet hd none"], "refused"],

  ["an element", ["add element inet hd ports { udp . 53 : 10.0.0.3 . 53 }"], "ok"],
  ["an element for one address", ["add element inet hd ports_ip { 192.0.2.1 . sctp . 9 : 10.0.0.3 . 9 }"], "ok"],
  ["an element whose address can be written shorter", ["add element inet hd pairs { fd00:0:0::1 . FD00::0:1 }"], "ok"],
  ["an element again", ["add element inet hd ports { tcp . 80 : 10.0.0.2 . 8080 }"], "ok"],
  ["an element with other data", ["add element inet hd ports { tcp . 80 : 10.0.0.3 . 8080 }"], "refused"],
  [
    "an element with other data in place of one that goes",
    ["delete element inet hd ports { tcp . 80 }", "add element inet hd ports { tcp . 80 : 10.0.0.3 . 8080 }"],
    "ok",
  ],
  ["an element without data in a map", ["add element inet hd ports { tcp . 81 }"], "refused"],
  ["an element with data in a set", ["add element inet hd unused { 10.0.0.1 : 10.0.0.2 }"], "refused"],
  ["an element of a set that is not there", ["add element inet hd none { 10.0.0.1 }"], "refused"],
  ["a port that is too large", ["add element inet hd ports { tcp . 65536 : 10.0.0.2 . 1 }"], "refused"],
  ["a protocol that does not exist", ["add element inet hd ports { tpc . 1 : 10.0.0.2 . 1 }"], "refused"],
  ["an address of the other family", ["add element inet hd unused { fd00::1 }"], "refused"],
  ["an element with a part too few", ["add element inet hd pairs { fd00::1 }"], "refused"],
  ["the removal of an element", ["delete element inet hd ports { tcp . 80 }"], "ok"],
  ["the removal of an element that is not there", ["delete element inet hd ports { tcp . 81 }"], "refused"],

  ["a network beside another", ["add element inet hd nets4 { 10.1.0.0/16 }"], "ok"],
  ["a network of full length", ["add element inet hd nets4 { 192.0.2.1/32 }"], "ok"],
  ["an address among networks", ["add element inet hd nets6 { 2001:db8::1 }"], "ok"],
  ["a network again", ["add element inet hd nets4 { 10.0.0.0/16 }"], "ok"],
  ["a network inside another", ["add element inet hd nets4 { 10.0.1.0/24 }"], "refused"],
  ["a network around another", ["add element inet hd nets4 { 10.0.0.0/8 }"], "refused"],
  [
    "everything in place of a network",
    ["delete element inet hd nets4 { 10.0.0.0/16 }", "add element inet hd nets4 { 0.0.0.0/0 }"],
    "ok",
  ],
  ["the removal of a network", ["delete element inet hd nets6 { fd00::/48 }"], "ok"],
  ["the removal of a part of a network", ["delete element inet hd nets4 { 10.0.0.0/17 }"], "refused"],

  ["a chain again", ["add chain inet hd idle"], "ok"],
  ["a base chain again", ["add chain inet hd pre { type nat hook prerouting priority -110; policy accept; }"], "ok"],
  [
    "a base chain with another policy",
    ["add chain inet hd pre { type nat hook prerouting priority -110; policy drop; }"],
    "ok",
  ],
  [
    "a base chain at another hook",
    ["add chain inet hd pre { type nat hook output priority -110; policy accept; }"],
    "refused",
  ],
  [
    "a base chain at another priority",
    ["add chain inet hd pre { type nat hook prerouting priority 0; policy accept; }"],
    "refused",
  ],
  [
    "a hook for a chain that has none",
    ["add chain inet hd idle { type nat hook output priority 0; policy accept; }"],
    "refused",
  ],
  [
    "a base chain of a type that its hook does not have",
    ["add chain inet hd c { type nat hook forward priority 0; policy accept; }"],
    "refused",
  ],
  [
    "a base chain in place of one that goes",
    [
      "flush chain inet hd pre",
      "delete chain inet hd pre",
      "add chain inet hd pre { type nat hook output priority -1; policy accept; }",
    ],
    "ok",
  ],
  ["the removal of a chain that nothing leads to", ["delete chain inet hd idle"], "ok"],
  ["the removal of a base chain with its rules", ["delete chain inet hd pre"], "ok"],
  ["the removal of a chain that a rule leads to", ["delete chain inet hd hostports"], "refused"],
  [
    "the removal of a chain and of what leads to it",
    ["flush chain inet hd pre", "delete chain inet hd hostports"],
    "ok",
  ],
  [
    "the removal of a chain that leads to itself",
    ["add rule inet hd idle jump idle", "delete chain inet hd idle"],
    "refused",
  ],
  ["the removal of a chain that is not there", ["delete chain inet hd none"], "refused"],
  ["the emptying of a chain that is not there", ["flush chain inet hd none"], "refused"],

  ["a rule without a comment", ["add rule inet hd idle accept"], "ok"],
  [
    "the same rule twice",
    ['add rule inet hd idle accept comment "x"', 'add rule inet hd idle accept comment "x"'],
    "ok",
  ],
  ["a rule of a chain that is not there", ["add rule inet hd none accept"], "refused"],
  ["a rule that names a set that is not there", ["add rule inet hd idle ip daddr @none accept"], "refused"],
  ["a rule that leads to a chain that is not there", ["add rule inet hd idle jump none"], "refused"],
  ["a rule that leads to a base chain", ["add rule inet hd idle jump pre"], "refused"],
  ["a rule that leads to its own chain", ["add rule inet hd hostports jump hostports"], "refused"],
  [
    "rules that lead round in a circle",
    ["add rule inet hd idle jump hostports", "add rule inet hd hostports jump idle"],
    "refused",
  ],
  ["a circle that no base chain leads to", ["add rule inet hd idle jump idle"], "ok"],
  [
    "a base chain that leads into a circle",
    ["add rule inet hd idle jump idle", "add rule inet hd pre jump idle"],
    "refused",
  ],
  [
    "a translation of destinations where there is none",
    [
      "add rule inet hd idle jump hostports",
      `${FORWARD} { type filter hook forward priority 0; policy accept; }`,
      "add rule inet hd later jump idle",
    ],
    "refused",
  ],
  ["a translation of sources before routing", ["add rule inet hd hostports masquerade"], "refused"],
  [
    "a translation of sources behind routing",
    [
      `${FORWARD} { type nat hook postrouting priority 90; policy accept; }`,
      "add rule inet hd later meta l4proto tcp masquerade",
    ],
    "ok",
  ],
  ["a translation that no base chain leads to", ["add rule inet hd idle masquerade"], "ok"],
  ["something that is not a statement", ["add nonsense"], "refused"],
  [
    "a statement before one that is refused",
    ["add element inet hd unused { 10.0.0.9 }", "delete set inet hd none"],
    "refused",
  ],
];

/** What every {@link Nft} must do. `open` is called once; the suite makes the table `hd` anew for each test. */
export function nftCompliance(name: string, open: () => Nft): void {
  describe(`${name} as an Nft`, () => {
    const nft = open();
    beforeEach(() => nft.run(`${[...EMPTY, ...BASE].join("\n")}\n`));
    afterAll(() => nft.run(`${EMPTY.join("\n")}\n`));

    it("lists what is there, and nothing of a table that is not", async () => {
      expect(await tableOf(nft)).toEqual({
        sets: [
          { kind: "map", name: "ports", type: "inet_proto . inet_service", data: "ipv4_addr . inet_service" },
          {
            kind: "map",
            name: "ports_ip",
            type: "ipv4_addr . inet_proto . inet_service",
            data: "ipv4_addr . inet_service",
          },
          { kind: "set", name: "nets4", type: "ipv4_addr", flags: ["interval"] },
          { kind: "set", name: "nets6", type: "ipv6_addr", flags: ["interval"] },
          { kind: "set", name: "pairs", type: "ipv6_addr . ipv6_addr" },
          { kind: "set", name: "unused", type: "ipv4_addr" },
        ],
        elements: [
          { set: "nets4", key: "10.0.0.0/16" },
          { set: "nets6", key: "fd00::/48" },
          { set: "ports", key: "tcp . 80", data: "10.0.0.2 . 8080" },
        ],
        chains: [
          { name: "hostports", hook: undefined, digests: ["hd:1", "hd:2"] },
          { name: "idle", hook: undefined, digests: [] },
          { name: "pre", hook: { type: "nat", hook: "prerouting", priority: -110 }, digests: ["hd:3"] },
        ],
      });
      expect(await nft.list("other")).toBeUndefined();
    });

    it.each(STATEMENTS)("%s", async (_what, lines, expected) => {
      const before = await tableOf(nft);
      expect(await outcome(nft, ...lines)).toBe(expected);
      const after = await tableOf(nft);
      if (expected === "refused") expect(after).toEqual(before);
      else expect(after).toEqual(afterwards(before, lines));
    });

    it("lists the chains of all tables, with policies", async () => {
      await nft.run("add table ip other\nadd chain ip other F { type filter hook forward priority 0; policy drop; }\n");
      try {
        const chains = (await nft.chains()).flatMap(({ chain }) => chain ?? []);
        expect(chains).toContainEqual(
          expect.objectContaining({
            family: "ip",
            table: "other",
            name: "F",
            hook: "forward",
            prio: 0,
            policy: "drop",
          }),
        );
        expect(chains).toContainEqual(expect.objectContaining({ family: "inet", table: "hd", name: "idle" }));
      } finally {
        await nft.run("delete table ip other\n");
      }
    });
  });
}

/** The statements of the table above that succeed, in plain words of the table. */
function afterwards(before: FoundTable | undefined, lines: readonly string[]): FoundTable | undefined {
  if (!before) throw new Error("no table to begin with");
  let { sets, elements, chains } = before;
  for (const line of lines) {
    const [verb, what, , , name = ""] = line.split(" ");
    const braces = /\{ (.+) \}/.exec(line)?.[1] ?? "";
    if (`${verb} ${what}` === "delete table") return undefined;
    if (verb === "delete" && (what === "set" || what === "map")) {
      sets = sets.filter((s) => s.name !== name);
      elements = elements.filter((e) => e.set !== name);
    } else if (what === "element") {
      const [written = "", data] = braces.split(" : ");
      const key = LISTED[written] ?? written;
      elements = elements.filter((e) => e.set !== name || e.key !== key);
      if (verb === "add") elements = [...elements, { set: name, key, ...(data === undefined ? {} : { data }) }];
    } else if (what === "chain" && verb === "delete") {
      chains = chains.filter((c) => c.name !== name);
    } else if (what === "chain" && verb === "flush") {
      chains = chains.map((c) => (c.name === name ? { ...c, digests: [] } : c));
    } else if (what === "chain") {
      const [, type = "", at, priority, policy = ""] =
        /type (\w+) hook (\w+) priority (-?\d+); policy (\w+)/.exec(braces) ?? [];
      const old = chains.find((c) => c.name === name);
      const hook = at === undefined ? old?.hook : { type, hook: at, priority: Number(priority) };
      const more = policy === "drop" && hook ? { ...hook, policy } : hook;
      chains = [...chains.filter((c) => c !== old), { name, hook: more, digests: old?.digests ?? [] }];
    } else if (what === "rule") {
      const comment = /comment "(.*)"/.exec(line)?.[1] ?? "";
      chains = chains.map((c) => (c.name === name ? { ...c, digests: [...c.digests, comment] } : c));
    }
  }
  const byText = <T>(list: readonly T[]): T[] =>
    list.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
  return { sets: byText(sets), elements: byText(elements), chains: byText(chains) };
}

/** Keys that are listed otherwise than they are written above. */
const LISTED: Readonly<Record<string, string>> = {
  "fd00:0:0::1 . FD00::0:1": "fd00::1 . fd00::1",
  "192.0.2.1/32": "192.0.2.1",
};
