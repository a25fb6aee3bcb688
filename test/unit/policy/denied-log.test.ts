import { describe, expect, it } from "vitest";
import { seconds } from "../../../src/base/clock/clock.ts";
import { ManualClock } from "../../../src/base/clock/manual-clock.ts";
import { parseIp } from "../../../src/base/ip/address.ts";
import type { Log } from "../../../src/infra/log/log.ts";
import type { DeniedPacket } from "../../../src/policy/api.ts";
import { DeniedLog } from "../../../src/policy/denied-log.ts";
import { World } from "../../support/policy-oracle/world.ts";

const POLICIES = `
kind: NetworkPolicy
metadata: {namespace: x, name: web}
spec: {podSelector: {matchLabels: {pod: a}}}
---
kind: ClusterNetworkPolicy
metadata: {name: no-z}
spec:
  tier: Admin
  priority: 5
  subject: {namespaces: {matchLabels: {ns: x}}}
  ingress: [{action: Deny, from: [{namespaces: {matchLabels: {ns: z}}}]}]`;

const packet = (source: string, destination: string, port = 80, over: Partial<DeniedPacket> = {}): DeniedPacket => ({
  direction: "ingress",
  source: parseIp(source),
  destination: parseIp(destination),
  protocol: 6,
  sourcePort: 40_000,
  destinationPort: port,
  ...over,
});

function setUp(perSecond = 2) {
  const clock = new ManualClock();
  const lines: Record<string, unknown>[] = [];
  const log = { info: (line: Record<string, unknown>) => lines.push(line) } as unknown as Log;
  const world = new World(POLICIES);
  const denied = new DeniedLog({ engine: () => world.engine, clock, log, perSecond, repeatSeconds: 60 });
  return { clock, lines, world, denied };
}

describe("a denied packet's line", () => {
  it("names both ends, what was asked for, and the policies that isolate", () => {
    const { denied, lines } = setUp();
    denied.take([packet("10.0.2.2", "10.0.1.1")]);
    expect(lines).toEqual([
      {
        ...{ direction: "ingress", pod: "x/a", peer: "y/b", source: "10.0.2.2", destination: "10.0.1.1" },
        ...{ protocol: "TCP", sourcePort: 40_000, port: 80 },
        ...{ because: "no-rule-allows", policies: ["NetworkPolicy x/web"] },
      },
    ]);
  });

  it("names the rule that denies, and nodes", () => {
    const { denied, lines } = setUp();
    denied.take([packet("10.0.3.1", "10.0.1.1"), packet("192.0.2.1", "10.0.1.1")]);
    expect(lines[0]).toMatchObject({ because: "rule", policy: "ClusterNetworkPolicy no-z", rule: 0 });
    expect(lines[1]).toMatchObject({ peer: "192.0.2.1" });
  });

  it("of a protocol without ports has none", () => {
    const { denied, lines } = setUp();
    const { sourcePort: _, destinationPort: __, ...ping } = packet("10.0.2.2", "10.0.1.1", 0, { protocol: 1 });
    denied.take([ping]);
    expect(lines[0]).toMatchObject({ protocol: 1 });
    expect(lines[0]).not.toHaveProperty("port");
  });

  it("of a pod that nothing is known of says so", () => {
    const { denied, lines, world } = setUp();
    world.apply([{ kind: "pod", at: { namespace: "x", name: "b" }, object: undefined }]);
    denied.take([packet("10.0.2.2", "10.0.1.2")]);
    expect(lines[0]).toMatchObject({ pod: "x/b", peer: "y/b", because: "unknown-pod", isolated: "no-object" });
  });
});

describe("the log of denied packets", () => {
  it("has one line for a flow, until it is time to repeat it, with the number of packets between", () => {
    const { denied, lines, clock } = setUp();
    for (let i = 0; i < 5; i++) denied.take([packet("10.0.2.2", "10.0.1.1")]);
    expect(lines).toHaveLength(1);
    clock.advance(seconds(60));
    denied.take([packet("10.0.2.2", "10.0.1.1")]);
    expect(lines).toHaveLength(2);
    expect(lines[1]).toMatchObject({ repeated: 4 });
  });

  it("has so many lines a second, and tells how many packets it has passed over", () => {
    const { denied, lines, clock } = setUp(2);
    for (let port = 1; port <= 10; port++) denied.take([packet("10.0.2.2", "10.0.1.1", port)]);
    expect(lines.map((l) => l["port"])).toEqual([1, 2]);
    clock.advance(seconds(1));
    denied.take([packet("10.0.2.2", "10.0.1.1", 11)]);
    expect(lines[2]).toMatchObject({ port: 11, suppressed: 8 });
  });

  it("remembers so many flows, and no more", () => {
    const { denied, lines, clock } = setUp(10_000);
    for (let port = 1; port <= 5000; port++) denied.take([packet("192.0.2.1", "192.0.2.2", port)]);
    clock.advance(seconds(1));
    denied.take([packet("192.0.2.1", "192.0.2.2", 5000), packet("192.0.2.1", "192.0.2.2", 1)]);
    expect(lines).toHaveLength(5001);
  });
});
