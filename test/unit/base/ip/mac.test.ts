import * as fc from "fast-check";
import { expect, it } from "vitest";
import {
  bytesToMac,
  isMulticastMac,
  linkLocalFromMac,
  macFrom,
  macToBytes,
  parseMac,
} from "../../../../src/base/ip/mac.ts";

it("reads both separators and any case", () => {
  expect(parseMac("02-FE-0a-01-02-03")).toBe("02:fe:0a:01:02:03");
  expect(parseMac("02:fe:0A:01:02:03")).toBe("02:fe:0a:01:02:03");
});

it.each([
  "",
  "02:fe:0a:01:02",
  "02:fe:0a:01:02:03:04",
  "2:fe:0a:01:02:03",
  "02:fe-0a:01:02:03",
  "02fe0a010203",
  "0g:fe:0a:01:02:03",
])("refuses %j", (text) => {
  expect(() => parseMac(text)).toThrow("is not an Ethernet address");
});

it("keeps the bytes", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 6, maxLength: 6 }), (b) => {
      expect(macToBytes(bytesToMac(b))).toEqual(b);
      expect(parseMac(bytesToMac(b))).toBe(bytesToMac(b));
      expect(isMulticastMac(bytesToMac(b))).toBe(((b[0] ?? 0) & 1) === 1);
    }),
  );
  expect(() => bytesToMac(new Uint8Array(5))).toThrow("not 5");
});

it("makes locally administered unicast addresses only", () => {
  expect(macFrom(0x122b, 7)).toBe("12:2b:00:00:00:07");
  expect(macFrom(0x02fe, 0xffff_ffff)).toBe("02:fe:ff:ff:ff:ff");
  for (const kind of [0x0000, 0x0100, 0x0300, 0x1_0200, -1]) {
    expect(() => macFrom(kind, 1)).toThrow("locally administered");
  }
  for (const low of [-1, 2 ** 32, 1.5]) expect(() => macFrom(0x0200, low)).toThrow("32-bit");
});

it("derives the link-local address that the kernel gives", () => {
  // ip link add hd0 address 02:fe:0a:01:02:03 type veth …; ip -6 addr show dev hd0  (Linux 6.18)
  expect(linkLocalFromMac(parseMac("02:fe:0a:01:02:03"))).toBe("fe80::fe:aff:fe01:203");
  // RFC 4291 appendix A: the universal/local bit is inverted
  expect(linkLocalFromMac(parseMac("34:56:78:9a:bc:de"))).toBe("fe80::3656:78ff:fe9a:bcde");
});
