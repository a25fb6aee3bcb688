import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bigintToIp, type IpAddress, type IpFamily } from "../../../src/base/ip/address.ts";
import { Networks } from "../../../src/dataplane/vpp/policy/networks.ts";
import { type Prefix, prefixesOf, prefixOf } from "../../../src/dataplane/vpp/policy/prefix.ts";
import type { AclRule } from "../../../src/models/vpp/acl.ts";

/** So few that they are neighbours, and so many that some networks are large. */
const SPAN = 600;
const FIRST = { 4: 0x0a_00_00_00n, 6: 0xfd00n << 112n } as const;
const addressOf = (family: IpFamily, place: number): IpAddress => bigintToIp(FIRST[family] + BigInt(place), family);

const places = (most: number) => fc.uniqueArray(fc.integer({ min: 0, max: SPAN - 1 }), { maxLength: most });
const family = fc.constantFrom(4 as const, 6 as const);
/** Long stretches, with holes. */
const stretch = fc.tuple(fc.integer({ min: 0, max: SPAN }), places(20)).map(([length, holes]) => {
  const all = new Set(Array.from({ length }, (_, i) => i));
  for (const hole of holes) all.delete(hole);
  return all;
});

const texts = (networks: Networks | undefined): string[] => (networks?.prefixes ?? []).map(({ text }) => text);
const rule = ({ text }: Prefix): AclRule => ({ action: "permit", src: text, dst: "0.0.0.0/0" });
const rulesOf = (networks: Networks | undefined): readonly AclRule[] => networks?.rules("permit", rule) ?? [];

describe("networks that change", () => {
  it("are those that would be made of all addresses, and so are their rules", () => {
    const batch = fc.record({ added: places(30), removed: places(30), isAsked: fc.boolean() });
    fc.assert(
      fc.property(family, stretch, fc.array(batch, { minLength: 1, maxLength: 8 }), (f, first, batches) => {
        const address = (place: number) => addressOf(f, place);
        const there = new Set(first);
        let networks = Networks.of([...there].map(address));
        for (const { added, removed, isAsked } of batches) {
          for (const place of removed) there.delete(place);
          for (const place of added) there.add(place);
          networks = networks
            ? networks.changed(added.map(address), removed.map(address))
            : Networks.of(added.map(address));
          const anew = prefixesOf([...there].map(address));
          expect(texts(networks)).toEqual(anew.map(({ text }) => text));
          // Rules are not asked for after every change.
          if (isAsked) expect(rulesOf(networks)).toEqual(anew.map(rule));
        }
      }),
      { numRuns: 300 },
    );
  });

  it("have the same rules as before, but for those of what has changed", () => {
    const before = Networks.of(Array.from({ length: 101 }, (_, i) => addressOf(4, i)));
    const old = new Set(rulesOf(before));
    const fresh = rulesOf(before?.changed([], [addressOf(4, 70)])).filter((r) => !old.has(r));
    expect(fresh.map(({ src }) => src)).toEqual([
      "10.0.0.64/30",
      "10.0.0.68/31",
      "10.0.0.71/32",
      "10.0.0.72/29",
      "10.0.0.80/28",
    ]);
  });

  it("are the same object if nothing changes", () => {
    const networks = Networks.of([addressOf(4, 1), addressOf(4, 2)]);
    expect(networks?.changed([addressOf(4, 1)], [addressOf(4, 9)])).toBe(networks);
    expect(networks?.changed([], [addressOf(4, 1), addressOf(4, 2)])).toBe(undefined);
  });
});

describe("of two lots of networks", () => {
  const lots = fc.tuple(family, stretch, stretch, places(40));

  it("what is in both is found", () => {
    fc.assert(
      fc.property(lots, ([f, a, b]) => {
        const of = (set: ReadonlySet<number>) => Networks.of([...set].map((place) => addressOf(f, place)));
        const both = prefixesOf([...a].filter((place) => b.has(place)).map((place) => addressOf(f, place)));
        const [left, right] = [of(a), of(b)];
        const found = left && right && left.within(right);
        // As fine as the finer of them.
        const hosts = addressesOf(found).sort((x, y) => x - y);
        expect(hosts).toEqual([...a].filter((place) => b.has(place)).sort((x, y) => x - y));
        expect(found === undefined).toBe(both.length === 0);
        expect(texts(right && left?.within(right))).toEqual(texts(left && right?.within(left)));
      }),
      { numRuns: 200 },
    );
  });

  it("those of one are taken out of the other", () => {
    fc.assert(
      fc.property(lots, ([f, a, , some]) => {
        const networks = Networks.of([...a].map((place) => addressOf(f, place)));
        const others = some.flatMap((i) => networks?.prefixes[i % networks.prefixes.length] ?? []);
        const absent = prefixOf(f === 4 ? "10.9.0.0/16" : "fd01::/64");
        const left = networks?.except([...others, absent]);
        const expected = texts(networks).filter((text) => !others.some((other) => other.text === text));
        expect(texts(left)).toEqual(expected);
        expect(rulesOf(left).map(({ src }) => src)).toEqual(expected);
      }),
      { numRuns: 200 },
    );
  });

  it("everybody has everything, and nobody of the other family", () => {
    const networks = Networks.of([addressOf(4, 1), addressOf(4, 2)]);
    const [everybody, others] = [Networks.one(prefixOf("0.0.0.0/0")), Networks.one(prefixOf("::/0"))];
    expect(networks?.within(everybody)).toBe(networks);
    expect(networks && everybody.within(networks)).toBe(networks);
    expect(networks?.within(others)).toBe(undefined);
  });
});

/** Places of the addresses. */
function addressesOf(networks: Networks | undefined): number[] {
  return (networks?.prefixes ?? []).flatMap(({ family: f, first, end }) =>
    Array.from({ length: Number(end - first) }, (_, i) => Number(first - FIRST[f]) + i),
  );
}
