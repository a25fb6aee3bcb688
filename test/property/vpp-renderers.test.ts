import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseIp } from "../../src/base/ip/address.ts";
import type { TakenUplink } from "../../src/dataplane/vpp/api.ts";
import { renderLocalNode, renderPeer } from "../../src/dataplane/vpp/nodes/renderer.ts";
import { renderPod } from "../../src/dataplane/vpp/pods/renderer.ts";
import { type LocalNodeRow, type PeerRow, type Uplink, vtepMacOf } from "../../src/nodes/api.ts";
import { type FurtherInterface, type HostPort, type PodRow, sandboxId } from "../../src/pods/api.ts";
import { hostIfName } from "../../src/pods/sandbox.ts";
import { flawsOf } from "../support/vpp/rendered.ts";

type Family = 4 | 6;

interface Cluster {
  readonly local: LocalNodeRow;
  readonly uplinks: readonly TakenUplink[];
  readonly peers: readonly PeerRow[];
  readonly pods: readonly PodRow[];
}

const families = fc.constantFrom<readonly Family[]>([4], [6], [4, 6]);
const of = <T>(wanted: readonly Family[], v4: T, v6: T): T[] => wanted.map((family) => (family === 4 ? v4 : v6));

/** One link for both families, or one each. */
function uplinksOf(under: readonly Family[], apart: boolean): readonly TakenUplink[] {
  const one = (link: string, n: number, wanted: readonly Family[]): TakenUplink => ({
    link,
    mac: `02:00:00:00:01:0${n}`,
    mtu: 1500,
    addresses: of(wanted, "192.168.0.1/24", "fd00::1/64"),
    networks: of(wanted, "192.168.0.0/24", "fd00::/64"),
    gro: true,
    routes: of(wanted, "0.0.0.0/0", "::/0").map((dst) => ({
      dst,
      gateway: dst.includes(":") ? "fd00::254" : "192.168.0.254",
      protocol: 4,
    })),
  });
  if (!apart) return [one("eth0", 1, under)];
  return under.map((family, i) => one(`eth${i}`, i + 1, [family]));
}

const rowUplinks = (uplinks: readonly TakenUplink[]): Uplink[] =>
  uplinks.flatMap(({ link, mtu, addresses }) =>
    addresses.map((cidr) => ({ link, mtu, address: parseIp(cidr.slice(0, cidr.indexOf("/"))) })),
  );

const hostPorts = fc.uniqueArray(
  fc.record<HostPort>({
    protocol: fc.constantFrom("tcp", "udp", "sctp"),
    hostPort: fc.integer({ min: 8000, max: 8003 }),
    containerPort: fc.integer({ min: 1, max: 65_535 }),
    hostIp: fc.constantFrom(undefined, "0.0.0.0", "::", "127.0.0.1", "192.168.0.1", "fd00::1", "192.0.2.9"),
  }),
  { maxLength: 4, selector: ({ protocol, hostPort, hostIp }) => `${protocol} ${hostPort} ${hostIp ?? ""}` },
);
/** Of wildcards one address has one port, whoever it leads to; beside them a port may be for one address alone. */
const withoutDoubles = (ports: readonly HostPort[]): readonly HostPort[] => {
  const isWildcard = ({ hostIp }: HostPort) => hostIp === undefined || hostIp === "0.0.0.0" || hostIp === "::";
  return ports.filter(
    (port, i) =>
      !isWildcard(port) ||
      !ports.slice(0, i).some((p) => isWildcard(p) && p.protocol === port.protocol && p.hostPort === port.hostPort),
  );
};

const amount = fc.oneof(fc.constant(0), fc.double({ min: 1, max: 1e15, noNaN: true }));
const bandwidth = fc.option(
  fc.record({ ingressRate: amount, ingressBurst: amount, egressRate: amount, egressBurst: amount }),
  { nil: undefined },
);

const kinds = fc.array(fc.constantFrom<FurtherInterface["kind"]>("memif", "tap", "veth"), { maxLength: 3 });

const pod = (n: number, inPods: readonly Family[]): fc.Arbitrary<PodRow> =>
  fc
    .record({
      wanted: fc.constantFrom(inPods, ...inPods.map((family) => [family])),
      mtu: fc.integer({ min: 1280, max: 9000 }),
      routeMetric: fc.option(fc.nat({ max: 4096 }), { nil: undefined }),
      ports: hostPorts,
      bandwidth,
      kinds,
      link: fc.constantFrom(undefined, "tap" as const),
    })
    .map(({ wanted, ports, kinds: further, ...rest }) => {
      const id = sandboxId(`c${n}`, "eth0");
      return {
        id,
        netns: `/run/netns/c${n}`,
        netnsId: `4:${n}`,
        ifName: "eth0",
        hostIf: hostIfName(id),
        ips: of(wanted, `10.244.1.${n}`, `fd10:244:0:1::${n}`),
        mac: `02:00:00:00:00:0${n}`,
        // Pods do not share ports of the node.
        further: further.map((kind, i) => ({
          ...{ name: `i${i}`, kind, number: 10 * n + i },
          hostIf: hostIfName(sandboxId(`c${n}`, `i${i}`)),
          mac: `02:00:00:00:1${n}:0${i}`,
        })),
        hostPorts: withoutDoubles(ports).map((port) => ({ ...port, hostPort: port.hostPort + 100 * n })),
        ...rest,
      };
    });

const peer = (id: number, under: readonly Family[], inPods: readonly Family[]): PeerRow => {
  const [underlayIp, localIp] = [`192.168.0.${id}`, "192.168.0.1"];
  const tunnel = under.includes(4) ? [underlayIp, localIp] : [`fd00::${id}`, "fd00::1"];
  return {
    name: `n${id}`,
    id,
    underlayIp: parseIp(tunnel[0] ?? ""),
    localIp: parseIp(tunnel[1] ?? ""),
    underlayIps: of(under, underlayIp, `fd00::${id}`).map(parseIp),
    podCIDRs: of(inPods, `10.244.${id}.0/24`, `fd10:244:0:${id}::/64`),
    vtepMac: vtepMacOf(id),
    vtepIps: of(inPods, `10.244.${id}.1`, `fd10:244:0:${id}::1`).map(parseIp),
  };
};

const cluster: fc.Arbitrary<Cluster> = fc
  .record({
    under: families,
    inPods: families,
    apart: fc.boolean(),
    masquerade: fc.boolean(),
    vxlan: fc.boolean(),
    raLinks: fc.constantFrom<readonly string[]>([], ["eth0"]),
    /** Of the other nodes' pods. */
    others: fc.array(families, { maxLength: 3 }),
  })
  .chain(({ under, inPods, apart, masquerade, vxlan, raLinks, others }) => {
    const uplinks = uplinksOf(under, apart);
    const local: LocalNodeRow = {
      name: "n1",
      id: 1,
      podCIDRs: of(inPods, "10.244.1.0/24", "fd10:244:0:1::/64"),
      gateways: of(inPods, "10.244.1.1", "fd10:244:0:1::1").map(parseIp),
      clusterCIDRs: of(inPods, "10.244.0.0/16", "fd10:244::/48"),
      masquerade,
      uplinks: rowUplinks(uplinks),
      raLinks,
      overlay: vxlan
        ? {
            kind: "vxlan",
            vni: 4096,
            port: 4789,
            mac: vtepMacOf(1),
            local: parseIp(under.includes(4) ? "192.168.0.1" : "fd00::1"),
            mtu: 1430,
          }
        : { kind: "none" },
    };
    const peers = others.map((family, i) => peer(i + 2, under, family));
    return fc.tuple(pod(2, inPods), pod(3, inPods)).map((pods) => ({ local, uplinks, peers, pods }));
  });

describe("what a node in VPP is rendered to, with its pods and peers", () => {
  it("has no key twice, nothing that is refused, and nothing that waits for ever, whatever the rows", () => {
    fc.assert(
      fc.property(cluster, ({ local, uplinks, peers, pods }) => {
        const items = [
          ...renderLocalNode(local, { uplinks, netnsId: "4:9" }),
          ...peers.flatMap((row) => [...renderPeer(row, local)]),
          ...pods.flatMap((row) => [...renderPod(row, {})]),
        ];
        const links = uplinks.map(({ link }) => link);
        expect(flawsOf(items, links)).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });
});
