import { describe, expect, it } from "vitest";
import { parseUdpPunt } from "../../../../../src/dataplane/vpp/punt/parse.ts";
import { type PuntRedirectValue, puntRedirectKey, validatePuntRedirect } from "../../../../../src/models/vpp/punt.ts";

describe("a redirection of punted packets", () => {
  const path = { interface: "hda", nextHop: "10.1.0.2" };
  const good: PuntRedirectValue = { family: 4, rx: "hdb", paths: [path, { ...path, nextHop: "10.1.0.3" }] };

  it("is accepted", () => {
    expect(() => validatePuntRedirect(good)).not.toThrow();
    expect(() => validatePuntRedirect({ family: 6, paths: [{ ...path, nextHop: "fe80::1" }] })).not.toThrow();
  });

  it("of any interface has a key that no interface's has", () => {
    expect(puntRedirectKey(good)).toBe("vpp/punt-redirect/4/hdb");
    expect(puntRedirectKey({ family: 4 })).toBe("vpp/punt-redirect/4/*");
    expect(() => validatePuntRedirect({ ...good, rx: "*" })).toThrow("rx");
  });

  it.each<[string, PuntRedirectValue]>([
    ["no path", { ...good, paths: [] }],
    ["a next hop of the other family", { ...good, family: 6 }],
    ["a next hop that is nobody's", { ...good, paths: [{ ...path, nextHop: "0.0.0.0" }] }],
    ["a next hop that is not canonical", { family: 6, paths: [{ ...path, nextHop: "FE80::1" }] }],
    ["an interface that is none", { ...good, paths: [{ ...path, interface: "" }] }],
    ["a path twice", { ...good, paths: [path, path] }],
    [
      "more paths than VPP has buckets",
      { ...good, paths: Array.from({ length: 256 }, (_, i) => ({ ...path, nextHop: `10.1.1.${i}` })) },
    ],
  ])("is refused with %s", (_why, bad) => {
    expect(() => validatePuntRedirect(bad)).toThrow(expect.objectContaining({ code: "INVALID_VALUE" }));
  });
});

// vppctl show udp punt (VPP 26.06): with a VXLAN tunnel; then after `set punt` of IPv6, of both families
describe("`show udp punt`", () => {
  it.each<[string, readonly (4 | 6)[]]>([
    ["IPV4 UDP ports punt : 4789, 4789\nIPV6 UDP ports punt : \n", []],
    ["IPV4 UDP ports punt : 4789, 4789\r\nIPv6 UDP punt: enabled\r\n", [6]],
    ["IPv4 UDP punt: enabled\nIPv6 UDP punt: enabled\n", [4, 6]],
  ])("of %j is read as %j", (text, families) => expect(parseUdpPunt(text)).toEqual(families));

  it("of another form is an error: nothing would look like off", () => {
    expect(() => parseUdpPunt("UDP punt: all\n")).toThrow("show udp punt");
  });
});
