import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bigintToIp, ipToBigint, parseIp } from "../../../../src/base/ip/address.ts";
import {
  addressIndex,
  type Cidr,
  cidr,
  cidrContains,
  cidrContainsCidr,
  cidrSize,
  cidrsOverlap,
  compareCidr,
  formatCidr,
  hostCidr,
  lastAddress,
  networkOf,
  nthAddress,
  parseAddressOrCidr,
  parseCidr,
  parseNetwork,
  subnetAt,
  subnetCount,
  subnetIndex,
} from "../../../../src/base/ip/cidr.ts";
import { CidrMap } from "../../../../src/base/ip/cidr-map.ts";

/** Networks that often contain each other: few address bits set, all prefix lengths. */
const network: fc.Arbitrary<Cidr> = fc
  .record({
    family: fc.constantFrom(4 as const, 6 as const),
    value: fc.bigInt(0n, 15n),
    shift: fc.nat(31),
    length: fc.nat(128),
  })
  .map(({ family, value, shift, length }) => {
    const bits = family === 4 ? 32 : 128;
    const address = bigintToIp((value << BigInt(shift)) & ((1n << BigInt(bits)) - 1n), family);
    return networkOf(cidr(address, Math.min(length, bits)));
  });

/** First and last address as numbers: what everything is compared with. */
const span = (c: Cidr): [bigint, bigint] => [ipToBigint(c.address), ipToBigint(c.address) + cidrSize(c) - 1n];

describe("parsing", () => {
  it("keeps an interface's address and canonicalises it", () => {
    expect(parseCidr("FD10::0:7/64")).toEqual({ address: "fd10::7", prefix: 64, family: 6 });
    expect(parseCidr("10.1.2.3/24")).toEqual({ address: "10.1.2.3", prefix: 24, family: 4 });
    expect(formatCidr(parseCidr("0.0.0.0/0"))).toBe("0.0.0.0/0");
  });

  it.each([
    ["10.0.0.0", "the prefix length is missing"],
    ["10.0.0.0/33", "not between 0 and 32"],
    ["fd00::/129", "not between 0 and 128"],
    ["10.0.0.0/", "not an address/prefix"],
    ["10.0.0.0/08", "not an address/prefix"],
    ["10.0.0.0/-1", "not an address/prefix"],
    ["10.0.0/24", "not an address/prefix"],
    ["/24", "not an address/prefix"],
    ["10.0.0.0/24/24", "not an address/prefix"],
    ["10.0.0.0/255.255.255.0", "not an address/prefix"],
  ])("refuses %s", (text, reason) => {
    expect(() => parseCidr(text)).toThrow(reason);
    expect(() => parseCidr(text)).toThrow(text);
  });

  it("refuses a network with host bits and says which was meant", () => {
    expect(() => parseNetwork("10.1.2.3/24")).toThrow("10.1.2.0/24 was meant");
    expect(() => parseNetwork("fd10::1/64")).toThrow("fd10::/64 was meant");
    expect(parseNetwork("10.1.2.0/24").address).toBe("10.1.2.0");
  });

  it("takes a bare address for /32 or /128", () => {
    expect(parseAddressOrCidr("10.0.0.1")).toEqual(hostCidr(parseIp("10.0.0.1")));
    expect(formatCidr(parseAddressOrCidr("fd10::1"))).toBe("fd10::1/128");
    expect(formatCidr(parseAddressOrCidr("fd10::1/64"))).toBe("fd10::1/64");
  });

  it("refuses prefix lengths that the family does not have", () => {
    for (const prefix of [-1, 33, 1.5, Number.NaN]) {
      expect(() => cidr(parseIp("10.0.0.0"), prefix)).toThrow("prefix length");
    }
  });
});

describe("containment", () => {
  it("is that of the ranges of numbers", () => {
    fc.assert(
      fc.property(network, network, (a, b) => {
        const [[a0, a1], [b0, b1]] = [span(a), span(b)];
        const sameFamily = a.family === b.family;
        expect(cidrsOverlap(a, b)).toBe(sameFamily && a0 <= b1 && b0 <= a1);
        expect(cidrContainsCidr(a, b)).toBe(sameFamily && a0 <= b0 && b1 <= a1);
        expect(cidrContains(a, b.address)).toBe(sameFamily && a0 <= b0 && b0 <= a1);
      }),
      { numRuns: 2000 },
    );
  });

  it("holds for everything in /0", () => {
    expect(cidrContains(parseCidr("0.0.0.0/0"), parseIp("255.0.0.1"))).toBe(true);
    expect(cidrContains(parseCidr("::/0"), parseIp("ffff::1"))).toBe(true);
    expect(cidrContains(parseCidr("::/0"), parseIp("10.0.0.1"))).toBe(false);
  });
});

describe("counting", () => {
  it("finds address number n and back", () => {
    fc.assert(
      fc.property(network, fc.bigInt(0n, 2n ** 40n), (c, any) => {
        const n = any % cidrSize(c);
        const ip = nthAddress(c, n);
        expect(ipToBigint(ip)).toBe(ipToBigint(c.address) + n);
        expect(nthAddress(c, Number(n))).toBe(ip);
        expect(addressIndex(c, ip)).toBe(n);
        expect(() => nthAddress(c, n + cidrSize(c))).toThrow("has no address number");
      }),
      { numRuns: 1000 },
    );
  });

  it("counts from the network, also if given an address in it", () => {
    expect(nthAddress(parseCidr("10.1.2.77/24"), 1)).toBe("10.1.2.1");
    expect(nthAddress(parseCidr("fd10::77/64"), 1)).toBe("fd10::1");
    expect(addressIndex(parseCidr("10.1.2.77/24"), parseIp("10.1.3.1"))).toBeUndefined();
  });

  it("knows the last address", () => {
    expect(lastAddress(parseCidr("10.1.2.0/24"))).toBe("10.1.2.255");
    expect(lastAddress(parseCidr("0.0.0.0/0"))).toBe("255.255.255.255");
    expect(lastAddress(parseCidr("fd10::/64"))).toBe("fd10::ffff:ffff:ffff:ffff");
  });

  it.each([-1, 0.5, 256, 2 ** 60])("refuses address number %d of a /24", (n) => {
    expect(() => nthAddress(parseCidr("10.1.2.0/24"), n)).toThrow("has no address number");
  });

  it("divides a network and finds a part's number", () => {
    const pool = parseNetwork("10.244.0.0/16");
    expect(subnetCount(pool, 24)).toBe(256n);
    expect(formatCidr(subnetAt(pool, 24, 7))).toBe("10.244.7.0/24");
    expect(formatCidr(subnetAt(parseNetwork("fd10:244::/48"), 64, 0xabcdn))).toBe("fd10:244:0:abcd::/64");
    expect(() => subnetAt(pool, 24, 256)).toThrow("10.244.0.0/16 has no /24 number 256");
    expect(() => subnetAt(pool, 8, 0)).toThrow("has no /8");
    expect(subnetIndex(pool, parseNetwork("10.245.0.0/24"))).toBeUndefined();
    expect(subnetIndex(pool, parseNetwork("10.0.0.0/8"))).toBeUndefined();
    fc.assert(
      fc.property(network, fc.nat(40), fc.bigInt(0n, 2n ** 40n), (c, more, index) => {
        const prefix = Math.min(c.prefix + more, c.family === 4 ? 32 : 128);
        const i = index % subnetCount(c, prefix);
        const part = subnetAt(c, prefix, i);
        expect(cidrContainsCidr(c, part)).toBe(true);
        expect(subnetIndex(c, part)).toBe(i);
      }),
    );
  });
});

it("sorts by first address, larger networks first", () => {
  const sorted = ["9.0.0.0/8", "10.0.0.0/8", "10.0.0.0/16", "10.1.0.0/16", "fd10::/48"].map(parseNetwork);
  expect(sorted.toReversed().sort(compareCidr)).toEqual(sorted);
});

describe("CidrMap", () => {
  it("finds exactly the entries that overlap", () => {
    fc.assert(
      fc.property(fc.array(network, { maxLength: 12 }), network, (entries, asked) => {
        const map = new CidrMap<string>();
        for (const c of entries) map.set(c, formatCidr(c));
        const found = [...map.overlapping(asked)].map((e) => e.value).sort();
        const expected = [...new Set(entries.filter((c) => cidrsOverlap(c, asked)).map(formatCidr))].sort();
        expect(found).toEqual(expected);
      }),
      { numRuns: 1000 },
    );
  });

  it("replaces the value of an equal network", () => {
    const map = new CidrMap<number>();
    map.set(parseNetwork("10.0.0.0/8"), 1);
    map.set(parseNetwork("10.0.0.0/8"), 2);
    expect([...map.overlapping(parseNetwork("10.1.0.0/16"))].map((e) => e.value)).toEqual([2]);
  });
});
