import { parseApiFile } from "../../../../../src/dataplane/vpp/binapi/schema/parse.ts";

/** An API file with one of everything that the language has. */
export const SMALL_API = {
  module: "small",
  options: { version: "1.2.3" },
  types: [
    ["point", ["u16", "x"], ["i16", "y"]],
    ["shape", ["vl_api_kind_t", "kind"], ["vl_api_body_t", "body", { discriminator: "kind" }]],
    ["holder", ["vl_api_body_t", "raw"], ["u8", "n"], ["vl_api_point_t", "points", 0, "n"]],
  ],
  unions: [["body", ["vl_api_point_t", "dot", { case: "KIND_DOT" }], ["u8", "blob", 6, { case: "KIND_BLOB" }]]],
  enums: [["kind", ["KIND_DOT", 0], ["KIND_BLOB", 1], { enumtype: "u8" }]],
  enumflags: [["marks", ["MARK_A", 1], ["MARK_B", 2], { enumtype: "u32" }]],
  aliases: { key: { type: "u8", length: 4 }, row: { type: "u32" }, ip4_address: { type: "u8", length: 4 } },
  messages: [
    [
      "all_kinds",
      ["u16", "_vl_msg_id"],
      ["u32", "client_index"],
      ["u32", "context"],
      ["bool", "on", { default: "true" }],
      ["i8", "i8"],
      ["i32", "i32"],
      ["u64", "u64"],
      ["i64", "i64"],
      ["f64", "f64", { default: 1.5 }],
      ["vl_api_row_t", "row", { default: 4294967295 }],
      ["vl_api_marks_t", "marks"],
      ["vl_api_key_t", "key"],
      ["vl_api_ip4_address_t", "ip"],
      ["string", "name", 8],
      ["u8", "bytes", 3],
      ["vl_api_point_t", "pair", 2],
      ["vl_api_shape_t", "shape"],
      ["vl_api_holder_t", "holder"],
      ["u16", "count"],
      ["u8", "data", 0, "count"],
      ["string", "note", 0],
      { crc: "0x01020304", options: {} },
    ],
    ["all_kinds_reply", ["u16", "_vl_msg_id"], ["u32", "context"], ["i32", "retval"], { crc: "0xe8d4e804" }],
  ],
  services: { all_kinds: { reply: "all_kinds_reply" } },
} as const;

export const smallFile = (changes: Readonly<Record<string, unknown>> = {}) =>
  parseApiFile(JSON.stringify({ ...SMALL_API, ...changes }), "small.api.json");

/** A value for `all_kinds` in which every field differs from zero. */
export const ALL_KINDS = {
  on: false,
  i8: -2,
  i32: -3,
  u64: 0xffff_ffff_ffff_fffen,
  i64: -5n,
  f64: -2.5,
  row: 7,
  marks: 3,
  key: new Uint8Array([1, 2, 3, 4]),
  ip: "192.0.2.1",
  name: "grün",
  bytes: new Uint8Array([5, 6, 7]),
  pair: [
    { x: 1, y: -1 },
    { x: 2, y: -2 },
  ],
  shape: { kind: 0, body: { dot: { x: 9, y: 10 } } },
  holder: { raw: new Uint8Array([1, 2, 3, 4, 5, 6]), points: [{ x: 3, y: 4 }] },
  data: new Uint8Array([8, 9]),
  note: "hi ✓",
};
