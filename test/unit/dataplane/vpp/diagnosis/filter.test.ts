import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ipToBytes, parseIp } from "../../../../../src/base/ip/address.ts";
import {
  type ClassifierRow,
  classifierRows,
  parsePacketFilter,
} from "../../../../../src/dataplane/vpp/diagnosis/packet-filter.ts";

interface Packet {
  readonly src: string;
  readonly dst: string;
  readonly proto: number;
  readonly ports: readonly [number, number];
}

/** The beginning of an Ethernet frame as it comes off the wire. */
function frame({ src, dst, proto, ports }: Packet): Uint8Array {
  const bytes = new Uint8Array(80).fill(0xee);
  const six = src.includes(":");
  bytes.set(six ? [0x86, 0xdd, 0x60] : [0x08, 0x00, 0x45], 12);
  bytes[six ? 20 : 23] = proto;
  bytes.set([...ipToBytes(parseIp(src)), ...ipToBytes(parseIp(dst))], six ? 22 : 26);
  bytes.set(
    ports.flatMap((p) => [p >> 8, p & 255]),
    six ? 54 : 34,
  );
  return bytes;
}

const fits = ({ mask, match }: ClassifierRow, bytes: Uint8Array): boolean =>
  mask.every((m, i) => ((bytes[i] ?? 0) & m) === match[i]);
const chosen = (filter: string, packet: Packet): boolean =>
  classifierRows(parsePacketFilter(filter)).some((row) => fits(row, frame(packet)));

const web: Packet = { src: "10.1.0.2", dst: "10.2.0.2", proto: 6, ports: [40_000, 80] };
const web6: Packet = { src: "fd01::2", dst: "fd02::2", proto: 6, ports: [40_000, 80] };

describe("a filter", () => {
  it.each<[string, Packet, boolean]>([
    ["10.1.0.2", web, true],
    ["10.2.0.2", web, true],
    ["10.3.0.2", web, false],
    ["10.2.0.2/tcp", web, true],
    ["10.2.0.2/udp", web, false],
    ["10.2.0.2/tcp/80", web, true],
    ["10.1.0.2/tcp/80", web, true],
    ["10.2.0.2/tcp/81", web, false],
    ["*/tcp/40000", web, true],
    ["/tcp/80", web6, true],
    ["/6/80", web, true],
    ["*/icmp", web, false],
    ["*", web, true],
    ["", web6, true],
    ["fd02::2/tcp/80", web6, true],
    ["fd02:0::2", web6, true],
    ["fd02::3", web6, false],
    ["*/icmp6", { ...web6, proto: 58 }, true],
    ["*/icmp", { ...web6, proto: 58 }, false],
  ])("%s and a packet: %o: %s", (filter, packet, expected) => {
    expect(chosen(filter, packet)).toBe(expected);
  });

  it.each([
    ["web", "web is no address"],
    ["10.0.0.1/tpc", "tpc is no protocol"],
    ["*/256", "256 is no protocol"],
    ["*/tcp/65536", "65536 is no port"],
    ["*/tcp/http", "http is no port"],
    ["*/*/80", "ports are of tcp, udp or sctp"],
    ["*/icmp/8", "ports are of tcp, udp or sctp"],
    ["10.0.0.1/tcp/80/x", "HOST/PROTO/PORT"],
  ])("%s is refused: %s", (filter, why) => {
    expect(() => parsePacketFilter(filter)).toThrow(
      expect.objectContaining({ code: "BAD_FILTER", message: expect.stringContaining(why) }),
    );
  });

  it("chooses both ways of a connection, and only by what it names", () => {
    const ip = fc.ipV4();
    const port = fc.integer({ min: 0, max: 65_535 });
    const packet = fc.record({ src: ip, dst: ip, proto: fc.constantFrom(6, 17), ports: fc.tuple(port, port) });
    fc.assert(
      fc.property(packet, ip, fc.constantFrom(6, 17), port, (p, host, proto, at) => {
        const back = { ...p, src: p.dst, dst: p.src, ports: [p.ports[1], p.ports[0]] as const };
        const expected = [p.src, p.dst].includes(host) && p.proto === proto && p.ports.includes(at);
        expect(chosen(`${host}/${proto}/${at}`, p)).toBe(expected);
        expect(chosen(`${p.dst}/${p.proto}/${p.ports[1]}`, p)).toBe(true);
        expect(chosen(`${p.dst}/${p.proto}/${p.ports[1]}`, back)).toBe(true);
      }),
    );
  });

  it("is whole vectors, no more than VPP's classifier takes", () => {
    for (const { mask, match } of classifierRows(parsePacketFilter("fd01::2/tcp/80"))) {
      expect(mask).toHaveLength(match.length);
      expect(mask.length % 16).toBe(0);
      expect(mask.length / 16).toBeLessThanOrEqual(5);
    }
  });
});
