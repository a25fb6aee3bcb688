import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseIp } from "../../../src/base/ip/address.ts";
import { type NodeInfo, vtepMacOf } from "../../../src/nodes/api.ts";
import { buildMesh, diffPeers } from "../../../src/nodes/mesh.ts";

const node = (id: number, change: Partial<NodeInfo> = {}): NodeInfo => ({
  name: `n${id}`,
  id,
  underlayIps: [parseIp(`192.168.0.${id}`), parseIp(`fd00::${id}`)],
  podCIDRs: [`10.244.${id}.0/24`, `fd10:244:0:${id}::/64`],
  vtepMac: vtepMacOf(id),
  overlay: "vxlan",
  version: "0.1.0",
  ...change,
});
const ips = (...texts: string[]) => texts.map(parseIp);
const namesOf = (mesh: ReturnType<typeof buildMesh>): string[] => [...mesh.peers.keys()];

const peers = (...nodes: NodeInfo[]) => buildMesh(node(1), nodes).peers;

describe("a peer's row", () => {
  it("has all that the dataplane needs", () => {
    const mesh = buildMesh(node(1), [node(1), node(2)]);
    expect(mesh).toMatchObject({ ignored: [], selfProblem: undefined });
    expect([...mesh.peers.values()]).toEqual([
      {
        name: "n2",
        id: 2,
        underlayIp: "192.168.0.2",
        underlayIps: ["192.168.0.2", "fd00::2"],
        localIp: "192.168.0.1",
        podCIDRs: ["10.244.2.0/24", "fd10:244:0:2::/64"],
        vtepMac: "12:2b:00:00:00:02",
        vtepIps: ["10.244.2.1", "fd10:244:0:2::1"],
      },
    ]);
  });

  it.each([
    [["192.168.0.1", "fd00::1"], ["fd00::2", "192.168.0.2"], "192.168.0.2"],
    [["fd00::1"], ["192.168.0.2", "fd00::2"], "fd00::2"],
    [["192.168.0.1"], ["fd00::2", "192.168.0.2"], "192.168.0.2"],
    [["fd00::1", "192.168.0.1"], ["fd00::2"], "fd00::2"],
  ])("takes the same family on both sides where there is no overlay: %j and %j", (ours, theirs, expected) => {
    const overlay = "none";
    const [a, b] = [node(1, { overlay, underlayIps: ips(...ours) }), node(2, { overlay, underlayIps: ips(...theirs) })];
    const there = buildMesh(a, [b]).peers.get("n2");
    const back = buildMesh(b, [a]).peers.get("n1");
    expect(there?.underlayIp).toBe(expected);
    expect([back?.localIp, back?.underlayIp]).toEqual([there?.underlayIp, there?.localIp]);
  });

  it("has the families that the peer has pods of", () => {
    const row = buildMesh(node(1), [node(2, { podCIDRs: ["fd20::/64", "fd10::8/127"] })]).peers.get("n2");
    expect(row).toMatchObject({ podCIDRs: ["fd10::8/127", "fd20::/64"], vtepIps: ["fd10::8"] });
  });
});

describe("a node is ignored, by name and with the reason,", () => {
  it("when the families differ and there is no overlay", () => {
    const local = node(1, { overlay: "none", underlayIps: ips("192.168.0.1") });
    const { ignored } = buildMesh(local, [node(2, { overlay: "none", underlayIps: ips("fd00::2") })]);
    expect(ignored).toEqual([
      { name: "n2", reason: "its node addresses (fd00::2) are of no family that this node has" },
    ]);
  });

  it("on both sides when one has tunnels over IPv4 and the other has IPv6 only", () => {
    const [a, b] = [node(1), node(2, { underlayIps: ips("fd00::2") })];
    expect(namesOf(buildMesh(a, [b]))).toEqual([]);
    expect(namesOf(buildMesh(b, [a]))).toEqual([]);
  });

  it.each<[string, Partial<NodeInfo>, string]>([
    ["it has no address yet", { underlayIps: [] }, "its node address is not known yet"],
    ["it has no pods' subnet yet", { podCIDRs: [] }, "it has no pod subnet yet"],
    [
      "its tunnels are of another family",
      { underlayIps: ips("fd00::2") },
      "its tunnels run over IPv6, this node's over IPv4",
    ],
    ["the overlays differ", { overlay: "none" }, "its overlay is none, this node's is vxlan"],
    [
      "its pods have our addresses",
      { podCIDRs: ["10.244.0.0/16"] },
      "its pod subnet 10.244.0.0/16 overlaps 10.244.1.0/24 of node n1 (ID 1)",
    ],
    ["it has our ID", { id: 1 }, "its ID 1 is also that of node n1 (ID 1)"],
    [
      "it has our node address",
      { underlayIps: ips("192.168.0.1") },
      "its node address 192.168.0.1 is also that of node n1",
    ],
    [
      "it has our VTEP address",
      { vtepMac: vtepMacOf(1) },
      "its VTEP address 12:2b:00:00:00:01 is also that of node n1",
    ],
    [
      "its pods have its own address",
      { podCIDRs: ["192.168.0.0/24"] },
      "its pod subnet 192.168.0.0/24 contains the node address 192.168.0.1",
    ],
  ])("when %s", (_when, change, reason) => {
    const local = node(1, { underlayIps: ips("192.168.0.1") });
    const mesh = buildMesh(local, [node(2, { underlayIps: ips("192.168.0.2"), ...change }), node(3)]);
    expect(namesOf(mesh)).toEqual(["n3"]);
    expect(mesh.ignored).toEqual([{ name: "n2", reason: expect.stringContaining(reason) }]);
    expect(mesh.selfProblem).toBeUndefined();
  });

  it("when a node of a smaller ID has its subnet; and what the loser has besides stays free for others", () => {
    const mesh = buildMesh(node(9), [
      node(4, { podCIDRs: ["10.244.4.0/24"] }),
      node(3, { podCIDRs: ["10.244.2.0/25", "10.244.4.0/24"] }),
      node(2),
    ]);
    expect(namesOf(mesh)).toEqual(["n2", "n4"]);
    expect(mesh.ignored).toEqual([
      { name: "n3", reason: "its pod subnet 10.244.2.0/25 overlaps 10.244.2.0/24 of node n2 (ID 2)" },
    ]);
  });

  it("when it has our addresses, even if it is we who are in the wrong; status says so", () => {
    const mesh = buildMesh(node(9, { podCIDRs: ["10.244.2.0/25"] }), [node(2), node(3)]);
    expect(namesOf(mesh)).toEqual(["n3"]);
    expect(mesh.ignored).toEqual([
      { name: "n2", reason: "its pod subnet 10.244.2.0/24 overlaps 10.244.2.0/25 of node n9 (ID 9)" },
    ]);
    expect(mesh.selfProblem).toBe("its pod subnet 10.244.2.0/25 overlaps 10.244.2.0/24 of node n2 (ID 2)");
  });
});

it("is not sent our own packets, even if its ID is smaller", () => {
  const local = node(9, { underlayIps: ips("192.168.0.2") });
  const mesh = buildMesh(local, [node(2), node(3)]);
  expect(namesOf(mesh)).toEqual(["n3"]);
  expect(mesh.ignored[0]?.reason).toBe("its node address 192.168.0.2 is also that of node n9 (ID 9)");
  expect(mesh.selfProblem).toBe("its node address 192.168.0.2 is also that of node n2 (ID 2)");
});

it("is the same whatever the order of the nodes, and all nodes come to the same verdict", () => {
  const someNode = fc.record({
    id: fc.integer({ min: 1, max: 4 }),
    name: fc.constantFrom("a", "b", "c", "d", "e"),
    net: fc.nat(4),
  });
  const cluster = fc.uniqueArray(someNode, { selector: (n) => n.name, minLength: 2 }).map((nodes) =>
    nodes.map(({ id, name, net }) => {
      const host = name.charCodeAt(0);
      const underlayIps = ips(`192.168.0.${host}`);
      return node(id, { name, podCIDRs: [`10.244.${net}.0/24`], underlayIps, vtepMac: vtepMacOf(host) });
    }),
  );
  fc.assert(
    fc.property(
      cluster.chain((c) => fc.tuple(fc.constant(c), fc.shuffledSubarray(c, { minLength: c.length }))),
      ([nodes, shuffled]) => {
        const losers = nodes.filter((n) => buildMesh(n, nodes).selfProblem !== undefined).map((n) => n.name);
        for (const local of nodes) {
          const mesh = buildMesh(local, nodes);
          expect(buildMesh(local, shuffled)).toEqual(mesh);
          // Winners talk to exactly the other winners.
          if (losers.includes(local.name)) continue;
          expect(mesh.ignored.map((i) => i.name)).toEqual(losers.toSorted());
          expect(namesOf(mesh)).toEqual(
            nodes
              .map((n) => n.name)
              .filter((n) => n !== local.name && !losers.includes(n))
              .toSorted(),
          );
        }
      },
    ),
  );
});

describe("the difference of two meshes", () => {
  it("is empty when nothing changed but what the dataplane doesn't see", () => {
    expect(diffPeers(peers(node(2), node(3)), peers(node(3, { version: "9" }), node(2, { uid: "u" })))).toEqual([]);
  });

  it("has what came, went and changed, by name", () => {
    const [two, three, four] = [node(2), node(3), node(4)];
    const moved = node(3, { underlayIps: ips("192.168.0.33") });
    const [before, after] = [peers(two, three), peers(moved, four)];
    expect(diffPeers(before, after)).toEqual([
      { old: before.get("n2"), new: undefined },
      { old: before.get("n3"), new: after.get("n3") },
      { old: undefined, new: after.get("n4") },
    ]);
  });

  it.each<[string, Partial<NodeInfo>]>([
    ["subnets", { podCIDRs: ["10.244.2.0/24"] }],
    ["address", { underlayIps: ips("192.168.0.22", "fd00::2") }],
    ["VTEP address", { vtepMac: vtepMacOf(22) }],
    ["ID", { id: 22 }],
  ])("shows a change of %s", (_what, change) => {
    expect(diffPeers(peers(node(2)), peers(node(2, change)))).toHaveLength(1);
  });
});
