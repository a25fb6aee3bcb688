import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Codecs } from "../../../../../src/dataplane/vpp/binapi/codec/codecs.ts";
import { VppSchemaError } from "../../../../../src/dataplane/vpp/binapi/errors.ts";
import {
  describeField,
  describeMessages,
  describeType,
} from "../../../../../src/dataplane/vpp/binapi/schema/describe.ts";
import { buildSchema, loadSchema } from "../../../../../src/dataplane/vpp/binapi/schema/load.ts";
import { parseApiFile } from "../../../../../src/dataplane/vpp/binapi/schema/parse.ts";
import { formatDifferences, verifyApi, verifyOptional } from "../../../../../src/dataplane/vpp/binapi/schema/verify.ts";
import { SMALL_API, smallFile } from "./small-api.ts";

const schema = buildSchema([smallFile()]);

describe("API file", () => {
  it("is read into types, messages and services", () => {
    expect(schema.modules.get("small")).toBe("1.2.3");
    expect(schema.services.get("all_kinds")).toEqual({
      request: "all_kinds",
      reply: "all_kinds_reply",
      stream: false,
      events: [],
    });
    const lines = schema.messages.get("all_kinds")?.fields.map(describeField);
    expect(lines).toContain("bool on=true");
    expect(lines).toContain("u8 data[count]");
    expect(lines).toContain("string name[8]");
    expect(lines).toContain("string note[*]");
    const types = [...schema.types.values()].map((t) => [t.name, ...describeType(t)]);
    expect(types).toContainEqual(["shape", "struct", "kind kind", "body body by kind"]);
    expect(types).toContainEqual(["marks", "flags u32", "MARK_A=1", "MARK_B=2"]);
    expect(types).toContainEqual(["key", "alias u8[4]"]);
  });

  it.each([
    ["no JSON", "{", "JSON"],
    ["another document", "[]", "not an object"],
    ["a name that is none", JSON.stringify({ ...SMALL_API, types: [["a b", ["u8", "x"]]] }), "is not a name"],
    ["a field twice", JSON.stringify({ ...SMALL_API, types: [["t", ["u8", "x"], ["u8", "x"]]] }), "t has x twice"],
    [
      "an array before its count",
      JSON.stringify({ ...SMALL_API, types: [["t", ["u8", "x", 0, "n"], ["u8", "n"]]] }),
      "precedes n",
    ],
    ["an array of no known length", JSON.stringify({ ...SMALL_API, types: [["t", ["u8", "x", 0]]] }), "unknown length"],
    [
      "an array of a length out of reach",
      JSON.stringify({ ...SMALL_API, types: [["t", ["u8", "x", 1e9]]] }),
      "impossible length",
    ],
    [
      "a message without CRC",
      JSON.stringify({ ...SMALL_API, messages: [["m", ["u16", "_vl_msg_id"], {}]] }),
      "crc of m",
    ],
  ])("with %s is refused by name", (_, text, message) => {
    expect(() => parseApiFile(text, "x.api.json")).toThrow(VppSchemaError);
    expect(() => parseApiFile(text, "x.api.json")).toThrow(message);
  });

  it("may repeat the types of other files, but not change them", () => {
    const same = smallFile({ module: "second", messages: [] });
    const other = smallFile({ module: "third", types: [["point", ["u32", "x"]]], messages: [] });
    const built = buildSchema([smallFile(), same, other]);
    expect([...built.modules.keys()]).toEqual(["small", "second"]);
    expect(built.problems).toEqual(["third: its type point differs from that of another file"]);
  });

  it("with an unknown type is left out alone", () => {
    const broken = smallFile({ module: "broken", types: [["t", ["vl_api_gone_t", "x"]]] });
    expect(buildSchema([broken]).problems[0]).toContain("t.x is of the unknown type gone");
  });

  it("with a type that contains itself is refused, not followed for ever", () => {
    const types = [...SMALL_API.types, ["loop", ["vl_api_loop_t", "next"]]];
    const messages = [["m", ["u16", "_vl_msg_id"], ["vl_api_loop_t", "l"], { crc: "0x00000001" }]];
    const codecs = new Codecs(buildSchema([smallFile({ types, messages })]));
    expect(() => codecs.get("m")).toThrow("contains itself");
  });
});

describe("directory of API files", () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "hd-api-"));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  it("is usable with one file broken, which is named", async () => {
    writeFileSync(join(directory, "good.api.json"), JSON.stringify(SMALL_API));
    writeFileSync(join(directory, "bad.api.json"), "nonsense");
    const loaded = await loadSchema(directory);
    expect(loaded.messages.has("all_kinds")).toBe(true);
    expect(loaded.problems).toEqual([expect.stringContaining("bad.api.json")]);
  });

  it("without any is an error that says where it looked", async () => {
    await expect(loadSchema(directory)).rejects.toThrow(directory);
    await expect(loadSchema(join(directory, "gone"))).rejects.toThrow(VppSchemaError);
  });
});

describe("comparison with what was generated", () => {
  const expected = describeMessages(schema, ["all_kinds", "all_kinds_reply"], "1.0");
  const ids = new Map([
    ["all_kinds_01020304", 1],
    ["all_kinds_reply_e8d4e804", 2],
  ]);
  const changed = (changes: Readonly<Record<string, unknown>>) => buildSchema([smallFile(changes)]);
  const fields: readonly (readonly unknown[])[] = SMALL_API.messages[0].slice(1, -1).map((f) => Object.values(f));
  const withCrc = (...list: readonly unknown[]) => [
    ["all_kinds", ...list, { crc: "0xaaaaaaaa" }],
    SMALL_API.messages[1],
  ];

  it("finds nothing in the same API", () => {
    expect(verifyApi(expected, schema, ids)).toEqual([]);
  });

  it("names a message that VPP lacks, and the plugin", () => {
    const [difference] = verifyApi(expected, changed({ messages: [SMALL_API.messages[1]] }));
    expect(difference).toMatchObject({ message: "all_kinds", module: "small", kind: "missing", usable: false });
    const running = verifyApi(expected, schema, new Map([["all_kinds_reply_e8d4e804", 2]]));
    expect(formatDifferences(running)).toBe(
      "small.api missing: the running VPP does not have it; is the plugin of small.api loaded? (all_kinds)\n",
    );
  });

  it("passes over a plugin that not every VPP has, and names it, but not over a part of it", () => {
    const lacking = (messages: readonly unknown[]) => changed({ messages });
    const [, reply] = SMALL_API.messages;
    expect(verifyOptional([expected], schema, ids)).toEqual({ differences: [], without: [] });
    expect(verifyOptional([expected], lacking([]))).toEqual({ differences: [], without: ["small"] });
    expect(verifyOptional([expected], schema, new Map())).toEqual({ differences: [], without: ["small"] });
    const part = verifyOptional([expected], lacking([reply]));
    expect(part).toMatchObject({ differences: [{ message: "all_kinds", kind: "missing" }], without: [] });
  });

  it("tells API files that are not the running VPP's", () => {
    const stale = new Map([...ids.entries()].map(([k, v]) => [k.replace("01020304", "99999999"), v]));
    expect(verifyApi(expected, schema, stale)[0]?.details[0]).toContain("CRC is 99999999");
  });

  it("names a field that was changed, wherever it is", () => {
    const types = [["point", ["u16", "x"], ["u16", "y"]], ...SMALL_API.types.slice(1)];
    const [difference] = verifyApi(expected, changed({ types, messages: withCrc(...fields) }));
    expect(difference).toMatchObject({ message: "all_kinds", kind: "changed", usable: false });
    expect(formatDifferences(difference ? [difference] : [])).toBe(
      'small.api all_kinds changed: pair[].y: "i16 y" expected, VPP has "u16 y"\n',
    );
    expect(difference?.details).toEqual(['pair[].y: "i16 y" expected, VPP has "u16 y"']);
  });

  it("names a field that is gone, and one that moved", () => {
    const gone = changed({ messages: withCrc(...fields.filter((f) => f[1] !== "i8")) });
    expect(verifyApi(expected, gone)[0]?.details).toEqual(["i8: i8 i8 expected, VPP has no such field"]);
    const moved = [...fields.slice(0, 4), fields[5], fields[4], ...fields.slice(6)];
    expect(verifyApi(expected, changed({ messages: withCrc(...moved) }))[0]?.details).toEqual([
      "*: the fields stand in another order",
    ]);
  });

  it("lets additions pass that have a default, and new values of an enum", () => {
    const added = changed({
      enums: [["kind", ["KIND_DOT", 0], ["KIND_BLOB", 1], ["KIND_LINE", 2], { enumtype: "u8" }]],
      messages: withCrc(...fields, ["u32", "extra", { default: 5 }]),
    });
    expect(verifyApi(expected, added)[0]).toEqual({
      message: "all_kinds",
      module: "small",
      kind: "changed",
      usable: true,
      details: ["shape.kind: new value KIND_LINE=2 in VPP", 'extra: new in VPP, "u32 extra=5"'],
    });
    const required = changed({ messages: withCrc(...fields, ["u32", "extra"]) });
    expect(verifyApi(expected, required)[0]).toMatchObject({
      usable: false,
      details: ['extra: new in VPP, "u32 extra"'],
    });
  });
});
