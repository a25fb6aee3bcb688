import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { interfaceTag, parseInterfaceTag } from "../../../../../src/dataplane/vpp/interface/tag.ts";
import { type AfPacketValue, validateInterface } from "../../../../../src/models/vpp/interface.ts";

const value: AfPacketValue = {
  kind: "af-packet",
  name: "pod0.1",
  device: "eth0",
  mac: "02:fe:00:00:00:01",
  mtu: 1500,
  queues: 1,
  offload: false,
  qdisc: false,
};

describe("the tag of an interface", () => {
  it.each<[string, Partial<AfPacketValue>]>([
    ["heddle:pod0.1", {}],
    ["heddle:pod0.1#4,0", { queues: 4 }],
    ["heddle:pod0.1#1,1", { offload: true }],
    ["heddle:pod0.1#1,0,1", { qdisc: true }],
    ["heddle:pod0.1#4,1,1", { queues: 4, offload: true, qdisc: true }],
  ])("%s says what VPP does not dump", (tag, more) => {
    expect(interfaceTag({ ...value, ...more })).toBe(tag);
    const { name, queues, offload, qdisc } = { ...value, ...more };
    expect(parseInterfaceTag(tag)).toEqual({ name, queues, offload, qdisc });
  });

  it("fits into 63 bytes and is read as it was written, for the longest of names", () => {
    const name = "n".repeat(48);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 16 }), fc.boolean(), fc.boolean(), (queues, offload, qdisc) => {
        const one = { ...value, name, queues, offload, qdisc };
        validateInterface(one);
        const tag = interfaceTag(one);
        expect(Buffer.byteLength(tag)).toBeLessThanOrEqual(63);
        expect(parseInterfaceTag(tag)).toEqual({ name, queues, offload, qdisc });
      }),
    );
  });

  it.each(["", "pod0", "other:pod0", "heddle:pod0#", "heddle:pod0#1", "heddle:pod0#1,2", "heddle:pod0#1,0,0"])(
    "%j is not one of ours",
    (tag) => expect(parseInterfaceTag(tag)).toBeUndefined(),
  );
});
