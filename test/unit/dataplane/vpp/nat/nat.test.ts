import { describe, expect, it } from "vitest";
import {
  NAT44_TIMEOUTS,
  type Nat44DnatValue,
  validateNat44,
  validateNat44Dnat,
  validateNat44Identity,
} from "../../../../../src/models/vpp/nat.ts";

const backend = { address: "10.1.0.2", port: 8080, weight: 1 };
const web: Nat44DnatValue = {
  address: "192.0.2.1",
  port: 80,
  proto: "tcp",
  backends: [backend, { ...backend, port: 8081 }],
  affinity: 30,
  source: "keep",
  inOnly: false,
};

describe("NAT44's values", () => {
  it.each<[string, Nat44DnatValue]>([
    ["no backends", { ...web, backends: [] }],
    ["a backend twice", { ...web, backends: [backend, backend] }],
    ["affinity to the only backend", { ...web, backends: [backend] }],
    ["weights that add up to more than a byte", { ...web, backends: web.backends.map((b) => ({ ...b, weight: 128 })) }],
    ["an IPv6 address", { ...web, address: "fd10::1" }],
    ["port 0", { ...web, port: 0 }],
  ])("are refused with %s", (_why, bad) => {
    expect(() => validateNat44Dnat(bad)).toThrow(expect.objectContaining({ code: "INVALID_VALUE" }));
    expect(() => validateNat44Dnat(web)).not.toThrow();
  });

  it("are refused without sessions, which is how VPP says that NAT44 is off", () => {
    const value = { sessions: 1024, forwarding: false, timeouts: NAT44_TIMEOUTS };
    expect(() => validateNat44(value)).not.toThrow();
    expect(() => validateNat44({ ...value, sessions: 0 })).toThrow("sessions");
    expect(() => validateNat44({ ...value, timeouts: { ...NAT44_TIMEOUTS, udp: 0 } })).toThrow("timeouts.udp");
  });

  it("are refused as the identity of an IPv6 address", () => {
    expect(() => validateNat44Identity({ on: { address: "fd10::1" } })).toThrow("on.address");
  });
});
