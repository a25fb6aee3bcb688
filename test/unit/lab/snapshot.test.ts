import { describe, expect, it } from "vitest";
import { differences, formatDifference, nftThings, routeText, type Snapshot } from "../../../src/lab/demo/snapshot.ts";

const snapshot = (things: Record<string, string[]>): Snapshot =>
  new Map(Object.entries(things).map(([k, v]) => [k, new Set(v)]));

describe("differences between two looks", () => {
  it("name what is left and what is gone, in order", () => {
    const before = snapshot({ link: ["lo", "eth0"], route: ["default"] });
    const after = snapshot({ link: ["lo", "hd1"], nft: ["table inet x"], route: ["default"] });
    expect(differences("n1", before, after).map(formatDifference)).toEqual([
      "n1: link hd1 is left behind",
      "n1: link eth0 is gone",
      "n1: nft table inet x is left behind",
    ]);
  });

  it("are none between equal looks", () => {
    const look = snapshot({ link: ["lo"] });
    expect(differences("n1", look, snapshot({ link: ["lo"] }))).toEqual([]);
  });
});

describe("routes as text", () => {
  // ip -j route show table all (iproute2 6.1)
  it.each([
    [{ dst: "10.244.1.2", dev: "hd1", scope: "link", flags: [] }, "10.244.1.2 dev hd1"],
    [{ dst: "default", gateway: "192.168.77.254", dev: "eth0", flags: [] }, "default via 192.168.77.254 dev eth0"],
    [
      { dst: "fe80::1", dev: "hd1", metric: 0, expires: 12, table: "local", type: "anycast" },
      "anycast fe80::1 dev hd1 table local metric 0",
    ],
    [
      {
        dst: "10.0.0.0/8",
        nexthops: [
          { gateway: "1.1.1.1", dev: "a" },
          { via: { family: "inet6", host: "fe80::1" }, dev: "b" },
        ],
      },
      "10.0.0.0/8 nexthop via 1.1.1.1 dev a nexthop via fe80::1 dev b",
    ],
  ])("%j", (route, text) => expect(routeText(route)).toBe(text));
});

// nft -j list ruleset (nftables 1.0.6)
const ruleset = (packets: number, handle: number, elements: unknown[]) => ({
  nftables: [
    { metainfo: { version: "1.0.6" } },
    { table: { family: "inet", name: "heddle", handle } },
    { set: { family: "inet", name: "pods", table: "heddle", type: "ipv4_addr", handle, elem: elements } },
    {
      rule: {
        family: "inet",
        table: "heddle",
        chain: "post",
        handle,
        expr: [{ counter: { packets, bytes: 1 } }, { masquerade: null }],
      },
    },
  ],
});

describe("nft things", () => {
  it("are the same whatever counters and handles say", () => {
    expect(nftThings(ruleset(9, 4, []))).toEqual(nftThings(ruleset(0, 2, [])));
  });

  it("have every element on its own", () => {
    const more = nftThings(ruleset(0, 1, ["10.244.1.2", { concat: ["10.244.1.3", 80] }]));
    const fewer = new Set(nftThings(ruleset(0, 1, ["10.244.1.2"])));
    expect(more.filter((t) => !fewer.has(t))).toEqual(['set inet heddle pods element {"concat":["10.244.1.3",80]}']);
  });
});
