import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type HostPort, type SandboxId, sandboxId } from "../../../src/pods/api.ts";
import { HostPorts } from "../../../src/pods/host-ports.ts";

const [a, b] = [sandboxId("a", "eth0"), sandboxId("b", "eth0")];
const port = (hostIp?: string, more: Partial<HostPort> = {}): HostPort => ({
  protocol: "tcp",
  hostPort: 80,
  containerPort: 8080,
  hostIp,
  ...more,
});

describe("a port of the node", () => {
  it.each([
    // first, second, whether they collide
    [undefined, undefined, true],
    [undefined, "192.0.2.1", true],
    [undefined, "2001:db8::1", true],
    [undefined, "0.0.0.0", true],
    [undefined, "::", true],
    ["0.0.0.0", "192.0.2.1", true],
    ["0.0.0.0", "::", false],
    ["0.0.0.0", "2001:db8::1", false],
    ["::", "2001:db8::1", true],
    ["::", "192.0.2.1", false],
    ["192.0.2.1", "192.0.2.1", true],
    ["192.0.2.1", "192.0.2.2", false],
    ["192.0.2.1", "2001:db8::1", false],
    ["2001:db8::1", "2001:db8::1", true],
    ["2001:db8::1", "2001:db8::2", false],
  ])("on %s and on %s collide: %s, in either order", (first, second, expected) => {
    for (const [mine, theirs] of [
      [first, second],
      [second, first],
    ]) {
      const ports = new HostPorts();
      ports.claim(a, [port(mine)]);
      const conflict = ports.conflict(b, [port("203.0.113.9", { hostPort: 1 }), port(theirs)]);
      expect(conflict).toEqual(expected ? { port: port(theirs), owner: a } : undefined);
    }
  });

  it("is another one for another protocol or number", () => {
    const ports = new HostPorts();
    ports.claim(a, [port()]);
    expect(
      ports.conflict(b, [port(undefined, { protocol: "udp" }), port(undefined, { hostPort: 81 })]),
    ).toBeUndefined();
  });

  it("does not collide with the pod's own", () => {
    const ports = new HostPorts();
    ports.claim(a, [port()]);
    expect(ports.conflict(a, [port("192.0.2.1")])).toBeUndefined();
  });

  it("is free once its pod releases it, whoever else has one of the same number", () => {
    const ports = new HostPorts();
    ports.claim(a, [port("192.0.2.1")]);
    ports.claim(b, [port("192.0.2.2")]);
    ports.release(a, [port("192.0.2.1")]);
    expect(ports.conflict(a, [port("192.0.2.1")])).toBeUndefined();
    expect(ports.conflict(a, [port()])?.owner).toBe(b);
    // What it does not have it cannot give back.
    ports.release(a, [port("192.0.2.2")]);
    expect(ports.conflict(a, [port("192.0.2.2")])?.owner).toBe(b);
  });

  it("has one owner at most, whatever is claimed and released", () => {
    const address = fc.constantFrom(undefined, "0.0.0.0", "::", "192.0.2.1", "192.0.2.2", "2001:db8::1");
    const claims = fc.array(fc.tuple(fc.constantFrom("a", "b", "c"), address, fc.boolean()), { maxLength: 30 });
    const families = (ip: string | undefined) => (ip === undefined ? [4, 6] : [ip.includes(":") ? 6 : 4]);
    const isAny = (ip: string | undefined) => ip === undefined || ip === "0.0.0.0" || ip === "::";
    const collide = (x: string | undefined, y: string | undefined) =>
      families(x).some((f) => families(y).includes(f)) && (isAny(x) || isAny(y) || x === y);
    fc.assert(
      fc.property(claims, (steps) => {
        const ports = new HostPorts();
        const held = new Map<SandboxId, string | undefined>();
        for (const [name, ip, claim] of steps) {
          const id = sandboxId(name, "eth0");
          if (claim && !held.has(id)) {
            const others = [...held].filter(([, theirs]) => collide(ip, theirs)).map(([owner]) => owner);
            const conflict = ports.conflict(id, [port(ip)]);
            expect(conflict === undefined).toBe(others.length === 0);
            if (conflict) {
              expect(others).toContain(conflict.owner);
            } else {
              ports.claim(id, [port(ip)]);
              held.set(id, ip);
            }
          } else if (!claim && held.has(id)) {
            ports.release(id, [port(held.get(id))]);
            held.delete(id);
          }
        }
      }),
    );
  });
});
