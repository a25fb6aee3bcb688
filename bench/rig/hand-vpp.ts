import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { VppClient } from "../../src/dataplane/vpp/binapi/index.ts";
import { findVppInstallation } from "../../src/dataplane/vpp/installation.ts";
import {
  renderStartupConf,
  type StartupConf,
  sharedMemoryFiles,
  vppPaths,
} from "../../src/dataplane/vpp/supervisor/startup-conf.ts";
import { inNetns, ipBatch, ipJson } from "../../src/lab/net/ip.ts";
import { underlayPlan } from "../../src/lab/net/plan.ts";
import { execOk } from "../../src/lab/process/exec.ts";
import type { Place } from "./iperf3.ts";
import type { Rig } from "./rig.ts";

/** What Heddle gives pods on an underlay of 1500 bytes: both sides send the same packets. */
const MTU = 1450;
const GATEWAY = "169.254.1.1";
const GATEWAY_MAC = "02:00:00:00:03:01";
const START_MS = 30_000;

/** A pod of a hand-made node. */
export interface HandVppPod extends Place {
  /** VPP's interface. */
  readonly link: string;
}

/**
 * A node whose VPP was configured through its CLI: started with what our agent starts one with, the same kinds of
 * interfaces with VPP's defaults, and nothing between them but routes. IPv4 only.
 */
export class HandVpp implements AsyncDisposable {
  readonly netns: string;
  readonly #rig: Rig;
  readonly #index: number;
  readonly #client: VppClient;
  #pods = 0;

  private constructor(rig: Rig, netns: string, index: number, client: VppClient) {
    this.#rig = rig;
    this.netns = netns;
    this.#index = index;
    this.#client = client;
  }

  /** On the underlay, with the addresses of the node `index`. */
  static async build(rig: Rig, name: string, index: number): Promise<HandVpp> {
    const netns = await rig.underlayNode(name, index);
    const { socket, apiDirectory } = await startVpp(rig, name, netns, { buffers: { afPacket: 118 } });
    const client = await VppClient.open({ socket, apiDirectory, name: "bench", signal: AbortSignal.timeout(START_MS) });
    const node = new HandVpp(rig, netns, index, client);
    await node.cli(
      "create loopback interface",
      "set interface state loop0 up",
      `set interface ip address loop0 ${GATEWAY}/32`,
    );
    return node;
  }

  async cli(...commands: readonly string[]): Promise<void> {
    for (const command of commands) await this.#client.cli(command);
  }

  /** `complete`: it cuts its segments and computes its checksums itself, as VXLAN over AF_PACKET needs it. */
  async pod({ complete = false } = {}): Promise<HandVppPod> {
    const n = ++this.#pods;
    const netns = await this.#rig.namespace(`hv${this.#index}p${n}`);
    const ip = `10.246.${this.#index}.${n}`;
    const device = `hdv${n}`;
    const mac = `02:00:00:00:04:0${n}`;
    await ipBatch(this.netns, [
      `link add ${device} mtu ${MTU} type veth peer name eth0 mtu ${MTU} address ${mac} netns ${netns}`,
      `link set ${device} up`,
    ]);
    await ipBatch(netns, [
      `addr add ${ip}/32 dev eth0`,
      "link set eth0 up",
      `neigh replace ${GATEWAY} lladdr ${GATEWAY_MAC} dev eth0 nud permanent`,
      `route add default via ${GATEWAY} dev eth0 onlink`,
    ]);
    if (complete) {
      await execOk([...inNetns(netns), "ethtool", "-K", "eth0", "tx", "off", "tso", "off", "gso", "off"]);
    }
    const link = `host-${device}`;
    await this.cli(
      `create host-interface name ${device} hw-addr ${GATEWAY_MAC}`,
      `set interface mtu packet ${MTU} ${link}`,
      `set interface unnumbered ${link} use loop0`,
      `set ip neighbor static ${link} ${ip} ${mac}`,
      `ip route add ${ip}/32 via ${ip} ${link}`,
      `set interface state ${link} up`,
    );
    return { netns, ip, link };
  }

  /** The node's `eth0` in VPP, and a static tunnel with a bridge domain's BVI to another node. */
  async join(other: HandVpp): Promise<void> {
    const [local, remote] = [underlayPlan.node(this.#index).v4, underlayPlan.node(other.#index).v4];
    const [link] = await ipJson(this.netns, ["link", "show", "dev", "eth0"]);
    await ipBatch(this.netns, ["addr flush dev eth0"]);
    await this.cli(
      `create host-interface name eth0 hw-addr ${String(link?.["address"])} cksum-gso-disable`,
      "set interface mtu packet 1500 host-eth0",
      `set interface ip address host-eth0 ${local}/24`,
      "set interface state host-eth0 up",
      `create vxlan tunnel src ${local} dst ${remote} vni 78`,
      "create bridge-domain 1 learn 0 flood 0 uu-flood 0",
      "set interface l2 bridge vxlan_tunnel0 1",
      `create loopback interface mac ${bviMac(this.#index)}`,
      "set interface l2 bridge loop1 1 bvi",
      "set interface state loop1 up",
      `set interface mtu packet ${MTU} loop1`,
      `set interface ip address loop1 ${bviIp(this.#index)}/24`,
      `l2fib add ${bviMac(other.#index)} 1 vxlan_tunnel0 static`,
      `set ip neighbor static loop1 ${bviIp(other.#index)} ${bviMac(other.#index)}`,
      `ip route add 10.246.${other.#index}.0/24 via ${bviIp(other.#index)} loop1`,
    );
  }

  close(): Promise<void> {
    return this.#client.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

const bviIp = (index: number): string => `10.247.0.${index}`;
const bviMac = (index: number): string => `02:00:00:00:05:0${index}`;

/** A VPP in a namespace of the rig, with which it ends. */
export async function startVpp(
  rig: Rig,
  name: string,
  netns: string,
  conf: Omit<StartupConf, "apiPrefix" | "runtimeDir">,
): Promise<{ socket: string; apiDirectory: string }> {
  const { binary, apiDirectory } = findVppInstallation(undefined);
  const dir = join(rig.dir, `vpp-${name}`);
  mkdirSync(dir);
  const paths = vppPaths(dir);
  const named = { apiPrefix: `${rig.id}${name}` };
  writeFileSync(paths.conf, renderStartupConf({ ...conf, ...named, runtimeDir: dir }));
  await rig.daemon(`vpp-${name}`, netns, [binary, "-c", paths.conf]);
  for (const end = performance.now() + START_MS; !existsSync(paths.api); ) {
    if (performance.now() > end) throw new Error(`VPP ${name} did not start: see ${dir}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  // It ends by SIGKILL, which leaves them.
  for (const file of sharedMemoryFiles(named)) rmSync(file, { force: true });
  return { socket: paths.api, apiDirectory };
}
