import { inNetns, ipBatch, setSysctls } from "../../src/lab/net/ip.ts";
import { underlayPlan } from "../../src/lab/net/plan.ts";
import { execOk } from "../../src/lab/process/exec.ts";
import type { Rig } from "./rig.ts";

/** What Heddle gives pods on an underlay of 1500 bytes: both sides send the same packets. */
const MTU = 1450;
/** Beside Heddle's own pools. */
const POOL = "10.245.0.0/16";
const GATEWAY = "169.254.1.1";
const MAC = "02:00:00:00:00:01";

interface HandMadeNode {
  readonly netns: string;
  /** Octet of its pods' subnet, 10.245.N.0/24, and index of its underlay addresses. */
  readonly index: number;
}

export interface HandMadePod {
  readonly netns: string;
  readonly ip: string;
}

const MADE = new WeakMap<Rig, Promise<HandMade>>();

/**
 * Pods as one would wire them by hand: veth pairs with host routes, static VXLAN between two nodes, and a masquerade rule
 * for what leaves the cluster. IPv4 only, nothing else on the nodes.
 */
export class HandMade {
  readonly #rig: Rig;
  readonly #a: HandMadeNode;
  readonly #b: HandMadeNode;
  #pods = 0;

  private constructor(rig: Rig, a: HandMadeNode, b: HandMadeNode) {
    this.#rig = rig;
    this.#a = a;
    this.#b = b;
  }

  /** Those of a rig, built when first asked for. */
  static of(rig: Rig): Promise<HandMade> {
    let made = MADE.get(rig);
    if (!made) MADE.set(rig, (made = HandMade.#build(rig)));
    return made;
  }

  static async #build(rig: Rig): Promise<HandMade> {
    const a = { netns: await rig.underlayNode("ha", 3), index: 3 };
    const b = { netns: await rig.underlayNode("hb", 4), index: 4 };
    await buildNode(a, b);
    await buildNode(b, a);
    return new HandMade(rig, a, b);
  }

  async pod(node: "a" | "b"): Promise<HandMadePod> {
    const { netns: there, index } = node === "a" ? this.#a : this.#b;
    const n = ++this.#pods;
    const netns = await this.#rig.namespace(`hp${n}`);
    const ip = `10.245.${index}.${n}`;
    const link = `hdpod${n}`;
    const mac = `02:00:00:00:01:0${n}`;
    await ipBatch(there, [
      `link add ${link} mtu ${MTU} address ${MAC} type veth peer name eth0 mtu ${MTU} address ${mac} netns ${netns}`,
      `link set ${link} up`,
    ]);
    await ipBatch(netns, [
      `addr add ${ip}/32 dev eth0`,
      "link set eth0 up",
      `neigh replace ${GATEWAY} lladdr ${MAC} dev eth0 nud permanent`,
      `route add default via ${GATEWAY} dev eth0 onlink`,
    ]);
    await ipBatch(there, [
      `route add ${ip}/32 dev ${link}`,
      `neigh replace ${ip} lladdr ${mac} dev ${link} nud permanent`,
    ]);
    return { netns, ip };
  }
}

async function buildNode(node: HandMadeNode, peer: HandMadeNode): Promise<void> {
  await setSysctls(node.netns, { "net.ipv4.ip_forward": "1" });
  const vtep = (index: number) => ({ ip: `10.245.${index}.254`, mac: `02:00:00:00:02:0${index}` });
  const [ours, theirs] = [vtep(node.index), vtep(peer.index)];
  const [local, remote] = [underlayPlan.node(node.index).v4, underlayPlan.node(peer.index).v4];
  await ipBatch(node.netns, [
    `link add hdvx mtu ${MTU} address ${ours.mac} type vxlan id 77 local ${local} dstport 4789 nolearning`,
    "link set hdvx up",
    `addr add ${ours.ip}/32 dev hdvx`,
    `neigh add ${theirs.ip} lladdr ${theirs.mac} dev hdvx nud permanent`,
    `route add 10.245.${peer.index}.0/24 via ${theirs.ip} dev hdvx onlink`,
  ]);
  await execOk([
    ...inNetns(node.netns),
    "bridge",
    "fdb",
    "append",
    theirs.mac,
    "dev",
    "hdvx",
    "dst",
    remote,
    "self",
    "permanent",
  ]);
  // Heddle's own rule, with the same kinds of lookups.
  const rules = `table inet hdhand {
  set cluster4 { type ipv4_addr; flags interval; elements = { ${POOL} } }
  chain postrouting_snat {
    type nat hook postrouting priority 90; policy accept;
    ip saddr 10.245.${node.index}.0/24 ip daddr != @cluster4 ip daddr != 224.0.0.0/4 oifname != "hd*" masquerade
  }
}
`;
  await execOk([...inNetns(node.netns), "nft", "-f", "-"], { stdin: rules });
}
