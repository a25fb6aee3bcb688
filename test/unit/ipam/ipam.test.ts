import { beforeEach, describe, expect, it } from "vitest";
import { seconds } from "../../../src/base/clock/clock.ts";
import { ManualClock } from "../../../src/base/clock/manual-clock.ts";
import { familyOf, low32, parseIp } from "../../../src/base/ip/address.ts";
import { parseCidr } from "../../../src/base/ip/cidr.ts";
import { type Allocation, IpamError, type IpamErrorCode } from "../../../src/ipam/api.ts";
import { Ipam, type IpamOptions } from "../../../src/ipam/ipam.ts";

let clock: ManualClock;
beforeEach(() => {
  clock = new ManualClock();
});

const make = (subnets: string[], more: Partial<IpamOptions> = {}): Ipam =>
  new Ipam({ nodeName: "n1", nodeId: 7, subnets: subnets.map(parseCidr), clock, quarantine: seconds(60), ...more });

const ipsOf = (a: Allocation | undefined): string[] => (a?.ips ?? []).map((ip) => ip.address);
const allocate = (ipam: Ipam, owner: string, ...requested: string[]): string[] =>
  ipsOf(ipam.allocate(owner, { requested: requested.map(parseIp) }));

function errorOf(body: () => unknown): IpamError {
  try {
    body();
  } catch (e) {
    if (e instanceof IpamError) return e;
    throw e;
  }
  throw new Error("nothing was thrown");
}

/** Code and message of the refusal that `body` meets. */
function refusal(body: () => unknown): [code: IpamErrorCode, message: string] {
  const { code, message } = errorOf(body);
  return [code, message];
}

const saying = (part: string): unknown => expect.stringContaining(part);

describe("an allocation", () => {
  it("has one address per family, IPv4 first, whatever the order of the subnets", () => {
    for (const subnets of [
      ["10.1.2.0/24", "fd10:0:1:7::/64"],
      ["fd10:0:1:7::/64", "10.1.2.0/24"],
    ]) {
      expect(make(subnets).allocate("a").ips).toEqual([
        { address: "10.1.2.2", prefix: 24, gateway: "10.1.2.1", family: 4 },
        { address: "fd10:0:1:7::7:2", prefix: 64, gateway: "fd10:0:1:7::1", family: 6 },
      ]);
    }
  });

  it("has the one family that there is", () => {
    expect(allocate(make(["10.1.2.0/24"]), "a")).toEqual(["10.1.2.2"]);
    expect(allocate(make(["fd10::/64"]), "a")).toEqual(["fd10::7:2"]);
  });

  it("is the same when its owner asks again", () => {
    const ipam = make(["10.1.2.0/24"]);
    expect(ipam.allocate("a")).toBe(ipam.allocate("a"));
    expect(allocate(ipam, "a", "10.1.2.2")).toEqual(["10.1.2.2"]);
    expect(refusal(() => allocate(ipam, "a", "10.1.2.9"))).toEqual([
      "CONFLICT",
      saying("a already has 10.1.2.2 and can't get 10.1.2.9"),
    ]);
  });

  it("is known by owner and by address until it is released", () => {
    const ipam = make(["10.1.2.0/24", "fd10::/64"]);
    ipam.allocate("a");
    expect(ipam.ownerOf(parseIp("fd10::7:2"))).toBe("a");
    expect([ipam.owns(parseIp("10.1.2.2")), ipam.owns(parseIp("10.1.2.3"))]).toEqual([true, false]);
    expect(ipam.release("a").map((ip) => ip.address)).toEqual(["10.1.2.2", "fd10::7:2"]);
    expect(ipam.release("a")).toEqual([]);
    expect([ipam.get("a"), ipam.ownerOf(parseIp("10.1.2.2"))]).toEqual([undefined, undefined]);
  });

  it("takes no address of one family when the other has none", () => {
    const ipam = make(["10.1.2.0/24", "fd10::/126"]);
    allocate(ipam, "a");
    allocate(ipam, "b");
    expect(refusal(() => ipam.allocate("c"))).toEqual(["EXHAUSTED", saying("fd10::/126")]);
    expect(ipam.usage().map((u) => u.used)).toEqual([2, 2]);
    expect(ipam.get("c")).toBeUndefined();
    ipam.release("a");
    expect(allocate(ipam, "c")[0]).toBe("10.1.2.4"); // the failed attempt did not move IPv4's cursor
  });
});

describe("a subnet's edges", () => {
  it.each([
    ["10.1.2.0/29", "10.1.2.1", ["10.1.2.2", "10.1.2.3", "10.1.2.4", "10.1.2.5", "10.1.2.6"]],
    ["10.1.2.0/30", "10.1.2.1", ["10.1.2.2"]],
    ["10.1.2.0/31", "10.1.2.0", ["10.1.2.1"]], // RFC 3021
    ["10.1.2.254/31", "10.1.2.254", ["10.1.2.255"]],
    ["fd10::/126", "fd10::1", ["fd10::2", "fd10::3"]], // IPv6 has no broadcast address
    ["fd10::8/127", "fd10::8", ["fd10::9"]], // RFC 6164
  ])("of %s: gateway %s, then %j", (subnet, gateway, pods) => {
    const ipam = make([subnet]);
    const got = pods.map((_, i) => ipam.allocate(`pod${i}`).ips[0]);
    expect(got.map((ip) => ip?.address)).toEqual(pods);
    expect(got[0]?.gateway).toBe(gateway);
    expect(refusal(() => ipam.allocate("one too many"))).toEqual([
      "EXHAUSTED",
      saying(`all ${pods.length} addresses are in use`),
    ]);
  });

  it.each(["10.1.2.3/32", "fd10::1/128"])("is refused when there is no room for a gateway: %s", (subnet) => {
    expect(refusal(() => make([subnet]))).toEqual([
      "BAD_SUBNET",
      saying(`pod subnet ${subnet} (node n1) has one address only`),
    ]);
  });

  it("is refused when it lies in another subnet, and so is none at all", () => {
    expect(refusal(() => make(["10.0.0.0/8", "10.1.2.0/24"]))).toEqual([
      "BAD_SUBNET",
      saying("10.0.0.0/8 and 10.1.2.0/24 (node n1) overlap"),
    ]);
    expect(refusal(() => make([]))).toEqual(["BAD_SUBNET", saying("node n1 has no pod subnet")]);
  });

  it("takes an address in the network for the network", () => {
    expect(allocate(make(["10.1.2.77/24"]), "a")).toEqual(["10.1.2.2"]);
  });
});

describe("exhaustion", () => {
  it("names pool, node and number, and ends with the first release", () => {
    const ipam = make(["10.1.2.0/24"]);
    for (let i = 0; i < 253; i++) ipam.allocate(`pod${i}`);
    const error = errorOf(() => ipam.allocate("one too many"));
    expect(error.message).toMatch(/^pool 10\.1\.2\.0\/24 \(node n1\): all 253 addresses are in use; /);
    expect(error.pools).toEqual(["10.1.2.0/24"]);
    ipam.release("pod100");
    expect(allocate(ipam, "next")).toEqual(["10.1.2.102"]);
  });

  it("comes only when all subnets of the family are full", () => {
    const ipam = make(["10.1.2.0/30", "10.9.9.0/30"]);
    expect([...allocate(ipam, "a"), ...allocate(ipam, "b")]).toEqual(["10.1.2.2", "10.9.9.2"]);
    expect(refusal(() => ipam.allocate("c"))).toEqual([
      "EXHAUSTED",
      saying("pools 10.1.2.0/30, 10.9.9.0/30 (node n1): all 2 addresses"),
    ]);
  });

  it("of a /16 and a /64 comes after every address was given once; then what is freed is given", () => {
    const ipam = make(["10.1.0.0/16", "fd10::/64"]);
    const seen = new Set<string>();
    for (let i = 0; i < 65_533; i++) for (const ip of ipsOf(ipam.allocate(`pod${i}`))) seen.add(ip);
    expect(seen.size).toBe(2 * 65_533);
    for (let i = 0; i < 1000; i++) {
      ipam.release(`pod${i * 65}`);
      expect(allocate(ipam, `new${i}`)[0]).toBe(`10.1.${(i * 65 + 2) >> 8}.${(i * 65 + 2) & 255}`);
    }
  });
});

describe("reuse", () => {
  it("goes round instead of giving out what was just released", () => {
    const ipam = make(["10.1.2.0/29"]);
    const got: string[] = [];
    for (let i = 0; i < 5; i++) {
      got.push(...allocate(ipam, "a"));
      ipam.release("a");
      clock.advance(seconds(600));
    }
    expect(got).toEqual(["10.1.2.2", "10.1.2.3", "10.1.2.4", "10.1.2.5", "10.1.2.6"]);
    expect(allocate(ipam, "a")).toEqual(["10.1.2.2"]);
  });

  it("waits for the quarantine to end while other addresses are left", () => {
    const ipam = make(["10.1.2.0/29"]);
    for (const owner of ["a", "b", "c", "d"]) ipam.allocate(owner); // .2 to .5
    ipam.release("a");
    clock.advance(seconds(59));
    expect(allocate(ipam, "e")).toEqual(["10.1.2.6"]);
    ipam.release("e");
    clock.advance(seconds(1)); // only .2 has rested for 60 s
    expect(ipam.usage()[0]).toMatchObject({ used: 3, free: 2, quarantined: 1 });
    expect(allocate(ipam, "f")).toEqual(["10.1.2.2"]);
  });

  it("takes the address that has rested for longest when nothing else is left", () => {
    const ipam = make(["10.1.2.0/29", "10.9.9.0/30"]);
    for (const owner of ["a", "b", "c", "d", "e", "f"]) ipam.allocate(owner);
    for (const owner of ["f", "c", "a"]) {
      ipam.release(owner);
      clock.advance(seconds(1));
    }
    expect(["x", "y", "z"].flatMap((owner) => allocate(ipam, owner))).toEqual(["10.9.9.2", "10.1.2.4", "10.1.2.2"]);
  });

  it("counts the rest from the latest release", () => {
    const ipam = make(["10.1.2.0/30", "10.9.9.0/30"]);
    for (const owner of ["a", "b"]) ipam.allocate(owner);
    ipam.release("a");
    clock.advance(seconds(1));
    ipam.release("b");
    allocate(ipam, "a", "10.1.2.2");
    clock.advance(seconds(1));
    ipam.release("a");
    clock.advance(seconds(59)); // 10.9.9.2 has rested for 60 s
    expect(ipam.usage().map((u) => u.quarantined)).toEqual([1, 0]);
    expect(["x", "y"].flatMap((owner) => allocate(ipam, owner))).toEqual(["10.9.9.2", "10.1.2.2"]);
  });

  it("takes what was released first also after one of them was asked for", () => {
    const ipam = make(["10.1.2.0/29"]);
    for (const owner of ["a", "b", "c", "d", "e"]) ipam.allocate(owner);
    for (const owner of ["a", "b"]) {
      ipam.release(owner);
      clock.advance(seconds(1));
    }
    allocate(ipam, "a", "10.1.2.2");
    ipam.release("a");
    expect(["x", "y"].flatMap((owner) => allocate(ipam, owner))).toEqual(["10.1.2.3", "10.1.2.2"]);
  });

  it("is not forgotten in a restart", () => {
    const before = make(["10.1.2.0/29", "fd10::/64"]);
    for (const owner of ["a", "b", "c"]) before.allocate(owner); // .2 to .4
    before.release("b");
    clock.advance(seconds(30));
    const after = make(["10.1.2.0/29", "fd10::/64"], { state: before.state() });
    after.adopt("a", ["10.1.2.2", "fd10::7:2"].map(parseIp));
    after.adopt("c", ["10.1.2.4", "fd10::7:4"].map(parseIp));
    expect(allocate(after, "d")).toEqual(["10.1.2.5", "fd10::7:5"]);
    expect(allocate(after, "e")).toEqual(["10.1.2.6", "fd10::7:6"]);
    expect(after.usage()[0]).toMatchObject({ used: 4, free: 1, quarantined: 1 });
    expect(allocate(after, "f")).toEqual(["10.1.2.3", "fd10::7:7"]); // IPv4 has no other left, IPv6 has
  });

  it("is not put off for ever by a clock that was set back", () => {
    const before = make(["10.1.2.0/29"]);
    before.allocate("a");
    clock.advance(seconds(86_400));
    before.release("a");
    clock = new ManualClock();
    const after = make(["10.1.2.0/29"], { state: before.state() });
    clock.advance(seconds(60));
    expect(after.usage()[0]?.quarantined).toBe(0);
  });
});

describe("a requested address", () => {
  it("is given if it is free, and the other family's is chosen as usual", () => {
    const ipam = make(["10.1.2.0/24", "fd10::/64"]);
    expect(allocate(ipam, "a", "10.1.2.200")).toEqual(["10.1.2.200", "fd10::7:2"]);
    expect(allocate(ipam, "b", "fd10::7:ff", "10.1.2.254")).toEqual(["10.1.2.254", "fd10::7:ff"]);
    expect(allocate(ipam, "c")).toEqual(["10.1.2.2", "fd10::7:3"]); // requests don't move the cursor
  });

  it("may be one in quarantine, which then counts as used", () => {
    const ipam = make(["10.1.2.0/24"]);
    ipam.allocate("a");
    ipam.release("a");
    expect(allocate(ipam, "b", "10.1.2.2")).toEqual(["10.1.2.2"]);
    clock.advance(seconds(3600));
    expect(ipam.usage()[0]).toMatchObject({ used: 1, quarantined: 0 });
    expect(refusal(() => allocate(ipam, "c", "10.1.2.2"))).toEqual(["IN_USE", saying("in use by b")]);
  });

  it.each<[IpamErrorCode, string, string[]]>([
    [
      "RESERVED",
      "10.1.2.0 of pool 10.1.2.0/24 (node n1) can't be given to a pod: it is the network address",
      ["10.1.2.0"],
    ],
    ["RESERVED", "it is the gateway", ["10.1.2.1"]],
    ["RESERVED", "it is the broadcast address", ["10.1.2.255"]],
    ["RESERVED", "it is the gateway", ["fd10::1"]],
    ["NOT_IN_POOL", "this node gives out fd10::7:0 to fd10::7:ffff only", ["fd10::8:2"]],
    ["NOT_IN_POOL", "this node gives out fd10::7:0 to fd10::7:ffff only", ["fd10::1:0:7:2"]],
    ["NOT_IN_POOL", "this node gives out", ["fd10::"]],
    [
      "NOT_IN_POOL",
      "10.1.3.1 is in none of this node's pod subnets: pools 10.1.2.0/24, fd10::/64 (node n1)",
      ["10.1.3.1"],
    ],
    ["IN_USE", "10.1.2.2 of pool 10.1.2.0/24 (node n1) is in use by a", ["10.1.2.2"]],
    ["BAD_REQUEST", "a pod has one IPv4 address; 10.1.2.8 and 10.1.2.9 were asked for", ["10.1.2.8", "10.1.2.9"]],
  ])("is refused with %s: %s", (code, message, requested) => {
    const ipam = make(["10.1.2.0/24", "fd10::/64"]);
    ipam.allocate("a");
    expect(refusal(() => allocate(ipam, "b", ...requested))).toEqual([code, saying(message)]);
    expect(ipam.get("b")).toBeUndefined();
    expect(allocate(ipam, "b")).toEqual(["10.1.2.3", "fd10::7:3"]);
  });

  it("of a subnet-router anycast address is refused", () => {
    expect(refusal(() => allocate(make(["fd10::/120"]), "a", "fd10::"))).toEqual([
      "RESERVED",
      saying("subnet-router anycast"),
    ]);
  });
});

describe("the last 32 bits of IPv6 addresses", () => {
  it("are node ID and slot in subnets of /96 or wider", () => {
    for (const [subnet, address] of [
      ["fd10::/48", "fd10::abcd:2"],
      ["fd10:0:1:7::/64", "fd10:0:1:7::abcd:2"],
      ["fd10::5:0:0/96", "fd10::5:abcd:2"],
    ] as const) {
      expect(allocate(make([subnet], { nodeId: 0xabcd }), "a")).toEqual([address]);
    }
    expect(allocate(make(["fd10::5:0/112"], { nodeId: 0xabcd }), "a")).toEqual(["fd10::5:2"]);
  });

  it("are not shared by two pods, whichever of the node's subnets they are in", () => {
    const ipam = make(["fd10::/64", "fd20::/64"]);
    const got = [...allocate(ipam, "a"), ...allocate(ipam, "b", "fd20::7:4"), ...allocate(ipam, "c")];
    expect(refusal(() => allocate(ipam, "d", "fd20::7:2"))).toEqual([
      "IN_USE",
      saying("fd20::7:2 of pool fd20::/64 (node n1): its last 32 bits are in use"),
    ]);
    got.push(...allocate(ipam, "d"));
    expect(got).toEqual(["fd10::7:2", "fd20::7:4", "fd10::7:3", "fd10::7:5"]);
    expect(new Set(got.map((ip) => low32(parseIp(ip)))).size).toBe(got.length);
    expect(ipam.usage()).toMatchObject([
      { pool: "fd10::/64", used: 3, capacity: 65_535 },
      { pool: "fd20::/64", used: 1, capacity: 65_533 },
    ]);
  });

  it.each([0, -1, 65_536, 1.5])("need a node ID of 16 bits; %d is refused", (nodeId) => {
    expect(refusal(() => make(["fd10::/64"], { nodeId }))).toEqual([
      "BAD_SUBNET",
      saying(`node ID ${nodeId} (node n1) is not between 1 and 65535`),
    ]);
    expect(allocate(make(["10.1.2.0/24", "fd10::/112"], { nodeId }), "a")).toHaveLength(2);
  });
});

describe("after a restart", () => {
  it("an owner keeps what it adopts, and nobody else gets it", () => {
    const ipam = make(["10.1.2.0/24", "fd10::/64"]);
    expect(ipam.adopt("a", ["fd10::7:3", "10.1.2.2"].map(parseIp))).toEqual([]);
    expect(ipam.adopt("a", ["10.1.2.2", "fd10::7:3"].map(parseIp))).toEqual([]);
    expect(allocate(ipam, "a")).toEqual(["10.1.2.2", "fd10::7:3"]);
    expect(allocate(ipam, "b")).toEqual(["10.1.2.3", "fd10::7:2"]);
    expect(refusal(() => ipam.adopt("a", [parseIp("10.1.2.2")]))).toEqual(["CONFLICT", saying("a already has")]);
    expect(refusal(() => ipam.adopt("c", ["10.1.2.9", "10.1.2.2"].map(parseIp)))).toEqual([
      "IN_USE",
      saying("10.1.2.2 of c is also held by a"),
    ]);
    expect(ipam.owns(parseIp("10.1.2.9"))).toBe(false);
  });

  it("addresses of subnets that the node no longer has stay their owner's", () => {
    const ipam = make(["10.1.2.0/24"]);
    expect(ipam.adopt("a", ["10.9.9.9", "10.1.2.1", "fd10::5"].map(parseIp))).toEqual([
      "10.1.2.1",
      "10.9.9.9",
      "fd10::5",
    ]);
    expect(ipam.allocate("a").ips.map((ip) => ip.prefix)).toEqual([32, 32, 128]);
    expect(ipam.ownerOf(parseIp("10.9.9.9"))).toBe("a");
    expect(ipam.usage()[0]).toMatchObject({ used: 0, capacity: 253 });
    expect(ipam.release("a").map((ip) => familyOf(ip.address))).toEqual([4, 4, 6]);
    expect(ipam.takeChanges()).toEqual([]);
    expect(ipam.usage()[0]).toMatchObject({ used: 0, capacity: 253, quarantined: 0 });
  });

  it("what belongs to no living sandbox is released and named", () => {
    const ipam = make(["10.1.2.0/24"]);
    for (const owner of ["a", "b", "c"]) ipam.allocate(owner);
    expect(ipam.reconcile(["b", "unknown"])).toEqual([
      { owner: "a", ips: [expect.objectContaining({ address: "10.1.2.2" })] },
      { owner: "c", ips: [expect.objectContaining({ address: "10.1.2.4" })] },
    ]);
    expect([...ipam.allocations()].map((a) => a.owner)).toEqual(["b"]);
    expect(ipam.reconcile(["b"])).toEqual([]);
  });
});

describe("what is remembered", () => {
  it("is told once, in as few records as changed", () => {
    const ipam = make(["10.1.2.0/24", "fd10::/64"]);
    ipam.allocate("a");
    expect(ipam.takeChanges()).toEqual([
      ["ipam/cursor/10.1.2.0/24", "3"],
      ["ipam/cursor/fd10::/64", "3"],
    ]);
    expect(ipam.takeChanges()).toEqual([]);
    ipam.release("a");
    const now = String(clock.wall());
    expect(ipam.takeChanges()).toEqual([
      ["ipam/released/10.1.2.2", now],
      ["ipam/released/fd10::7:2", now],
    ]);
    clock.advance(seconds(60));
    ipam.allocate("b");
    expect(ipam.takeChanges()).toContainEqual(["ipam/released/10.1.2.2", undefined]);
  });

  it("is dropped by name when it is damaged or of a subnet that the node no longer has", () => {
    const state: [string, string][] = [
      ["ipam/cursor/10.1.2.0/24", "9"],
      ["ipam/cursor/10.3.3.0/24", "9"],
      ["ipam/cursor/fd10::/64", "99999999"],
      ["ipam/released/10.1.2.1", "5"],
      ["ipam/released/10.3.3.3", "5"],
      ["ipam/released/nonsense", "5"],
      ["ipam/released/10.1.2.4", "yesterday"],
      ["ipam/other", "5"],
    ];
    const ipam = make(["10.1.2.0/24", "fd10::/64"], { state });
    expect(ipam.problems).toEqual([
      "local database, ipam/released/nonsense: unknown record",
      'local database, ipam/released/10.1.2.4: "yesterday" is not a number',
      "local database, ipam/other: unknown record",
    ]);
    expect(new Set(ipam.takeChanges())).toEqual(new Set(state.slice(1).map(([key]) => [key, undefined])));
    expect(allocate(ipam, "a")).toEqual(["10.1.2.9", "fd10::7:2"]);
  });
});
