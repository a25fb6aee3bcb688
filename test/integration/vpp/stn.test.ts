import { afterAll, beforeAll, describe, it } from "vitest";
import { stnRuleDescriptor } from "../../../src/dataplane/vpp/stn/stn.ts";
import { stnRuleKey } from "../../../src/models/vpp/stn.ts";
import { ItemsLab, port } from "../../support/vpp/items-lab.ts";
import { VPP_BINARY, vppNote } from "../../support/vpp/real-vpp.ts";

const rule = (address: string, name: string) => [stnRuleKey({ address }), { address, interface: name }] as const;

describe.skipIf(VPP_BINARY === undefined)(`rules of what goes to the host, on a real VPP${vppNote}`, () => {
  let lab: ItemsLab;
  beforeAll(async () => {
    lab = await ItemsLab.start((scheduler, session) => scheduler.register(stnRuleDescriptor(session)));
  });
  afterAll(() => lab?.[Symbol.asyncDispose]());

  it("are made, read back, changed and removed", async () => {
    await lab.walk(
      [port("hda"), port("hdb")],
      [rule("192.0.2.1", "hda"), rule("fd10::1", "hda")],
      [rule("192.0.2.1", "hdb"), rule("192.0.2.2", "hda")],
    );
  });
});
