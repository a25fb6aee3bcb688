import { describe, expect, it } from "vitest";
import {
  type InterfaceVrfValue,
  interfaceVrfKey,
  validateAddress,
  validateInterfaceVrf,
  validateUnnumbered,
} from "../../../../../src/models/vpp/l3.ts";

const refused = expect.objectContaining({ code: "INVALID_VALUE" });

describe("an interface in a table", () => {
  const good: InterfaceVrfValue = { interface: "hda", family: 6, vrf: 0xffff_fffe };

  it("is accepted, and has a key of its own in each family", () => {
    expect(() => validateInterfaceVrf(good)).not.toThrow();
    expect(interfaceVrfKey(good)).toBe("vpp/interface-vrf/6/hda");
    expect(interfaceVrfKey({ ...good, family: 4 })).toBe("vpp/interface-vrf/4/hda");
  });

  it.each<[string, Partial<InterfaceVrfValue>]>([
    ["the table that it is in without", { vrf: 0 }],
    ["the number that stands for none", { vrf: 0xffff_ffff }],
    ["a name that is none", { interface: "" }],
  ])("is refused with %s", (_why, bad) => expect(() => validateInterfaceVrf({ ...good, ...bad })).toThrow(refused));

  it("is named by its number only where that is not 0", () => {
    const address = { interface: "hda", address: "10.1.0.1/24" };
    expect(() => validateAddress({ ...address, vrf: 5 })).not.toThrow();
    expect(() => validateAddress({ ...address, vrf: 0 })).toThrow(refused);
    const unnumbered = { interface: "hda", to: "hdb" };
    expect(() => validateUnnumbered({ ...unnumbered, vrf4: 5, vrf6: 5 })).not.toThrow();
    expect(() => validateUnnumbered({ ...unnumbered, vrf6: 0 })).toThrow(refused);
  });
});
