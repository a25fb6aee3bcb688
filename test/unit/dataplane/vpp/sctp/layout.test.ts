import { describe, expect, it } from "vitest";
import { parseIp } from "../../../../../src/base/ip/address.ts";
import {
  maskOf,
  matchOf,
  placeOf,
  ruleOf,
  type Shape,
  shapeAt,
  shapeOf,
} from "../../../../../src/dataplane/vpp/sctp/layout.ts";
import { parseSctpRule, type SctpRulesValue, sctpKey, sctpRuleText } from "../../../../../src/models/vpp/sctp.ts";
import { SctpTracer, sctpBytes } from "../../../../support/policy/sctp-tracer.ts";

const POD = { 4: parseIp("10.1.0.2"), 6: parseIp("fd00::2") } as const;
const PEER = { 4: parseIp("10.1.0.3"), 6: parseIp("fd00::3") } as const;
const RULES = {
  4: [
    "self 10.1.0.2/32",
    "begun 10.1.0.0/28 80/16",
    "begun 0.0.0.0/0 0/0",
    "init 10.0.0.0/9",
    "answers 10.1.0.3/32 64/10",
  ],
  6: ["self fd00::2/128", "begun fd00::/12 80/16", "rest ::/0", "init fd00::3/128", "answers fd00::/64 32768/1"],
} as const;

describe.each([4, 6] as const)("IPv%i", (family) => {
  it.each(RULES[family])("%s: what VPP tells of it is what it was told", (text) => {
    const rule = parseSctpRule(text);
    expect(sctpRuleText(rule)).toBe(text);
    for (const way of ["input", "output"] as const) {
      const [mask, match] = [maskOf(family, way, shapeOf(rule)), matchOf(family, way, POD[family], rule)];
      expect(match.map((byte, i) => byte & (mask[i] ?? 0))).toEqual(match);
      expect(ruleOf(family, way, shapeOf(rule), match)).toEqual({ address: POD[family], rule });
    }
  });

  it("each shape has a place of its own, the most specific network first", () => {
    const lengths = family === 4 ? [0, 8, 31, 32] : [0, 64, 127, 128];
    const shapes: Shape[] = lengths.flatMap((length) => [
      ...[0, 1, 15, 16].flatMap((bits) => (["begun", "answers"] as const).map((kind) => ({ kind, length, bits }))),
      ...(["init", "rest"] as const).map((kind) => ({ kind, length, bits: 0 })),
    ]);
    const places = shapes.map((shape) => placeOf(family, shape));
    expect(new Set(places).size).toBe(shapes.length);
    expect(places.map((place) => shapeAt(family, place))).toEqual(shapes);
    const sorted = shapes.toSorted((a, b) => placeOf(family, a) - placeOf(family, b)).map(({ length }) => length);
    expect(sorted).toEqual(sorted.toSorted((a, b) => b - a));
  });

  it("an INIT is judged by its port, its answers are not in the way", () => {
    const [own, peer] = [POD[family], PEER[family]];
    const any = family === 4 ? "0.0.0.0/0" : "::/0";
    const rules = [`begun ${any} 80/16`, `init ${any}`, `answers ${any} 443/16`, `rest ${any}`];
    const value: SctpRulesValue = { direction: "egress", address: own, rules };
    const tracer = new SctpTracer(new Map([[sctpKey(value), value]]));
    const passes = (from: number, to: number, chunk: number, change?: (bytes: Uint8Array) => void): boolean => {
      const bytes = sctpBytes({ source: own, destination: peer, from, to, chunk });
      change?.(bytes);
      return tracer.passes("input", bytes);
    };
    expect(passes(40_000, 80, 1)).toBe(true);
    expect(passes(40_000, 81, 1)).toBe(false);
    expect(passes(443, 40_000, 1)).toBe(false);
    expect(passes(443, 40_000, 2)).toBe(true);
    expect(passes(444, 40_000, 2)).toBe(false);
    // Where ports are not where they are looked for, nothing passes.
    if (family === 4) {
      expect(passes(40_000, 80, 1, (bytes) => bytes.set([0x46]))).toBe(false);
      expect(passes(40_000, 80, 1, (bytes) => bytes.set([0x20], 6))).toBe(false);
      expect(passes(40_000, 80, 1, (bytes) => bytes.set([0x01], 7))).toBe(false);
    } else {
      for (const header of [0, 43, 44, 60]) {
        const behind = (next: number) => (bytes: Uint8Array) => {
          bytes[6] = header;
          bytes[40] = next;
        };
        expect(passes(40_000, 80, 1, behind(132))).toBe(false);
        expect(passes(40_000, 80, 1, behind(60))).toBe(false);
        expect(passes(40_000, 80, 1, behind(6))).toBe(true);
      }
    }
  });
});
