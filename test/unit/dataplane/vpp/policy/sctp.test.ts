import { expect, it } from "vitest";
import { type Entry, prefixOf } from "../../../../../src/dataplane/vpp/policy/boxes.ts";
import { blocksOf, sctpRules } from "../../../../../src/dataplane/vpp/policy/sctp.ts";

const entry = (verdict: Entry["verdict"], cidr: string, ports?: readonly [number, number]): Entry => ({
  verdict,
  box: {
    prefix: prefixOf(cidr),
    ...(ports && { ports: { protocol: "SCTP", first: ports[0], last: ports[1] } }),
  },
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
