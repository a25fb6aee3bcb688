import { describe, expect, it } from "vitest";
import { expectedApi } from "../../../../src/dataplane/vpp/binapi/gen/expected.gen.ts";
import type { MessageDifference } from "../../../../src/dataplane/vpp/binapi/index.ts";
import { featureWarnings } from "../../../../src/dataplane/vpp/features.ts";

const missing = (message: string, module: string): MessageDifference => ({
  message,
  module,
  kind: "missing",
  usable: false,
  details: [`the running VPP does not have it; is the plugin of ${module}.api loaded?`],
});
const messagesOf = (module: string): MessageDifference[] =>
  Object.entries(expectedApi.messages).flatMap(([name, m]) => (m.module === module ? [missing(name, module)] : []));

describe("what a VPP lacks", () => {
  it("is nothing to tell of where it lacks nothing", () => {
    expect(featureWarnings([])).toEqual([]);
  });

  it("is told by what is off without a plugin", () => {
    expect(featureWarnings([...messagesOf("memif"), ...messagesOf("cnat")])).toEqual([
      "VPP has no cnat plugin: off without it: services and host ports",
      "VPP has no memif plugin: off without it: memif interfaces of pods",
    ]);
  });

  it("is told by message where the plugin is there, in another version", () => {
    const changed: MessageDifference = {
      message: "cnat_translation_update",
      module: "cnat",
      kind: "changed",
      usable: false,
      details: ['flags: "u8 flags" expected, VPP has "u16 flags"'],
    };
    expect(featureWarnings([missing("cnat_session_purge", "cnat"), changed])).toEqual([
      "VPP: cnat.api missing: the running VPP does not have it; is the plugin of cnat.api loaded? (cnat_session_purge)",
      'VPP: cnat.api cnat_translation_update changed: flags: "u8 flags" expected, VPP has "u16 flags"',
    ]);
  });

  it("is told by message where it is of VPP itself", () => {
    const [first] = messagesOf("ip");
    expect(featureWarnings(messagesOf("ip"))).toEqual([expect.stringMatching(/^VPP: ip\.api missing: /)]);
    expect(first).toBeDefined();
  });
});
