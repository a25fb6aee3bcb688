import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cidrsOverlap, formatCidr } from "../../../src/base/ip/cidr.ts";
import {
  type ConfigProblem,
  nodeIdLimit,
  type PoolConfig,
  PoolConfigError,
  parsePodCIDRs,
  parsePools,
  podSubnets,
  suffixClashes,
} from "../../../src/nodes/subnets.ts";

/** `10.244.0.0/16 24`: pool and node prefix. */
const config = (...pools: string[]): PoolConfig[] =>
  pools.map((p) => ({ cidr: p.split(" ")[0] ?? "", nodePrefix: Number(p.split(" ")[1]) }));
const subnetsOf = (pools: string[], nodeId: number): string[] =>
  podSubnets(parsePools(config(...pools)), nodeId).map(formatCidr);

function problemsOf(body: () => unknown): readonly ConfigProblem[] {
  try {
    body();
  } catch (e) {
    if (e instanceof PoolConfigError) return e.problems;
    throw e;
  }
  return [];
}

describe("a node's subnets", () => {
  it.each([
    [["10.244.0.0/16 24", "fd10:244::/48 64"], 1, ["10.244.1.0/24", "fd10:244:0:1::/64"]],
    [["fd10:244::/48 64", "10.244.0.0/16 24"], 255, ["10.244.255.0/24", "fd10:244:0:ff::/64"]],
    [["10.244.0.0/16 24", "fd10:244::/48 64"], 256, ["10.244.0.0/24", "fd10:244:0:100::/64"]], // the pool's first, last
    [["10.0.0.0/8 20"], 4095, ["10.255.240.0/20"]],
    [["10.0.0.0/24 24"], 1, ["10.0.0.0/24"]], // a pool for one node
    [["10.0.0.0/23 24"], 1, ["10.0.1.0/24"]],
    [["10.0.0.0/23 24"], 2, ["10.0.0.0/24"]],
    [["10.0.0.0/28 31"], 7, ["10.0.0.14/31"]],
    [["fd10::/32 64"], 65_535, ["fd10:0:0:ffff::/64"]],
    [["fd10::/108 120"], 9, ["fd10::900/120"]],
    [["10.1.0.0/23 24", "10.9.0.0/16 24"], 2, ["10.1.0.0/24"]],
    [["10.1.0.0/23 24", "10.9.0.0/16 24"], 3, ["10.9.1.0/24"]], // the second pool begins where the first ends
    [["10.1.0.0/23 24", "10.9.0.0/16 25"], 514, ["10.9.0.0/25"]],
  ])("of %j, node %i: %j", (pools, nodeId, expected) => {
    expect(subnetsOf(pools, nodeId)).toEqual(expected);
  });

  it("are disjoint for all IDs, and use up the pools", () => {
    const pool = fc.record({ bits: fc.integer({ min: 0, max: 5 }), prefix: fc.integer({ min: 16, max: 22 }) });
    fc.assert(
      fc.property(fc.array(pool, { minLength: 1, maxLength: 3 }), (shapes) => {
        const pools = parsePools(
          shapes.map(({ bits, prefix }, i) => ({ cidr: `${10 + i}.0.0.0/${prefix}`, nodePrefix: prefix + bits })),
        );
        const { maxId } = nodeIdLimit(pools);
        expect(maxId).toBe(shapes.reduce((sum, { bits }) => sum + 2 ** bits, 0));
        const all = Array.from({ length: maxId }, (_, i) => podSubnets(pools, i + 1)).flat();
        expect(all).toHaveLength(maxId);
        for (const [i, a] of all.entries()) for (const b of all.slice(i + 1)) expect(cidrsOverlap(a, b)).toBe(false);
      }),
      { numRuns: 30 },
    );
  });

  it("keep their place when a pool is added at the end", () => {
    const before = subnetsOf(["10.1.0.0/23 24", "fd10::/48 64"], 2);
    expect(subnetsOf(["10.1.0.0/23 24", "fd10::/48 64", "10.7.0.0/16 24", "fd11::/48 64"], 2)).toEqual(before);
  });

  it.each([0, -1, 1.5, 257])("don't exist for ID %d, and the pool is named", (nodeId) => {
    expect(problemsOf(() => subnetsOf(["fd10:244::/48 64", "10.244.0.0/16 24"], nodeId))).toEqual([
      {
        path: "network.pools[1]",
        message: `no pod subnet for node ID ${nodeId}: network.pools[1] (10.244.0.0/16, a /24 per node) allows IDs 1 to 256`,
      },
    ]);
  });
});

describe("the number of nodes", () => {
  it.each([
    [["10.244.0.0/16 24", "fd10::/48 64"], 256, "network.pools[0] (10.244.0.0/16, a /24 per node)"],
    [["10.0.0.0/8 24", "fd10::/62 64"], 4, "network.pools[1] (fd10::/62, a /64 per node)"],
    [
      ["10.0.0.0/23 24", "10.1.0.0/24 24"],
      3,
      "network.pools[0] (10.0.0.0/23, a /24 per node) + network.pools[1] (10.1.0.0/24, a /24 per node)",
    ],
    [["fd10::/32 64"], 65_535, "network.pools[0] (fd10::/32, a /64 per node), 16 bits of node ID in IPv6 addresses"],
    [["10.0.0.0/8 30"], 4_194_304, "network.pools[0] (10.0.0.0/8, a /30 per node)"],
  ])("that %j allow is %i", (pools, maxId, limitedBy) => {
    expect(nodeIdLimit(parsePools(config(...pools)))).toEqual({ maxId, limitedBy });
  });
});

describe("pools", () => {
  it.each<[string[], ConfigProblem[]]>([
    [
      ["10.244.1.0/16 24"],
      [
        {
          path: "network.pools[0].cidr",
          message: "10.244.1.0/16 has address bits behind the prefix set; 10.244.0.0/16 was meant?",
        },
      ],
    ],
    [
      ["10.244.0.0/24 16"],
      [{ path: "network.pools[0].nodePrefix", message: "pool 10.244.0.0/24 is too small for a /16 per node" }],
    ],
    [
      ["10.0.0.0/16 24", "10.0.128.0/17 24"],
      [{ path: "network.pools[1].cidr", message: "10.0.128.0/17 overlaps network.pools[0].cidr (10.0.0.0/16)" }],
    ],
    [
      ["fd10::/48 64", "fd10::/48 64"],
      [{ path: "network.pools[1].cidr", message: "fd10::/48 is given twice, first as network.pools[0].cidr" }],
    ],
    [
      ["10.0.0.0/16 32"],
      [{ path: "network.pools[0].nodePrefix", message: "32 is not between 8 and 31, as IPv4 needs" }],
    ],
    [["10.0.0.0/8 7"], [{ path: "network.pools[0].nodePrefix", message: "7 is not between 8 and 31, as IPv4 needs" }]],
    [
      ["fd10::/48 128"],
      [{ path: "network.pools[0].nodePrefix", message: "128 is not between 16 and 127, as IPv6 needs" }],
    ],
    [
      ["10.0.0.0/16 24.5"],
      [{ path: "network.pools[0].nodePrefix", message: "24.5 is not between 8 and 31, as IPv4 needs" }],
    ],
    [
      ["169.254.0.0/16 24"],
      [
        {
          path: "network.pools[0].cidr",
          message: "169.254.0.0/16 is a special range (loopback, link-local, multicast or unspecified)",
        },
      ],
    ],
    [
      ["10.0.0.0 24"],
      [{ path: "network.pools[0].cidr", message: '"10.0.0.0" is not an address/prefix; the prefix length is missing' }],
    ],
    [[], [{ path: "network.pools", message: "no pool is given" }]],
  ])("%j are refused by their place", (pools, problems) => {
    expect(problemsOf(() => parsePools(config(...pools)))).toEqual(problems);
  });

  it("are refused for all their faults at once", () => {
    const problems = problemsOf(() =>
      parsePools(config("10.0.0.0/16 99", "nonsense 24", "10.0.0.0/24 16", "ff00::/8 64"), "x.pools"),
    );
    expect(problems.map((p) => p.path)).toEqual([
      "x.pools[0].nodePrefix",
      "x.pools[1].cidr",
      "x.pools[2].nodePrefix",
      "x.pools[3].cidr",
    ]);
    expect(new PoolConfigError(problems).message.split("\n")).toHaveLength(4);
  });
});

describe("given podCIDRs", () => {
  it("are taken as they are, several of a family too", () => {
    const given = ["fd10:0:1:7::/64", "10.1.2.0/24", "10.9.0.0/31"];
    expect(parsePodCIDRs(given).map(formatCidr)).toEqual(given);
  });

  it.each<[string[], ConfigProblem[]]>([
    [
      ["10.1.2.0/24", "10.1.2.128/25"],
      [{ path: "network.podCIDRs[1]", message: "10.1.2.128/25 overlaps network.podCIDRs[0] (10.1.2.0/24)" }],
    ],
    [
      ["10.1.2.3/32"],
      [{ path: "network.podCIDRs[0]", message: "10.1.2.3/32 is one address; gateway and pods need at least two" }],
    ],
    [
      ["fd10::1/64"],
      [
        {
          path: "network.podCIDRs[0]",
          message: "fd10::1/64 has address bits behind the prefix set; fd10::/64 was meant?",
        },
      ],
    ],
    [[], [{ path: "network.podCIDRs", message: "no subnet is given" }]],
  ])("%j are refused by their place", (given, problems) => {
    expect(problemsOf(() => parsePodCIDRs(given))).toEqual(problems);
  });
});

describe("the last 32 bits of IPv6 addresses", () => {
  it.each<[string[], number]>([
    [["10.0.0.0/8 24", "10.0.0.0/8 24"].slice(1), 0],
    [["fd10::/48 64", "fd11::/48 64"], 0],
    [["fd10::/48 64", "fd11::/80 96"], 0],
    [["fd10::/108 112"], 0],
    [["fd10::/108 112", "fd11::/108 112"], 1], // both number their pods from 0
    [["fd10::/108 112", "fd11::10:0/108 112"], 0], // other positions
    [["fd10::/64 112"], 1], // 2^48 nodes, 16 bits to tell them apart
    [["fd10::/108 112", "fd11::/48 64"], 1],
  ])("of %j: %i warnings", (pools, warnings) => {
    expect(suffixClashes(parsePools(config(...pools)))).toHaveLength(warnings);
  });
});
