import { afterAll, beforeAll, describe, it } from "vitest";
import { vrfDescriptor } from "../../../src/dataplane/vpp/l3/route.ts";
import { l3CrossConnectDescriptor } from "../../../src/dataplane/vpp/l3xc/l3xc.ts";
import type { RoutePath } from "../../../src/models/vpp/l3.ts";
import { type L3CrossConnectValue, l3CrossConnectKey } from "../../../src/models/vpp/l3xc.ts";
import { ItemsLab, port } from "../../support/vpp/items-lab.ts";
import { VPP_BINARY, vppNote } from "../../support/vpp/real-vpp.ts";

const connect = (name: string, family: 4 | 6, ...paths: RoutePath[]) => {
  const value: L3CrossConnectValue = { interface: name, family, paths };
  return [l3CrossConnectKey(value), value] as const;
};

describe.skipIf(VPP_BINARY === undefined)(`L3 cross-connects on a real VPP${vppNote}`, () => {
  let lab: ItemsLab;
  beforeAll(async () => {
    lab = await ItemsLab.start((scheduler, session) => {
      scheduler.register(vrfDescriptor(session));
      scheduler.register(l3CrossConnectDescriptor(session));
    });
  });
  afterAll(() => lab?.[Symbol.asyncDispose]());

  it("are made, read back, changed and removed", async () => {
    await lab.walk(
      [port("hda"), port("hdb")],
      [
        connect("hda", 4, { type: "via", interface: "hdb", gateway: "10.0.0.1" }),
        connect("hda", 6, { type: "via", interface: "hdb", gateway: "fd10::1" }),
        connect("hdb", 4, { type: "via", interface: "hda" }),
      ],
      [
        connect("hda", 4, { type: "via", interface: "hdb", gateway: "10.0.0.2" }),
        connect("hda", 6, { type: "drop" }),
        connect(
          "hdb",
          6,
          { type: "via", interface: "hda", gateway: "fd10::2", weight: 2 },
          { type: "via", interface: "hdb", gateway: "fd10::3" },
        ),
      ],
    );
  });
});
