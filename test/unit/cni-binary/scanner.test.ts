import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isJsonObject } from "../../../src/pods/cni/json.ts";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const directory = mkdtempSync(join(tmpdir(), "hd-scan-"));
const harness = join(directory, "scanner");

beforeAll(() => {
  const flags = ["-std=c++17", "-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
  const sources = ["test/unit/cni-binary/scanner-harness.cpp", "cmd/cni-binary/json.cpp"];
  execFileSync("g++", [...flags, "-Icmd/cni-binary", "-o", harness, ...sources], { cwd: root });
}, 120_000);
afterAll(() => rmSync(directory, { recursive: true }));

/** What the scanner says of each text; a crash or a sanitizer's complaint fails the test. */
function scan(texts: readonly Buffer[]): string[] {
  const input = texts.flatMap((text) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(text.length);
    return [length, text];
  });
  const run = spawnSync(harness, { input: Buffer.concat(input), maxBuffer: 1 << 28 });
  expect(run.stderr.toString()).toBe("");
  expect(run.status).toBe(0);
  return run.stdout.toString().split("\n").slice(0, -1);
}

const KEYS = ["cniVersion", "cniSocket", "cniTimeoutSeconds"] as const;

/** The same, as JSON.parse sees it. */
function expected(bytes: Buffer): string {
  let json: unknown;
  try {
    json = JSON.parse(bytes.toString("latin1"));
  } catch {
    return "bad";
  }
  if (!isJsonObject(json)) return "bad";
  return ["ok", ...KEYS.map((key) => (Object.hasOwn(json, key) ? describeValue(json[key]) : "0"))].join(" ");
}

function describeValue(value: unknown): string {
  if (typeof value === "number") return "2";
  if (typeof value !== "string") return "3";
  const bytes = encode(value);
  return bytes.length > 107 ? "1:long" : `1:${bytes.toString("hex")}`;
}

/** As the scanner decodes: raw bytes stay what they are, escapes become UTF-8, lone surrogates too. */
function encode(text: string): Buffer {
  return Buffer.concat(
    Array.from(text, (character) => {
      const code = character.codePointAt(0) ?? 0;
      if (code < 0xd800 || code > 0xdfff) return Buffer.from(character);
      return Buffer.from([0xe0 | (code >> 12), 0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f)]);
    }),
  );
}

/** Of each text both think the same. */
function agree(texts: readonly Buffer[]): boolean {
  const results = scan(texts).map((line) => (line.startsWith("bad ") ? "bad" : line));
  const at = texts.findIndex((text, i) => results[i] !== expected(text));
  const text = texts[at];
  if (text === undefined) return true;
  throw new Error(`${JSON.stringify(text.toString("latin1"))}: ${results[at]}, expected ${expected(text)}`);
}

// Only ASCII goes in: a byte above 127 would be one character to JSON.parse here and part of one to the scanner.
const ascii = (text: string): Buffer =>
  Buffer.from(text.replaceAll(/[^\0-\u007f]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`));

const key = fc.oneof(fc.constantFrom(...KEYS), fc.string({ unit: "binary", maxLength: 40 }));
const value = fc.oneof(
  { weight: 3, arbitrary: fc.string({ unit: "binary", maxLength: 130 }) },
  { weight: 1, arbitrary: fc.double({ noNaN: true, noDefaultInfinity: true }) },
  { weight: 2, arbitrary: fc.jsonValue({ maxDepth: 3 }) },
);
const document = fc
  .array(fc.tuple(key, value), { maxLength: 6 })
  .chain((pairs) =>
    fc
      .constantFrom("", " ", "\n\t", "\r\n ")
      .map((gap) =>
        ascii(
          `{${gap}${pairs.map(([k, v]) => JSON.stringify(k) + gap + ":" + gap + JSON.stringify(v)).join(gap + ",")}${gap}}${gap}`,
        ),
      ),
  );

/** A few bytes changed, cut out, doubled or put in, mostly ones that mean something. */
const mutated = fc
  .tuple(
    document,
    fc.array(fc.tuple(fc.nat(), fc.nat(3), fc.constantFrom(...Array.from('{}[]:,"\\u0-+.eE1 \n\0tfn'))), {
      maxLength: 4,
    }),
  )
  .map(([bytes, changes]) => {
    let text = bytes.toString("latin1");
    for (const [position, kind, character] of changes) {
      const at = position % (text.length + 1);
      if (kind === 0) text = text.slice(0, at) + character + text.slice(at + 1);
      else if (kind === 1) text = text.slice(0, at) + text.slice(at + 1);
      else if (kind === 2) text = text.slice(0, at) + character + text.slice(at);
      else text = text.slice(0, at);
    }
    return Buffer.from(text, "latin1");
  });

// One process looks at many texts: starting one costs more than looking.
const many = (arbitrary: fc.Arbitrary<Buffer>) => fc.array(arbitrary, { minLength: 200, maxLength: 400, size: "max" });

const nested = (levels: number): Buffer => Buffer.from(`${'{"a":'.repeat(levels)}1${"}".repeat(levels)}`);

describe("the executable's JSON scanner", () => {
  it("reads what JSON.parse reads from any object", () => {
    expect(() => fc.assert(fc.property(many(document), agree), { numRuns: 12, endOnFailure: true })).not.toThrow();
  });

  it("refuses what JSON.parse refuses after any change of a few bytes", () => {
    expect(() => fc.assert(fc.property(many(mutated), agree), { numRuns: 25, endOnFailure: true })).not.toThrow();
  });

  it("agrees with JSON.parse on every text that is one ASCII character away from a rich one", () => {
    const text = '{"cniVersion":"\\u00eF\\n","a":[1,-2.5e+30,0,{"b":null}], "cniSocket": "/x","t":true,"f":false}';
    const characters = Array.from({ length: 128 }, (_, code) => String.fromCharCode(code));
    const texts: Buffer[] = [];
    for (let at = 0; at <= text.length; at++) {
      const before = text.slice(0, at);
      const replaced = characters.map((c) => Buffer.from(before + c + text.slice(at + 1)));
      const inserted = characters.map((c) => Buffer.from(before + c + text.slice(at)));
      texts.push(...replaced, ...inserted);
    }
    expect(agree(texts)).toBe(true);
  });

  it("touches nothing beyond any bytes at all", () => {
    const bytes = fc.uint8Array({ maxLength: 60 }).map((array) => Buffer.concat([Buffer.from("{"), array]));
    fc.assert(
      fc.property(many(bytes), (texts) => {
        expect(scan(texts)).toHaveLength(texts.length);
      }),
      { numRuns: 10, endOnFailure: true },
    );
  });

  it("refuses an object cut off anywhere", () => {
    const text = ascii(
      '{"cniVersion":"1.\\u00e9\\ud83d\\ude00","a":[1,-2.5e+3,{"b":null}],"cniSocket":"/run/x","t":true}',
    );
    const cuts = Array.from(text, (_, i) => text.subarray(0, i));
    expect(scan(cuts).every((line) => line.startsWith("bad "))).toBe(true);
    expect(agree([text])).toBe(true);
  });

  it("takes 128 levels and no more", () => {
    expect(scan([nested(128), nested(129), nested(100_000)]).map((line) => line.slice(0, 3))).toEqual([
      "ok ",
      "bad",
      "bad",
    ]);
  });

  it.each([
    ['{"cniSocket":"/a","cniSocket":"/b"}', "ok 0 1:2f62 0"],
    ['{"cniSocket":"\\ud83d\\ude00"}', "ok 0 1:f09f9880 0"],
    ['{"cniSocket":"\\ud83d"}', "ok 0 1:eda0bd 0"],
    ['{"cniSocket":"\\ud83d\\u0041"}', "ok 0 1:eda0bd41 0"],
    ['{"cniSocket":"\\b\\f\\n\\r\\t\\"\\\\\\/"}', "ok 0 1:080c0a0d09225c2f 0"],
    ['{"cniTimeoutSeconds":1,"cniVersion":null}', "ok 3 0 2"],
  ])("sees %s as %s", (text, line) => {
    expect(scan([Buffer.from(text)])).toEqual([line]);
  });
});
