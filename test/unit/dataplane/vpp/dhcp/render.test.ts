import { describe, expect, it } from "vitest";
import { parseIp } from "../../../../../src/base/ip/address.ts";
import { leasingItems, uplinkItems } from "../../../../../src/dataplane/vpp/nodes/uplink.ts";
import { byKey, UPLINK } from "../../../../support/vpp/rendered.ts";

const LEASED = { ...UPLINK, dhcp: { hostname: "n1" } };
const CLUSTER = { clusterCIDRs: ["10.244.0.0/16"], podCIDRs: ["10.244.1.0/24"], gateways: [parseIp("10.244.1.1")] };

describe("an uplink with a lease", () => {
  const plain = byKey(uplinkItems(UPLINK, CLUSTER));
  const leased = byKey(uplinkItems(LEASED, CLUSTER));

  it("is told VPP with all but what VPP puts in place itself", () => {
    const keys = new Set(Object.keys(leased));
    expect(Object.keys(plain).filter((key) => !keys.has(key))).toEqual([
      "vpp/address/uplink-eth0/192.168.0.1/24",
      "vpp/route/0/0.0.0.0/0",
    ]);
    expect(leased["vpp/dhcp-client/uplink-eth0"]).toEqual({
      interface: "uplink-eth0",
      hostname: "n1",
      clientId: "heddle-02:00:00:00:01:01",
      broadcast: true,
    });
    expect(leased["vpp/interface-up/uplink-eth0"]).toMatchObject({ requires: ["vpp/address/uplink-eth0/fd00::1/64"] });
  });

  it("has the same of the host as with addresses of its own", () => {
    const ofHost = (items: Record<string, unknown>) =>
      Object.keys(items).filter((key) => /^linux\/(address|route)/.test(key));
    expect(ofHost(leased)).toEqual(ofHost(plain));
    expect(leased["linux/taken-link/eth0"]).toMatchObject({ addresses: UPLINK.addresses, dhcp: true });
  });

  it("has the former address beside the new one on the host, which uses the new one", () => {
    const moving = byKey(uplinkItems({ ...LEASED, former: "192.168.0.9/24" }, CLUSTER));
    expect(Object.keys(moving).filter((key) => !(key in leased))).toEqual(["linux/address/hdhost/node/192.168.0.9/32"]);
    expect(moving["linux/route/node/0.0.0.0/0"]).toMatchObject({ source: "192.168.0.1" });
  });

  it("shares the interface and the client with what asks for the first lease", () => {
    for (const [key, value] of Object.entries(byKey(leasingItems(LEASED)))) {
      if (key.startsWith("vpp/interface-up/")) continue; // before it has an address of any family
      expect({ ...(leased[key] as object), requires: undefined }, key).toEqual({
        ...(value as object),
        requires: undefined,
      });
    }
  });
});
