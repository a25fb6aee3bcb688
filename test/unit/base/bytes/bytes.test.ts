import { describe, expect, it } from "vitest";
import { Reader, TruncatedError } from "../../../../src/base/bytes/reader.ts";
import { Writer } from "../../../../src/base/bytes/writer.ts";

type Field = readonly [string, string, (r: Reader) => unknown, (w: Writer) => unknown, unknown];

const FIELDS: readonly Field[] = [
  ["u8", "ff", (r) => r.u8(), (w) => w.u8(255), 255],
  ["u16", "0201", (r) => r.u16(), (w) => w.u16(0x102), 0x102],
  ["u32", "04030281", (r) => r.u32(), (w) => w.u32(0x81020304), 0x81020304],
  ["u64", "0100000000000080", (r) => r.u64(), (w) => w.u64(0x8000000000000001n), 0x8000000000000001n],
  ["i16", "feff", (r) => r.i16(), (w) => w.i16(-2), -2],
  ["i32", "feffffff", (r) => r.i32(), (w) => w.i32(-2), -2],
  ["u16be", "0102", (r) => r.u16be(), (w) => w.u16be(0x102), 0x102],
  ["u32be", "81020304", (r) => r.u32be(), (w) => w.u32be(0x81020304), 0x81020304],
  ["u64be", "8000000000000001", (r) => r.u64be(), (w) => w.u64be(0x8000000000000001n), 0x8000000000000001n],
];

describe("Reader", () => {
  it.each(FIELDS)("reads %s", (_, hex, read, __, value) => {
    const r = new Reader(Buffer.from(hex, "hex"));
    expect(read(r)).toBe(value);
    expect(r.remaining).toBe(0);
  });

  it.each(FIELDS)("refuses a %s that is cut off at any byte, and stays where it was", (_, hex, read) => {
    const bytes = Buffer.from(hex, "hex");
    for (let length = 0; length < bytes.length; length++) {
      const r = new Reader(bytes.subarray(0, length));
      expect(() => read(r)).toThrow(TruncatedError);
      expect(r.at).toBe(0);
    }
  });

  it("says how much it wanted, how much was there, and where", () => {
    const r = new Reader(new Uint8Array(10));
    r.skip(8);
    expect(() => r.u32()).toThrow(expect.objectContaining({ need: 4, have: 2, at: 8 }));
  });

  it("reads a view that does not start at its buffer's beginning", () => {
    expect(new Reader(Buffer.from("0011223344", "hex").subarray(3)).u16be()).toBe(0x3344);
  });

  it("aligns to the end where the padding is missing", () => {
    const r = new Reader(new Uint8Array(6));
    r.skip(5);
    r.align(4);
    expect(r.remaining).toBe(0);
  });

  it("refuses to go back", () => {
    expect(() => new Reader(new Uint8Array(4)).skip(-1)).toThrow(TruncatedError);
  });
});

describe("Writer", () => {
  it.each(FIELDS)("writes %s", (_, hex, __, write) => {
    const w = new Writer(1);
    write(w);
    expect(Buffer.from(w.finish()).toString("hex")).toBe(hex);
  });

  it("grows as needed and keeps what was written", () => {
    const w = new Writer(2);
    for (let i = 0; i < 1000; i++) w.u32(i);
    const r = new Reader(w.finish());
    for (let i = 0; i < 1000; i++) expect(r.u32()).toBe(i);
  });

  it("pads with zeros, also over recycled memory", () => {
    const w = new Writer(16).u8(1).align(4).zeros(3).align(4);
    expect([...w.finish()]).toEqual([1, 0, 0, 0, 0, 0, 0, 0]);
  });

  it("fills in a length afterwards", () => {
    const w = new Writer().u16(0).u32(0).u8(9);
    w.patchU16(0, 7);
    w.patchU32(2, 8);
    expect(Buffer.from(w.finish()).toString("hex")).toBe("07000800000009");
    expect(() => w.patchU32(5, 1)).toThrow(RangeError);
  });

  it.each([
    ["u8 256", (w: Writer) => w.u8(256)],
    ["u16 -1", (w: Writer) => w.u16(-1)],
    ["u32 2^32", (w: Writer) => w.u32(2 ** 32)],
    ["u64 2^64", (w: Writer) => w.u64(2n ** 64n)],
  ])("refuses a number that does not fit: %s", (_, write) => {
    expect(() => write(new Writer())).toThrow(RangeError);
  });
});
