import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Codecs, type MessageValue } from "../../../../../src/dataplane/vpp/binapi/codec/codecs.ts";
import { skipNote, testSchema, VPP_API_DIRECTORY } from "../../../../support/vpp/api-files.ts";

// Values and bytes as VPP's own Python client packs them; golden/capture.py says how they were made.
const GOLDEN = JSON.parse(readFileSync(join(import.meta.dirname, "golden/papi.json"), "utf8")) as readonly {
  readonly message: string;
  readonly value: MessageValue;
  readonly hex: string;
}[];

describe(`messages as VPP's own Python client packs them${skipNote}`, () => {
  it.skipIf(VPP_API_DIRECTORY === undefined).each(GOLDEN)("have the same bytes here: $message", async (golden) => {
    const codecs = new Codecs(await testSchema());
    expect(codecs.encode(golden.message, golden.value).toString("hex")).toBe(golden.hex);
    const decoded = codecs.decode(golden.message, Buffer.from(golden.hex, "hex"));
    expect(codecs.encode(golden.message, decoded).toString("hex")).toBe(golden.hex);
  });
});
