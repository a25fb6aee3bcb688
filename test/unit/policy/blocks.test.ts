import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bigintToIp, ipToBigint, numberToIp4, parseIp } from "../../../src/base/ip/address.ts";
import { cidr, networkOf, parseCidr } from "../../../src/base/ip/cidr.ts";
import {
  blocksContain,
  blocksOf,
  cidrsOf,
  isEveryAddress,
  parseBlocks,
  unionOf,
  without,
} from "../../../src/policy/compile/blocks.ts";
import { mergedPorts } from "../../../src/policy/compile/ports.ts";
import { isInside } from "../../support/policy-oracle/addresses.ts";

const blocks = (...cidrs: string[]) => blocksOf(cidrs.map(parseCidr));

describe("blocks of addresses", () => {
  it.each<readonly [from: string[], except: string[], left: string[]]>([
    [["10.0.0.0/30"], ["10.0.0.1/32"], ["10.0.0.0/32", "10.0.0.2/31"]],
    [["10.0.0.0/24"], ["10.0.0.0/24"], []],
    [["10.0.0.0/25", "10.0.0.128/25"], [], ["10.0.0.0/24"]],
    [["10.0.0.0/24"], ["10.0.0.64/26", "10.0.0.96/27"], ["10.0.0.0/26", "10.0.0.128/25"]],
    [["0.0.0.0/0"], ["0.0.0.0/1"], ["128.0.0.0/1"]],
    [["fd00::/126"], ["fd00::3/128"], ["fd00::/127", "fd00::2/128"]],
    [["::/0", "0.0.0.0/0"], [], ["0.0.0.0/0", "::/0"]],
    [["10.0.0.0/8", "10.1.0.0/16"], ["fd00::/8"], ["10.0.0.0/8"]],
  ])("%j without %j is %j", (from, except, left) => {
    const got = cidrsOf(without(blocks(...from), blocks(...except)));
    expect(got).toEqual(left);
    expect(cidrsOf(parseBlocks(got))).toEqual(left);
    expect(isEveryAddress(got)).toBe(left.length === 2 && from[0] === "::/0");
  });

  it("contain exactly what is in the networks and in no exception", () => {
    const network = fc
      .tuple(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 24, max: 32 }), fc.boolean())
      .map(([n, prefix, six]) =>
        networkOf(
          six
            ? cidr(bigintToIp((0xfdn << 120n) | BigInt(n), 6), prefix + 96)
            : cidr(numberToIp4(0x0a000000 + n), prefix),
        ),
      );
    const networks = fc.array(network, { maxLength: 5 });
    fc.assert(
      fc.property(networks, networks, networks, (a, b, holes) => {
        const all = without(unionOf([blocksOf(a), blocksOf(b)]), blocksOf(holes));
        const texts = cidrsOf(all);
        for (let n = 0; n < 256; n++) {
          for (const ip of [numberToIp4(0x0a000000 + n), bigintToIp((0xfdn << 120n) | BigInt(n), 6)]) {
            const inside = (list: typeof a): boolean => list.some((c) => isInside(ip, `${c.address}/${c.prefix}`));
            const expected = (inside(a) || inside(b)) && !inside(holes);
            expect(blocksContain(all, ip.includes(":") ? 6 : 4, ipToBigint(ip))).toBe(expected);
            expect(texts.filter((t) => isInside(ip, t))).toHaveLength(expected ? 1 : 0);
          }
        }
      }),
      { numRuns: 10 },
    );
    expect(blocksContain(blocks("10.0.0.0/8"), 6, ipToBigint(parseIp("::a00:1")))).toBe(false);
  });
});

it("ranges of ports are merged by protocol where they overlap or touch", () => {
  const range = (protocol: "TCP" | "UDP", first: number, last: number) => ({ protocol, first, last });
  expect(
    mergedPorts([
      range("UDP", 53, 53),
      range("TCP", 81, 90),
      range("TCP", 80, 80),
      range("TCP", 85, 86),
      range("TCP", 92, 92),
    ]),
  ).toEqual([range("TCP", 80, 90), range("TCP", 92, 92), range("UDP", 53, 53)]);
});
