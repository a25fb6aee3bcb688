import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { serviceBase } from "../../../src/dataplane/linux/services/base.ts";
import { differences, type Snapshot } from "../../../src/lab/demo/snapshot.ts";
import { ipJson } from "../../../src/lab/net/ip.ts";
import { execOk } from "../../../src/lab/process/exec.ts";
import { GATEWAY_IPV4, GATEWAY_IPV6 } from "../../../src/models/linux.ts";
import { sandboxId } from "../../../src/pods/api.ts";
import { hostIfName } from "../../../src/pods/sandbox.ts";
import { CLIENTS } from "../../../src/services/api.ts";
import { whyNoNetns } from "../../support/agent-node.ts";
import { RestartLab, sent } from "../../support/restart-lab.ts";
import { everyKind } from "../../support/restart-node.ts";
import { inWords } from "../../support/restart-state.ts";
import { until } from "../../support/until.ts";

const why = whyNoNetns();

/** What somebody does to a node or to a pod, and the operations, no more and no fewer, that undo it. */
interface Damage {
  readonly what: string;
  /** Words of a command, with %names for what differs from run to run. */
  readonly harm: string;
  /** Where; the node if absent. */
  readonly inPod?: true;
  readonly repairs: readonly string[];
}

const inPodNeighbours = [GATEWAY_IPV4, GATEWAY_IPV6].map((gw) => `create linux/neighbour/%link/pod/${gw}`);
const inPodRoutes = ["0.0.0.0/0", "::/0"].map((dst) => `create linux/route/%link/pod/${dst}`);
const onNode = [
  ...["%ip4/32", "%ip6/128"].map((dst) => `create linux/route/node/${dst}`),
  ...["%ip4", "%ip6"].map((ip) => `create linux/neighbour/%link/node/${ip}`),
];
const wholePod = [
  "create linux/link/%link",
  "create linux/carrier/%link",
  ...["%ip4/32", "%ip6/128"].map((ip) => `create linux/address/%link/pod/${ip}`),
  ...inPodNeighbours,
  ...inPodRoutes,
  ...onNode,
  "create linux/redirect/%link",
  "create linux/shaper/%link",
  "create linux/sysctl/net/ipv4/conf/%link/route_localnet",
];
const toPeer = [
  ...["%peer4", "%peer6"].map((ip) => `create linux/neighbour/hdvxlan/node/${ip}`),
  ...["%peerNet4", "%peerNet6"].map((dst) => `create linux/route/node/${dst}`),
];
const wholeOverlay = [
  "create linux/link/hdvxlan",
  ...["%own4/32", "%own6/128"].map((ip) => `create linux/address/hdvxlan/node/${ip}`),
  "create linux/fdb/hdvxlan/%peerMac",
  ...toPeer,
];
const wholeTable = [
  "table",
  ...["loopback_guard", "postrouting_snat"].map((chain) => `chain/${chain}`),
  ...["cluster", "hairpin"].flatMap((set) => [`set/${set}4`, `set/${set}6`]),
  ...[...serviceBase(CLIENTS)].map(({ key }) => key.replace("linux/nft/", "")),
  ...["cluster4/10.244.0.0/16", "cluster6/fd10:244::/48"].map((element) => `element/${element}`),
  ...["hairpin4/%ip4 . %ip4", "hairpin6/%ip6 . %ip6"].map((element) => `element/${element}`),
  ...["hairpin4/%other4 . %other4", "hairpin6/%other6 . %other6"].map((element) => `element/${element}`),
  ...["tcp", "udp"].flatMap((p) => [`element/hostports4/${p} . 8001`, `element/hostports6/${p} . 8001`]),
].map((item) => `create linux/nft/${item}`);

const DAMAGES: readonly Damage[] = [
  { what: "a pod's route is deleted", harm: "ip route del %ip4", repairs: ["create linux/route/node/%ip4/32"] },
  {
    what: "a pod's IPv6 route is deleted",
    harm: "ip -6 route del %ip6",
    repairs: ["create linux/route/node/%ip6/128"],
  },
  {
    what: "a pod's route leads elsewhere",
    harm: "ip route replace %ip4 dev eth0 proto 104",
    repairs: ["update linux/route/node/%ip4/32"],
  },
  { what: "a peer's route is deleted", harm: "ip route del %peerNet4", repairs: ["create linux/route/node/%peerNet4"] },
  {
    what: "a pod's neighbour is deleted",
    harm: "ip neigh del %ip4 dev %link",
    repairs: ["create linux/neighbour/%link/node/%ip4"],
  },
  {
    what: "a pod's neighbour is another one",
    harm: "ip neigh replace %ip6 dev %link lladdr 02:00:00:00:00:99 nud permanent protocol 104",
    repairs: ["update linux/neighbour/%link/node/%ip6"],
  },
  {
    what: "a pod's address is deleted",
    harm: "ip addr del %ip4/32 dev eth0",
    inPod: true,
    // The kernel takes IPv4 off an interface with its last address, neighbours and routes included.
    repairs: [
      "create linux/address/%link/pod/%ip4/32",
      `create linux/neighbour/%link/pod/${GATEWAY_IPV4}`,
      "create linux/route/%link/pod/0.0.0.0/0",
    ],
  },
  {
    what: "a pod's default route is deleted",
    harm: "ip route del default",
    inPod: true,
    repairs: ["create linux/route/%link/pod/0.0.0.0/0"],
  },
  {
    what: "the gateway's neighbour is deleted in a pod",
    harm: `ip neigh del ${GATEWAY_IPV4} dev eth0`,
    inPod: true,
    repairs: [`create linux/neighbour/%link/pod/${GATEWAY_IPV4}`],
  },
  {
    what: "the overlay's address is deleted",
    harm: "ip addr del %own4/32 dev hdvxlan",
    repairs: [
      "create linux/address/hdvxlan/node/%own4/32",
      "create linux/neighbour/hdvxlan/node/%peer4",
      "create linux/route/node/%peerNet4",
    ],
  },
  {
    what: "a peer's forwarding entry is deleted",
    harm: "bridge fdb del %peerMac dev hdvxlan dst %peerIp",
    repairs: ["create linux/fdb/hdvxlan/%peerMac"],
  },
  {
    what: "a host port's element is deleted",
    harm: "nft delete element inet hd hostports4 { tcp . 8001 }",
    repairs: ["create linux/nft/element/hostports4/tcp . 8001"],
  },
  {
    what: "a chain is flushed",
    harm: "nft flush chain inet hd hostports",
    repairs: ["update linux/nft/chain/hostports"],
  },
  {
    what: "a rule is put into a chain of ours",
    harm: "nft insert rule inet hd postrouting_snat counter drop",
    repairs: ["update linux/nft/chain/postrouting_snat"],
  },
  { what: "a shaper is deleted", harm: "tc qdisc del dev %link root", repairs: ["create linux/shaper/%link"] },
  {
    what: "a redirection loses its filter",
    harm: "tc filter del dev %link ingress",
    repairs: ["delete linux/redirect/%link", "create linux/redirect/%link"],
  },
  {
    what: "forwarding is switched off",
    harm: "sysctl -qw net.ipv4.conf.all.forwarding=0",
    repairs: ["update linux/sysctl/net/ipv4/conf/all/forwarding"],
  },
  {
    what: "a route appears under our name",
    harm: "ip route add 203.0.113.0/24 dev eth0 proto 104",
    repairs: ["delete linux/route/node/203.0.113.0/24"],
  },
  { what: "the whole table is deleted", harm: "nft delete table inet hd", repairs: wholeTable },
  {
    // Its routes and neighbours go with its state.
    what: "a pod's link is set down",
    harm: "ip link set %link down",
    repairs: ["update linux/link/%link", "create linux/carrier/%link", ...onNode],
  },
  {
    // An IPv4 address stays on an interface that is down, an IPv6 address does not.
    what: "a pod's interface is set down inside",
    harm: "ip link set eth0 down",
    inPod: true,
    repairs: [
      "update linux/link/%link",
      "create linux/carrier/%link",
      "create linux/address/%link/pod/%ip6/128",
      ...inPodNeighbours,
      ...inPodRoutes,
    ],
  },
  { what: "a pod's link gets another MTU", harm: "ip link set %link mtu 1300", repairs: ["update linux/link/%link"] },
  {
    // The kernel forgets all neighbours of an interface whose address changes.
    what: "a pod's interface gets another MAC address",
    harm: "ip link set eth0 address 02:00:00:00:00:99",
    inPod: true,
    repairs: ["update linux/link/%link", ...inPodNeighbours],
  },
  { what: "a pod's link is deleted", harm: "ip link del %link", repairs: wholePod },
  {
    what: "the overlay's link is set down",
    harm: "ip link set hdvxlan down",
    repairs: ["update linux/link/hdvxlan", "create linux/address/hdvxlan/node/%own6/128", ...toPeer],
  },
  { what: "the overlay's link is deleted", harm: "ip link del hdvxlan", repairs: wholeOverlay },
];

describe.skipIf(why !== undefined)(`healing${why ? ` (skipped: ${why})` : ""}`, () => {
  let lab: RestartLab;
  let names: Record<string, string>;
  let reference: readonly (readonly [where: string, Snapshot])[];

  const fill = (text: string): string => text.replace(/%(\w+)/g, (_, name: string) => names[name] ?? `no ${name}`);

  beforeAll(async () => {
    lab = await RestartLab.up({ nodes: 2, healing: 0.2, policies: false });
    await lab.lab.addPod("h/a", "n1", everyKind(8001));
    await lab.lab.addPod("h/other", "n1");
    await lab.lab.addPod("h/far", "n2");
    const pod = lab.lab.pod("h/a");
    const [own, peer] = await Promise.all([lab.status("n1"), lab.status("n2")]);
    const first = (cidr = "") => cidr.replace(/\.0\/\d+$/, ".1").replace(/::\/\d+$/, "::1");
    const hex = peer.node.id.toString(16).padStart(2, "0");
    names = {
      link: hostIfName(sandboxId(pod.containerId, "eth0")),
      ip4: pod.ips[0] ?? "",
      ip6: pod.ips[1] ?? "",
      other4: lab.lab.pod("h/other").ips[0] ?? "",
      other6: lab.lab.pod("h/other").ips[1] ?? "",
      own4: first(own.node.podCIDRs[0]),
      own6: first(own.node.podCIDRs[1]),
      peerNet4: peer.node.podCIDRs[0] ?? "",
      peerNet6: peer.node.podCIDRs[1] ?? "",
      peer4: first(peer.node.podCIDRs[0]),
      peer6: first(peer.node.podCIDRs[1]),
      peerMac: `12:2b:00:00:00:${hex}`,
      peerIp: lab.lab.node("n2").underlay[0] ?? "",
    };
    await until("the peers know each other", async () => (await lab.status("n1")).peers.length === 1);
    reference = await look();
  });
  afterAll(() => lab?.close());

  const look = (): Promise<readonly (readonly [string, Snapshot])[]> =>
    Promise.all(["n1", "h/a", "h/other"].map(async (where) => [where, await lab.snapshot(where)] as const));

  const changes = async (): Promise<string[]> => {
    const now = await look();
    return reference.flatMap(([where, before], i) => inWords(differences(where, before, now[i]?.[1] ?? new Map())));
  };

  const lastTxn = async (): Promise<number> => (await lab.history("n1")).at(-1)?.seq ?? 0;

  /** Does harm, waits until a comparison finds nothing more to do, and returns what was sent meanwhile. */
  async function heal(harm: () => Promise<unknown>): Promise<string[]> {
    const seq = await lastTxn();
    await harm();
    const done = await until("a comparison that repairs, and one that finds nothing", async () => {
      const history = (await lab.history("n1")).filter((txn) => txn.seq > seq);
      const repaired = history.findIndex((txn) => sent([txn]).length > 0);
      return repaired >= 0 && sent(history.slice(-1)).length === 0 && history.length > repaired + 1
        ? history
        : undefined;
    });
    return sent(done).map((op) => `${op.op} ${op.key}${op.error ? ` FAILED ${op.error}` : ""}`);
  }

  it.each(DAMAGES)("repairs that and nothing else when $what", async ({ harm, inPod, repairs }) => {
    const where = inPod ? "h/a" : "n1";
    const operations = await heal(() => execOk(lab.lab.command(where, fill(harm).split(" ")).argv));
    expect(operations.toSorted()).toEqual(repairs.map(fill).toSorted());
    expect(await changes()).toEqual([]);
    expect(await lab.reaches("h/far", "h/a")).toBe(true);
  });

  it("leaves the MTU of a pod's interface alone, which a later plugin of the chain may have set", async () => {
    await lab.lab.exec("h/a", ["ip", "link", "set", "eth0", "mtu", "1300"]);
    const compared = async () => (await lab.history("n1")).filter((txn) => txn.resync === "downstream").length;
    const before = await compared();
    await until("two comparisons", async () => (await compared()) >= before + 2);
    const [link] = await ipJson(lab.lab.netnsOf("h/a"), ["link", "show", "eth0"]);
    expect(link?.["mtu"]).toBe(1300);
  });
});
