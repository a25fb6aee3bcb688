import { describe, expect, it } from "vitest";
import { TruncatedError } from "../../../../../src/base/bytes/reader.ts";
import { Attrs, AttrWriter, splitAttrs } from "../../../../../src/dataplane/linux/netlink/attr.ts";
import { errnoName, errnoText } from "../../../../../src/dataplane/linux/netlink/errno.ts";
import { bytesToIp, formatPrefix, ipToBytes, parsePrefix } from "../../../../../src/dataplane/linux/netlink/ip.ts";
import { bytesToMac, macToBytes } from "../../../../../src/dataplane/linux/netlink/mac.ts";
import { decodeMessages, NetlinkFormatError } from "../../../../../src/dataplane/linux/netlink/nlmsg.ts";

const hex = (text: string) => Buffer.from(text.replaceAll(" ", ""), "hex");

describe("attributes", () => {
  it("are length, type and data, padded to four bytes", () => {
    const a = new AttrWriter();
    a.u8(1, 7).string(3, "hd0").u16be(15, 4789).u64(9, 1n);
    expect(Buffer.from(a.w.finish())).toEqual(
      hex("0500 0100 07000000  0800 0300 68643000  0600 0f00 12b50000  0c00 0900 0100000000000000"),
    );
  });

  it("nest, with the length of what is inside", () => {
    const a = new AttrWriter();
    a.nest(18, () => a.text(1, "ifb"));
    expect(Buffer.from(a.w.finish()).toString("hex")).toBe("0c0012000700010069666200");
    expect(new Attrs(a.w.finish()).nested(18)?.string(1)).toBe("ifb");
  });

  it("are left out when undefined", () => {
    const a = new AttrWriter();
    a.u32(1, undefined).string(2, undefined).mac(3, undefined).ip(4, undefined).bool(5, undefined).flag(6, false);
    expect(a.w.length).toBe(0);
  });

  it("are found under their type whatever its flag bits are", () => {
    expect(new Attrs(hex("0800 0380 01000000")).u32(3)).toBe(1);
  });

  it("count as the last of their type", () => {
    expect(new Attrs(hex("0800 0300 01000000 0800 0300 02000000")).u32(3)).toBe(2);
  });

  it.each([
    ["a length below the header's", "0300 0100", NetlinkFormatError],
    ["data that is cut off", "0800 0100 0000", TruncatedError],
  ])("are refused: %s", (_, bytes, error) => {
    expect(() => splitAttrs(hex(bytes))).toThrow(error);
  });

  it("of another size than their type's are refused", () => {
    const attrs = new Attrs(hex("0600 0100 0102 0000"));
    expect(() => attrs.u32(1)).toThrow(NetlinkFormatError);
    expect(() => attrs.u8(1)).toThrow("attribute 1 has 2 bytes where 1 are expected");
  });

  it("of text end at the NUL, or with the attribute", () => {
    expect(new Attrs(hex("0800 0100 68640000")).string(1)).toBe("hd");
    expect(new Attrs(hex("0600 0100 6864 0000")).string(1)).toBe("hd");
  });

  it("of text can't hold a NUL", () => {
    expect(() => new AttrWriter().string(1, "a\0b")).toThrow(RangeError);
  });

  it("that grow beyond 64 KiB are refused, not cut off", () => {
    const a = new AttrWriter();
    expect(() => a.nest(1, () => a.w.zeros(70_000))).toThrow(RangeError);
  });
});

describe("messages", () => {
  it("with a length below the header's are refused", () => {
    expect(() => decodeMessages(hex("0f000000 1000 0000 01000000 00000000"))).toThrow(NetlinkFormatError);
  });

  it("that are longer than what is there are refused", () => {
    expect(() => decodeMessages(hex("14000000 1000 0000 01000000 00000000"))).toThrow(TruncatedError);
  });

  it("may lack the padding of the last one", () => {
    expect(decodeMessages(hex("11000000 1000 0000 01000000 00000000 ff"))).toHaveLength(1);
  });
});

describe("addresses", () => {
  it.each(["10.0.0.1", "::", "::1", "fd00::1", "2001:db8::1:0:0:1", "::ffff:192.0.2.1", "fe80::a:b:c:d"])(
    "come back as they were: %s",
    (address) => {
      expect(bytesToIp(ipToBytes(address))).toBe(address);
    },
  );

  it.each([
    ["FD00::1", "fd00::1"],
    ["fd00:0:0:0:0:0:0:1", "fd00::1"],
    ["2001:DB8:0:0:1::", "2001:db8:0:0:1::"],
  ])("are understood in other spellings: %s", (text, canonical) => {
    expect(bytesToIp(ipToBytes(text))).toBe(canonical);
  });

  it.each(["", "10.0.0", "10.0.0.256", "::1%eth0", "fd00::1/64", "g::"])("are refused: '%s'", (text) => {
    expect(() => ipToBytes(text)).toThrow(RangeError);
  });

  it("have 4 or 16 bytes", () => {
    expect(() => bytesToIp(new Uint8Array(6))).toThrow(NetlinkFormatError);
  });

  it.each([
    ["10.1.0.1", 32],
    ["10.1.0.1/0", 0],
    ["fd00::1", 128],
    ["fd00::/7", 7],
  ])("have a prefix length, that of a host where none is given: %s", (text, length) => {
    expect(parsePrefix(text).length).toBe(length);
  });

  it.each(["10.0.0.0/33", "fd00::/129", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8/8", "/8", "10.0.0.0/1e1"])(
    "have prefix lengths that fit: '%s' is refused",
    (text) => {
      expect(() => parsePrefix(text)).toThrow(RangeError);
    },
  );

  it("that a route lacks are those of the default route", () => {
    expect([formatPrefix(2, undefined, 0), formatPrefix(10, undefined, 0)]).toEqual(["0.0.0.0/0", "::/0"]);
  });

  it("of links have the lengths of their kind", () => {
    expect(bytesToMac(macToBytes("02:00:0A:ff:00:01"))).toBe("02:00:0a:ff:00:01");
    expect(() => macToBytes("02-00-00-00-00-01")).toThrow(RangeError);
    expect(() => bytesToMac(new Uint8Array(33))).toThrow(NetlinkFormatError);
  });
});

describe("errno", () => {
  it.each([
    [1, "EPERM", "Operation not permitted"],
    [17, "EEXIST", "File exists"],
    [95, "EOPNOTSUPP", "Operation not supported"],
    [105, "ENOBUFS", "No buffer space available"],
  ])("%d is %s", (errno, name, text) => {
    expect([errnoName(errno), errnoText(errno)]).toEqual([name, text]);
  });
});
