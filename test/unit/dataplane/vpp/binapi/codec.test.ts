import { describe, expect, it } from "vitest";
import { Codecs } from "../../../../../src/dataplane/vpp/binapi/codec/codecs.ts";
import {
  VppEncodeError,
  VppMessageUnavailableError,
  VppProtocolError,
} from "../../../../../src/dataplane/vpp/binapi/errors.ts";
import { buildSchema } from "../../../../../src/dataplane/vpp/binapi/schema/load.ts";
import { ALL_KINDS, smallFile } from "./small-api.ts";

const codecs = new Codecs(buildSchema([smallFile()]));

// Written by hand from the schema; integers are big-endian, the f64 is in the host's order (little-endian).
const BYTES = [
  "0000 00000000 00000000", // number, client_index, context: the transport's
  "00 fe fffffffd", // on, i8, i32
  "fffffffffffffffe fffffffffffffffb", // u64, i64
  "00000000000004c0", // f64
  "00000007 00000003", // row, marks
  "01020304 c0000201", // key, ip
  "6772c3bc6e000000", // name
  "050607", // bytes
  "0001ffff 0002fffe", // pair
  "00 0009000a0000", // shape: the arm is shorter than the union
  "010203040506 01 00030004", // holder
  "0002 0809", // count, data
  "00000006 686920e29c93", // note
]
  .join("")
  .replaceAll(" ", "");

describe("message codec", () => {
  it("writes every kind of field as VPP's C structs have it", () => {
    expect(codecs.encode("all_kinds", ALL_KINDS).toString("hex")).toBe(BYTES);
  });

  it("reads them back, without the fields that the transport or an array's length accounts for", () => {
    expect(codecs.decode("all_kinds", Buffer.from(BYTES, "hex"))).toEqual(ALL_KINDS);
  });

  it("fills what may be left out: defaults, and nothing for texts, arrays and flags", () => {
    const holder = { raw: new Uint8Array(6) };
    const value = {
      i8: 0,
      i32: 0,
      u64: 0,
      i64: 0,
      ip: "0.0.0.0",
      shape: { kind: 1, body: { blob: new Uint8Array(6) } },
      holder,
    };
    expect(codecs.decode("all_kinds", codecs.encode("all_kinds", value))).toEqual({
      ...value,
      on: true,
      u64: 0n,
      i64: 0n,
      f64: 1.5,
      row: 0xffff_ffff,
      marks: 0,
      key: new Uint8Array(4),
      name: "",
      bytes: new Uint8Array(3),
      pair: [
        { x: 0, y: 0 },
        { x: 0, y: 0 },
      ],
      holder: { ...holder, points: [] },
      data: new Uint8Array(0),
      note: "",
    });
  });

  it("keeps a union's bytes when its discriminator names no arm", () => {
    const bytes = Buffer.from(BYTES.replace("000009000a0000", "070009000a0000"), "hex");
    expect(codecs.decode("all_kinds", bytes)["shape"]).toEqual({ kind: 7, body: new Uint8Array([0, 9, 0, 10, 0, 0]) });
  });

  it("does not tie what it read to the buffer", () => {
    const bytes = Buffer.from(BYTES, "hex");
    const value = codecs.decode("all_kinds", bytes);
    bytes.fill(0xff);
    expect(value).toEqual(ALL_KINDS);
  });

  it("ignores what follows the message, as VPP's own clients do", () => {
    expect(codecs.decode("all_kinds", Buffer.from(`${BYTES}ffff`, "hex"))).toEqual(ALL_KINDS);
  });

  it("refuses a message that is cut off at any byte", () => {
    const bytes = Buffer.from(BYTES, "hex");
    for (let length = 10; length < bytes.length; length++) {
      expect(() => codecs.decode("all_kinds", bytes.subarray(0, length)), `${length} bytes`).toThrow(VppProtocolError);
    }
  });

  it("refuses a length that the message can't hold before it allocates anything", () => {
    const at = BYTES.length - 2 * (6 + 4);
    const huge = `${BYTES.slice(0, at)}ffffffff${BYTES.slice(at + 8)}`;
    expect(() => codecs.decode("all_kinds", Buffer.from(huge, "hex"))).toThrow("ends inside all_kinds.note");
  });

  it.each([
    ["a number that is too large", { i8: 128 }, "all_kinds.i8: 128 is not an i8"],
    ["a fraction", { i32: 1.5 }, "all_kinds.i32: 1.5 is not an i32"],
    ["a number as text", { i32: "1" }, 'all_kinds.i32: "1" is not an i32'],
    ["a missing number", { i32: undefined }, "all_kinds.i32 is missing (an i32)"],
    ["a number for a truth value", { on: 1 }, "all_kinds.on: 1 is not true or false"],
    ["a negative u64", { u64: -1n }, "all_kinds.u64: -1n is not a u64"],
    ["a u64 that a number can't hold", { u64: 2 ** 60 }, "all_kinds.u64"],
    ["a bad address", { ip: "192.0.2.256" }, 'all_kinds.ip: "192.0.2.256" is not an IPv4 address'],
    ["an address of the other family", { ip: "::1" }, "all_kinds.ip"],
    [
      "a text that is too long by its NUL",
      { name: "12345678" },
      'all_kinds.name: "12345678" is not a text of at most 7 bytes',
    ],
    ["a text with NUL", { note: "a\0b" }, "is not a text without NUL"],
    ["half a key", { key: new Uint8Array(3) }, "is not a Uint8Array of 4 bytes"],
    ["bytes as text", { data: "abc" }, 'all_kinds.data: "abc" is not a Uint8Array'],
    ["more elements than a fixed array has", { pair: [1, 2, 3] }, "is not an array of at most 2"],
    ["something else than an array", { pair: {} }, "all_kinds.pair: {} is not an array"],
    ["a struct that is missing", { shape: undefined }, "shape is missing (an object)"],
    ["an unknown arm", { shape: { kind: 0, body: { line: 1 } } }, "is not one of dot, blob"],
    [
      "an arm that its discriminator denies",
      { shape: { kind: 1, body: { dot: { x: 0, y: 0 } } } },
      "its discriminator",
    ],
    [
      "a field of a nested struct",
      { holder: { raw: new Uint8Array(6), points: [{ x: 65536, y: 0 }] } },
      "point.x: 65536 is not a u16",
    ],
  ])("refuses %s", (_, change, message) => {
    const encode = () => codecs.encode("all_kinds", { ...ALL_KINDS, ...change });
    expect(encode).toThrow(VppEncodeError);
    expect(encode).toThrow(message);
  });

  it("refuses more elements than the counting field can say", () => {
    const points = Array.from({ length: 256 }, () => ({ x: 0, y: 0 }));
    const holder = { raw: new Uint8Array(6), points };
    expect(() => codecs.encode("all_kinds", { ...ALL_KINDS, holder })).toThrow("an array of at most 255");
  });

  it("knows only the schema's messages", () => {
    expect(() => codecs.get("no_such_message")).toThrow(VppMessageUnavailableError);
  });
});
