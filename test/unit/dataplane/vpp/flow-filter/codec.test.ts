import { describe, expect, it } from "vitest";
import { parseIp } from "../../../../../src/base/ip/address.ts";
import {
  type FilteredFlow,
  flowOf,
  maskOf,
  matchOf,
  shapeOf,
} from "../../../../../src/dataplane/vpp/flow-filter/codec.ts";

const ipv4 = { family: 4, source: parseIp("10.1.0.2"), destination: parseIp("10.1.0.3") } as const;
const ipv6 = { family: 6, source: parseIp("fd00::2"), destination: parseIp("fd00::3") } as const;
const FLOWS: readonly (readonly [string, FilteredFlow])[] = [
  ["tcp", { ...ipv4, protocol: 6, first: 40_000, second: 80 }],
  ["udp6", { ...ipv6, protocol: 17, first: 50_000, second: 53 }],
  ["echo", { ...ipv4, protocol: 1, first: 8, second: 0 }],
  ["echo6", { ...ipv6, protocol: 58, first: 128, second: 0 }],
  ["sctp", { ...ipv4, protocol: 132, first: 0, second: 0 }],
];

/** Bytes 9, 12 to 19 and 20 to 23 of an IPv4 header with what follows it. */
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

describe("entries of VPP's classifier", () => {
  it.each(FLOWS)("of %s are read as they were written, and have nothing that the mask has not", (_name, flow) => {
    const begun = matchOf(flow, "begun");
    expect(flowOf(flow.family, shapeOf(flow), begun)).toEqual(flow);
    const mask = maskOf(flow.family, shapeOf(flow));
    for (const way of ["answers", "begun"] as const) {
      const match = matchOf(flow, way);
      expect(match).toHaveLength(mask.length);
      expect(match.every((byte, i) => (byte & ~(mask[i] ?? 0)) === 0)).toBe(true);
    }
  });

  it("are the bytes of headers", () => {
    const [, tcp] = FLOWS[0] ?? [];
    if (!tcp) throw new Error("no flow");
    expect(hex(maskOf(4, "ports"))).toBe("000000000000000000ff0000ffffffffffffffffffffffff0000000000000000");
    expect(hex(matchOf(tcp, "begun"))).toBe("0000000000000000000600000a0100020a0100039c4000500000000000000000");
    expect(hex(matchOf(tcp, "answers"))).toBe("0000000000000000000600000a0100030a01000200509c400000000000000000");
  });

  it("know an echo's answer by its type", () => {
    const [, echo] = FLOWS[2] ?? [];
    const [, echo6] = FLOWS[3] ?? [];
    if (!echo || !echo6) throw new Error("no flow");
    expect([matchOf(echo, "begun")[20], matchOf(echo, "answers")[20]]).toEqual([8, 0]);
    expect([matchOf(echo6, "begun")[40], matchOf(echo6, "answers")[40]]).toEqual([128, 129]);
  });
});
