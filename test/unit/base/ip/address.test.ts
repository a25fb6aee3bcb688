import { isIPv4, isIPv6 } from "node:net";
import * as fc from "fast-check";
import { Address4, Address6 } from "ip-address";
import { describe, expect, it } from "vitest";
import {
  bigintToIp,
  bytesToIp,
  compareIp,
  familyOf,
  ip4ToNumber,
  ipToBigint,
  ipToBytes,
  isSpecialIp,
  low32,
  numberToIp4,
  parseIp,
  tryParseIp,
} from "../../../../src/base/ip/address.ts";
import { IpError } from "../../../../src/base/ip/ip-error.ts";

const bytes4 = fc.uint8Array({ minLength: 4, maxLength: 4 });
/** Zeros often enough that every kind of elision is met. */
const bytes16 = fc.array(fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.nat(255)), {
  minLength: 16,
  maxLength: 16,
});
const anyBytes = fc.oneof(
  bytes4,
  bytes16.map((b) => Uint8Array.from(b)),
);

describe("canonical text", () => {
  // RFC 5952 sections 4 and 5
  it.each([
    ["2001:db8:0:0:0:0:2:1", "2001:db8::2:1"],
    ["2001:0DB8::0001", "2001:db8::1"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["0:0:0:0:0:0:0:0", "::"],
    ["1:0:0:0:0:0:0:0", "1::"],
    ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
    ["::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"],
    ["::ffff:c000:201", "::ffff:192.0.2.1"],
    ["::ffff:192.0.2.1", "::ffff:192.0.2.1"],
    ["64:ff9b::192.0.2.1", "64:ff9b::c000:201"],
    ["192.0.2.1", "192.0.2.1"],
  ])("of %s is %s", (text, canonical) => {
    expect(parseIp(text)).toBe(canonical);
  });

  it.each([
    "",
    " 1.2.3.4",
    "1.2.3.4 ",
    "1.2.3",
    "1.2.3.4.5",
    "1.2.3.256",
    "01.2.3.4",
    "1.2.3.04",
    "1.2.3.4/24",
    "0x1.2.3.4",
    "1..2.3",
    ":",
    ":::",
    "1::2::3",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7:8::",
    "12345::",
    "g::",
    "fe80::1%eth0",
    "[::1]",
    "::1/64",
    "::ffff:1.2.3",
    "::ffff:01.2.3.4",
    "1.2.3.4::",
    "1.2.3.4\n",
    "١.2.3.4",
  ])("refuses %j, quoting it", (text) => {
    expect(tryParseIp(text)).toBeUndefined();
    expect(() => parseIp(text)).toThrow(IpError);
    expect(() => parseIp(text)).toThrow(JSON.stringify(text));
  });

  it("accepts what the C library accepts, and nothing else", () => {
    const alphabet = fc.constantFrom("0", "1", "9", "a", "f", "F", ":", "::", ".", "255", "256", "ffff");
    fc.assert(
      fc.property(
        fc.array(alphabet, { maxLength: 12 }).map((parts) => parts.join("")),
        (text) => {
          expect(tryParseIp(text) !== undefined).toBe(isIPv4(text) || isIPv6(text));
        },
      ),
      { numRuns: 2000 },
    );
  });

  it("is the same whoever writes the address", () => {
    fc.assert(
      fc.property(bytes16, (b) => {
        const ours = bytesToIp(Uint8Array.from(b));
        expect(parseIp(Address6.fromByteArray(b).canonicalForm())).toBe(ours);
        // The URL standard's serializer follows RFC 5952, without its mixed notation.
        const theirs = ours.includes(".") ? `[${ours}]` : new URL(`http://[${ours}]/`).hostname;
        expect(theirs).toBe(`[${ours}]`);
      }),
    );
  });
});

describe("bytes and numbers", () => {
  it("come back as the same address", () => {
    fc.assert(
      fc.property(anyBytes, (b) => {
        const ip = bytesToIp(b);
        expect(ipToBytes(ip)).toEqual(b);
        expect(parseIp(ip)).toBe(ip);
        expect(bigintToIp(ipToBigint(ip), familyOf(ip))).toBe(ip);
        expect(low32(ip)).toBe(new DataView(b.buffer, b.byteOffset).getUint32(b.length - 4));
      }),
    );
  });

  it("agree with ip-address", () => {
    fc.assert(
      fc.property(anyBytes, (b) => {
        const ip = bytesToIp(b);
        expect(ipToBigint(ip)).toBe(familyOf(ip) === 4 ? new Address4(ip).bigInt() : new Address6(ip).bigInt());
      }),
    );
  });

  it("hold for the ends of the families", () => {
    expect(ip4ToNumber(parseIp("255.255.255.255"))).toBe(0xffff_ffff);
    expect(numberToIp4(0xffff_ffff)).toBe("255.255.255.255");
    expect(bigintToIp((1n << 128n) - 1n, 6)).toBe("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
    for (const [value, family] of [
      [-1n, 4],
      [1n << 32n, 4],
      [1n << 128n, 6],
    ] as const) {
      expect(() => bigintToIp(value, family)).toThrow(`no IPv${family} address`);
    }
  });

  it.each([0, 3, 5, 15, 17])("refuses %i bytes", (length) => {
    expect(() => bytesToIp(new Uint8Array(length))).toThrow(`not ${length}`);
  });
});

it("sorts IPv4 before IPv6 and by value, not by text", () => {
  const sorted = ["2.0.0.0", "10.0.0.0", "200.0.0.0", "::1", "2::", "10::", "fd00::"].map(parseIp);
  expect(sorted.toReversed().sort(compareIp)).toEqual(sorted);
});

it.each([
  ["127.0.0.1", true],
  ["0.0.0.0", true],
  ["169.254.1.1", true],
  ["224.0.0.1", true],
  ["255.255.255.255", true],
  ["::", true],
  ["::1", true],
  ["fe80::1", true],
  ["febf::", true],
  ["ff02::1", true],
  ["10.0.0.1", false],
  ["169.253.0.0", false],
  ["223.255.255.255", false],
  ["fd00::1", false],
  ["fec0::1", false],
  ["1::1", false],
])("knows whether %s is special", (text, special) => {
  expect(isSpecialIp(parseIp(text))).toBe(special);
});
