import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { bytesToIp, tryParseIp } from "../../src/base/ip/address.ts";
import { Codecs, cursorOf } from "../../src/dataplane/vpp/binapi/codec/codecs.ts";
import { readIp6, writeAddress, writeIp4, writeIp6 } from "../../src/dataplane/vpp/binapi/codec/text.ts";
import { VppDecodeError, VppProtocolError } from "../../src/dataplane/vpp/binapi/errors.ts";
import type { ApiSchema } from "../../src/dataplane/vpp/binapi/schema/model.ts";
import { skipNote, testSchema, VPP_API_DIRECTORY } from "../support/vpp/api-files.ts";
import { ArbitraryMessages } from "../support/vpp/arbitrary.ts";

const RUNS = process.env["HEDDLE_TEST_ALL"] === "1" ? 50 : 3;
/** Files and messages of VPP 26.06; a later release has more. */
const FILES = 111;
const MESSAGES = 1601;

describe(`every message of every API file${skipNote}`, () => {
  let schema: ApiSchema;
  beforeAll(async () => {
    if (VPP_API_DIRECTORY !== undefined) schema = await testSchema();
  });

  it.skipIf(VPP_API_DIRECTORY === undefined)(`comes from at least ${FILES} files that could all be used`, () => {
    expect(schema.problems).toEqual([]);
    expect(schema.modules.size).toBeGreaterThanOrEqual(FILES);
    expect(schema.messages.size).toBeGreaterThanOrEqual(MESSAGES);
  });

  it.skipIf(VPP_API_DIRECTORY === undefined).each(["text", "raw"] as const)(
    "is the same after encoding and decoding, addresses as %s",
    (addresses) => {
      const codecs = new Codecs(schema, { addresses });
      const values = new ArbitraryMessages(schema, addresses === "text");
      for (const name of schema.messages.keys()) {
        const check = fc.property(values.of(name), (value) => {
          const bytes = codecs.encode(name, value);
          expect(bytes.length).toBe(codecs.get(name).size(value));
          const cursor = cursorOf(bytes);
          expect(codecs.get(name).decode(cursor)).toEqual(value);
          expect(cursor.o).toBe(bytes.length);
        });
        fc.assert(check, { numRuns: RUNS, seed: name.length });
      }
    },
    600_000,
  );

  it.skipIf(VPP_API_DIRECTORY === undefined)(
    "that is cut off anywhere is refused, and nothing else happens",
    () => {
      const codecs = new Codecs(schema);
      const values = new ArbitraryMessages(schema, true);
      for (const name of schema.messages.keys()) {
        const [value] = fc.sample(values.of(name), { numRuns: 1, seed: name.length });
        const bytes = codecs.encode(name, value ?? {});
        const { header } = codecs.get(name);
        // Every length for short messages, some for long ones; the transport checks the header itself.
        const step = Math.max(1, Math.floor((bytes.length - header.size) / 16));
        for (let length = header.size; length < bytes.length; length += step) {
          expect(() => codecs.decode(name, bytes.subarray(0, length)), `${name} of ${length}`).toThrow(
            VppProtocolError,
          );
        }
      }
    },
    120_000,
  );

  it.skipIf(VPP_API_DIRECTORY === undefined)("of random bytes gives a value or one of two errors", () => {
    const codecs = new Codecs(schema);
    const names = [...schema.messages.keys()];
    const check = fc.property(
      fc.constantFrom(...names),
      fc.uint8Array({ minLength: 10, maxLength: 400 }),
      (name, bytes) => {
        try {
          codecs.decode(name, bytes);
        } catch (e) {
          expect(e instanceof VppProtocolError || e instanceof VppDecodeError).toBe(true);
        }
      },
    );
    fc.assert(check, { numRuns: 3000 * RUNS });
  });
});

describe("addresses as text", () => {
  it("are written exactly as the address library reads them", () => {
    const alphabet = fc.constantFrom("0", "1", "9", "a", "F", ":", "::", ".", "255", "ffff", "/", "g", "127.0.0.1");
    const text = fc.oneof(
      fc.array(alphabet, { maxLength: 12 }).map((parts) => parts.join("")),
      fc.ipV4(),
      fc.ipV6(),
      fc.ipV4Extended(),
    );
    const check = fc.property(text, (t) => {
      const b = new Uint8Array(17);
      const parsed = tryParseIp(t);
      const isIp6 = t.includes(":");
      expect(writeAddress(b, 0, t)).toBe(parsed !== undefined);
      expect(writeIp4(new Uint8Array(4), 0, t)).toBe(parsed !== undefined && !isIp6);
      expect(writeIp6(new Uint8Array(16), 0, t)).toBe(parsed !== undefined && isIp6);
      if (parsed !== undefined) expect(bytesToIp(b.subarray(1, isIp6 ? 17 : 5))).toBe(parsed);
    });
    fc.assert(check, { numRuns: 2000 });
  });

  it("of IPv6 survive the way there and back", () => {
    const check = fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
      const b = new Uint8Array(16);
      expect(writeIp6(b, 0, readIp6(bytes, 0))).toBe(true);
      expect(b).toEqual(bytes);
    });
    fc.assert(check, { numRuns: 2000 });
  });
});
