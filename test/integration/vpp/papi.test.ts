import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Codecs, type MessageValue } from "../../../src/dataplane/vpp/binapi/codec/codecs.ts";
import { skipNote, testSchema, VPP_API_DIRECTORY } from "../../support/vpp/api-files.ts";
import { ArbitraryMessages } from "../../support/vpp/arbitrary.ts";
import { PAPI_PATH, packWithPapi, papiNote } from "../../support/vpp/papi.ts";

const RUNS = process.env["HEDDLE_TEST_ALL"] === "1" ? 20 : 2;
const skip = VPP_API_DIRECTORY === undefined || PAPI_PATH === undefined;

/** An arm of its last union that is not bytes; Python can't be told these bytes. */
const NOT_FOR_PYTHON = new Set(["npol_ipset_add_del_members"]);

describe.skipIf(skip)(`VPP's own Python client${skipNote || papiNote}`, () => {
  it("packs random values of every message to the same bytes", async () => {
    const schema = await testSchema();
    const codecs = new Codecs(schema);
    const values = new ArbitraryMessages(schema, true);
    const cases = [...schema.messages.keys()]
      .filter((message) => !NOT_FOR_PYTHON.has(message))
      .flatMap((message) =>
        fc.sample(values.of(message), { numRuns: RUNS, seed: 7 }).map((value) => ({ message, value: ascii(value) })),
      );
    const packed = packWithPapi(schema, VPP_API_DIRECTORY ?? "", cases);
    expect(packed).toHaveLength(cases.length);
    for (const [i, { message, value }] of cases.entries()) {
      expect(codecs.encode(message, value).toString("hex"), message).toBe(packed[i]);
    }
  });
});

/** Python's client encodes texts as ASCII. */
function ascii(value: MessageValue): MessageValue {
  const convert = (v: unknown): unknown => {
    if (typeof v === "string") return v.replaceAll(/[^\x20-\x7e]/g, "?");
    if (Array.isArray(v)) return v.map(convert);
    return typeof v === "object" && v !== null && !(v instanceof Uint8Array) ? ascii(v as MessageValue) : v;
  };
  return Object.fromEntries(Object.entries(value).map(([key, v]) => [key, convert(v)]));
}
