import { describe, expect, it } from "vitest";
import { decodeIdentity, encodeIdentity, IdentityError, makeIdentity } from "../../../../cmd/vswitch-agent/identity.ts";
import { fullMessage } from "../../../../src/base/errors/errors.ts";
import { formatCidr } from "../../../../src/base/ip/cidr.ts";
import { agentConfigSchema } from "../../../../src/infra/config/agent-config.ts";
import { parsePools } from "../../../../src/nodes/subnets.ts";

const make = (network: object, id: number) => {
  const config = agentConfigSchema.parse({ network });
  return makeIdentity(config, "n7", id, parsePools(config.network.pools));
};

describe("a node's identity", () => {
  it("has the subnets that its ID gets of the pools", () => {
    const { name, id, subnets } = make({}, 7);
    expect([name, id, subnets.map(formatCidr)]).toEqual(["n7", 7, ["10.244.7.0/24", "fd10:244:0:7::/64"]]);
  });

  it("has the subnets that something else gave it, whatever its ID", () => {
    const { subnets } = make({ podCIDRs: ["10.9.9.0/24", "fd00:9::/64"] }, 7);
    expect(subnets.map(formatCidr)).toEqual(["10.9.9.0/24", "fd00:9::/64"]);
  });

  it("is refused for an ID that the pools have no subnet for", () => {
    const pools = [{ cidr: "10.0.0.0/22", nodePrefix: 24 }];
    expect(() => make({ pools }, 5)).toThrow(/network\.pools\[0\].*no pod subnet for node ID 5/);
  });

  it("reads back as it was written", () => {
    const identity = make({}, 3);
    expect(decodeIdentity(encodeIdentity(identity))).toEqual(identity);
  });

  it.each([
    "",
    "{}",
    '{"v":2,"name":"n7","id":7,"subnets":["10.0.0.0/24"]}',
    '{"v":1,"name":"n7","id":0,"subnets":["10.0.0.0/24"]}',
    '{"v":1,"name":"n7","id":7,"subnets":[]}',
    '{"v":1,"name":"n7","id":7,"subnets":["10.0.0.1/24"]}',
  ])("recorded as %j is refused by name, not replaced", (text) => {
    expect(() => decodeIdentity(text)).toThrow(IdentityError);
    expect(() => decodeIdentity(text)).toThrow("local database, node/identity: cannot be read");
  });

  it("says what is wrong with a record", () => {
    try {
      decodeIdentity('{"v":1,"name":"n7","id":7,"subnets":["10.0.0.1/24"]}');
    } catch (e) {
      expect(fullMessage(e)).toMatch(/10\.0\.0\.0\/24 was meant\?/);
    }
    expect.assertions(1);
  });
});
