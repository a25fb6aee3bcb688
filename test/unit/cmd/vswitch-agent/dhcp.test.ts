import { describe, expect, it } from "vitest";
import { dhcpOf } from "../../../../cmd/vswitch-agent/dataplane.ts";
import { agentConfigSchema } from "../../../../src/infra/config/agent-config.ts";

const of = (config: object, nodeName = "n1") => dhcpOf(agentConfigSchema.parse(config), nodeName);
const enabled = { vpp: { dhcp: { enabled: true } } };

describe("DHCP on the uplink", () => {
  it("is off unless asked for", () => {
    expect(of({ vpp: { dhcp: { link: "eth0" } } })).toBeUndefined();
  });

  it.each([
    ["n1.example.org", "n1.example.org"],
    ["node_1 ü", "node-1--"],
    ["n".repeat(100), "n".repeat(63)],
  ])("asks under the node's name: %s", (name, hostname) => {
    expect(of(enabled, name)).toEqual({ hostname, link: undefined, wait: 60_000 });
  });

  it("takes another link and patience", () => {
    expect(of({ vpp: { dhcp: { enabled: true, link: "eth1", waitSeconds: 5 } } })).toMatchObject({
      link: "eth1",
      wait: 5000,
    });
  });

  it("goes with a chosen IPv6 address, and with no chosen IPv4 one", () => {
    expect(of({ ...enabled, network: { nodeIPs: ["2001:db8::1"] } })).toBeDefined();
    expect(() => of({ ...enabled, network: { nodeIPs: ["2001:db8::1", "192.0.2.7"] } })).toThrow(
      /192\.0\.2\.7.*vpp\.dhcp/,
    );
  });
});
