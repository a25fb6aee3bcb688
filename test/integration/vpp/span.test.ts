import { afterAll, beforeAll, describe, it } from "vitest";
import { spanDescriptor } from "../../../src/dataplane/vpp/span/span.ts";
import { type SpanValue, spanKey } from "../../../src/models/vpp/span.ts";
import { ItemsLab, port } from "../../support/vpp/items-lab.ts";
import { VPP_BINARY, vppNote } from "../../support/vpp/real-vpp.ts";

const span = (value: SpanValue) => [spanKey(value), value] as const;

describe.skipIf(VPP_BINARY === undefined)(`mirrored interfaces on a real VPP${vppNote}`, () => {
  let lab: ItemsLab;
  beforeAll(async () => {
    lab = await ItemsLab.start((scheduler, session) => scheduler.register(spanDescriptor(session)));
  });
  afterAll(() => lab?.[Symbol.asyncDispose]());

  it("are made, read back, changed and removed", async () => {
    await lab.walk(
      [port("hda"), port("hdb"), port("hdc")],
      [
        span({ from: "hda", to: "hdb", direction: "rx", l2: false }),
        span({ from: "hda", to: "hdc", direction: "both", l2: true }),
      ],
      [
        span({ from: "hda", to: "hdb", direction: "both", l2: false }),
        span({ from: "hdb", to: "hdc", direction: "tx", l2: false }),
      ],
    );
  });
});
