import fc from "fast-check";
import { expect, it } from "vitest";
import { Networks } from "../../../../../src/dataplane/vpp/policy/networks.ts";
import { prefixOf } from "../../../../../src/dataplane/vpp/policy/prefix.ts";
import type { Run } from "../../../../../src/dataplane/vpp/policy/runs.ts";
import { blocksOf, sctpRules } from "../../../../../src/dataplane/vpp/policy/sctp.ts";
import { parseSctpRule, type SctpRule } from "../../../../../src/models/vpp/sctp.ts";

const entry = (verdict: Run["verdict"], cidr: string, ports?: readonly [number, number]): Run => ({
  verdict,
  networks: Networks.one(prefixOf(cidr)),
  ...(ports && { ports: { protocol: "SCTP", first: ports[0], last: ports[1] } }),
});
const open = [entry("accept", "0.0.0.0/0")];
const closed = [entry("deny", "0.0.0.0/0")];

it("nothing is dropped where everything is accepted, whatever the other direction says", () => {
  expect(sctpRules(4, { begun: open, answers: closed })).toBe(undefined);
  expect(sctpRules(6, { begun: open, answers: closed })).toEqual(["rest ::/0"]);
});

it("who may begin nothing answers those that may begin with it", () => {
  expect(sctpRules(4, { begun: closed, answers: open })).toEqual([
    "init 0.0.0.0/0",
    "answers 0.0.0.0/0 0/0",
    "rest 0.0.0.0/0",
  ]);
  expect(sctpRules(4, { begun: closed, answers: closed })).toEqual(["rest 0.0.0.0/0"]);
});

it("the first entry that a port is in decides, of entries for the peer and for networks around it", () => {
  const begun = [
    entry("deny", "10.0.0.0/8", [80, 80]),
    entry("accept", "10.0.0.1/32", [80, 81]),
    entry("accept", "10.0.0.0/8", [443, 443]),
    ...closed,
  ];
  expect(sctpRules(4, { begun, answers: closed })).toEqual([
    "rest 0.0.0.0/0",
    "begun 10.0.0.0/8 443/16",
    "rest 10.0.0.0/8",
    "begun 10.0.0.1/32 81/16",
    "begun 10.0.0.1/32 443/16",
    "rest 10.0.0.1/32",
  ]);
});

it("networks that say what the one around them says are left out", () => {
  const begun = [entry("accept", "10.1.0.0/16", [80, 80]), entry("accept", "10.0.0.0/8", [80, 80]), ...closed];
  expect(sctpRules(4, { begun, answers: closed })).toEqual([
    "rest 0.0.0.0/0",
    "begun 10.0.0.0/8 80/16",
    "rest 10.0.0.0/8",
  ]);
});

it.each([
  [[80, 80], ["80/16"]],
  [[0, 65_535], ["0/0"]],
  [
    [1, 6],
    ["1/16", "2/15", "4/15", "6/16"],
  ],
  [[32_768, 65_535], ["32768/1"]],
] as const)("ports %j are the blocks %j", ([first, last], blocks) => {
  expect(blocksOf([first, last]).map(({ port, bits }) => `${port}/${bits}`)).toEqual(blocks);
});

const port = fc.integer({ min: 0, max: 7 });
const range = fc.tuple(port, port).map(([a, b]): [number, number] => [Math.min(a, b), Math.max(a, b)]);
const list = fc
  .array(
    fc.record({
      verdict: fc.constantFrom("accept" as const, "deny" as const),
      // Networks in one another, beside one another, and halves of one.
      at: fc.integer({ min: 0, max: 15 }),
      length: fc.integer({ min: 28, max: 32 }),
      ports: fc.option(range, { nil: undefined }),
    }),
    { maxLength: 12 },
  )
  .map((rules) => rules.map((r) => entry(r.verdict, `${network(r.at, r.length)}/${r.length}`, r.ports)));
const network = (at: number, length: number): string => `10.0.0.${at & ~(2 ** (32 - length) - 1)}`;
const isIn = (ip: string, cidr: string): boolean => prefixOf(cidr).contains(prefixOf(`${ip}/32`));

/** What the first entry that fits says. */
function isAccepted(entries: readonly Run[], peer: string, at: number): boolean {
  const first = entries.find(
    ({ networks, ports }) =>
      isIn(peer, networks.prefixes[0]?.text ?? "") && (!ports || (at >= ports.first && at <= ports.last)),
  );
  return first?.verdict === "accept";
}

/** As the classifier's tables do: the rules of the closest network, in the order of their kinds. */
function isPassed(rules: readonly string[] | undefined, peer: string, to: number, from: number, isInit: boolean) {
  if (!rules) return true;
  const parsed = rules.map(parseSctpRule).filter((rule) => isIn(peer, rule.peer));
  const closest = Math.max(...parsed.map((rule) => prefixOf(rule.peer).length));
  const same = parsed.filter((rule) => prefixOf(rule.peer).length === closest);
  const has = (kind: SctpRule["kind"], at?: number) =>
    same.some(
      (rule) => rule.kind === kind && (at === undefined || at >> (16 - rule.bits) === rule.port >> (16 - rule.bits)),
    );
  return has("begun", to) || (!(isInit && has("init")) && has("answers", from));
}

it("rules say of every packet what the lists say", () => {
  fc.assert(
    fc.property(list, list, fc.integer({ min: 0, max: 17 }), port, port, fc.boolean(), (begun, answers, ...packet) => {
      const [at, to, from, isInit] = packet;
      const peer = `10.0.0.${at}`;
      const lists = { begun: [...begun, ...closed], answers: [...answers, ...closed] };
      const isAllowed = isAccepted(lists.begun, peer, to) || (!isInit && isAccepted(lists.answers, peer, from));
      expect(isPassed(sctpRules(4, lists), peer, to, from, isInit)).toBe(isAllowed);
    }),
    { numRuns: 3000 },
  );
});
