import { describe, expect, it } from "vitest";
import { isElsewhere, leaseAlone, leaseOf, withLease } from "../../../../../src/dataplane/vpp/dhcp/lease-record.ts";
import type { TakenLinkValue } from "../../../../../src/models/linux.ts";

const V6_DEFAULT = { dst: "::/0", gateway: "fd77::fe", protocol: 4 };
const FOUND: TakenLinkValue = {
  link: "eth0",
  addresses: ["192.0.2.7/24", "198.51.100.9/28", "fd77::1/64"],
  routes: [
    { dst: "10.9.0.0/16", protocol: 4 },
    { dst: "0.0.0.0/0", gateway: "192.0.2.1", protocol: 16, source: "192.0.2.7" },
    { dst: "10.1.0.0/16", gateway: "192.0.2.3", protocol: 4, source: "192.0.2.7" },
    { dst: "10.2.0.0/16", gateway: "198.51.100.1", protocol: 4 },
    { dst: "10.3.0.0/16", gateway: "192.0.2.4", protocol: 16 },
    V6_DEFAULT,
  ],
  gro: true,
  requires: [],
};
const LEASE = { address: "192.0.2.77/24", router: "192.0.2.254" };

describe("a link with a lease", () => {
  it("has its address and router instead of what the kernel had, and what else can still be reached", () => {
    expect(withLease(FOUND, LEASE)).toEqual({
      ...FOUND,
      addresses: ["192.0.2.77/24", "fd77::1/64"],
      routes: [
        { dst: "10.1.0.0/16", gateway: "192.0.2.3", protocol: 4 },
        V6_DEFAULT,
        { dst: "0.0.0.0/0", gateway: "192.0.2.254", protocol: 16 },
      ],
      dhcp: true,
    });
  });

  it("is the same however many leases it had before", () => {
    const other = withLease(FOUND, { address: "192.0.2.78/24", router: "192.0.2.253" });
    expect(withLease(other, LEASE)).toEqual(withLease(FOUND, LEASE));
  });

  it("loses routes through a network that it is not in any more", () => {
    const { routes } = withLease(FOUND, { address: "203.0.113.5/24" });
    expect(routes).toEqual([V6_DEFAULT]);
  });

  it("reaches a router outside of its network directly", () => {
    const { routes } = withLease(FOUND, { address: "203.0.113.5/32", router: "169.254.0.1" });
    expect(routes).toContainEqual({ dst: "0.0.0.0/0", gateway: "169.254.0.1", protocol: 16, onLink: true });
  });

  it.each([LEASE, { address: "203.0.113.5/24" }])("tells which lease it was: %j", (lease) => {
    expect(leaseOf(withLease(FOUND, lease))).toEqual(lease);
  });

  it("tells of none where the addresses are the kernel's", () => {
    expect(leaseOf(FOUND)).toBeUndefined();
  });

  it("lends the kernel the lease and nothing else", () => {
    expect(leaseAlone(withLease(FOUND, LEASE))).toEqual({
      link: "eth0",
      addresses: ["192.0.2.77/24"],
      routes: [{ dst: "0.0.0.0/0", gateway: "192.0.2.254", protocol: 16 }],
      gro: false,
      requires: [],
    });
  });
});

it.each([
  ["the same", LEASE, LEASE, false],
  ["another address", LEASE, { ...LEASE, address: "192.0.2.78/24" }, true],
  ["another network", LEASE, { ...LEASE, address: "192.0.2.77/25" }, true],
  ["another router", LEASE, { ...LEASE, router: "192.0.2.1" }, true],
  ["no router any more", LEASE, { address: LEASE.address }, true],
  ["the first", undefined, LEASE, true],
])("a lease that is %s moves the node: %#", (_what, was, now, moves) => {
  expect(isElsewhere(was, now)).toBe(moves);
});
