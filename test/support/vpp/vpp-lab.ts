import { statSync } from "node:fs";
import { join } from "node:path";
import { findVppInstallation } from "../../../src/dataplane/vpp/installation.ts";
import { ipJson, NETNS_DIR } from "../../../src/lab/net/ip.ts";
import { underlayPlan } from "../../../src/lab/net/plan.ts";
import { runningVpp } from "../../../src/lab/node/vpp.ts";
import { which } from "../../../src/lab/paths.ts";
import { execOk } from "../../../src/lab/process/exec.ts";
import { whyNoNetns } from "../lab/toy.ts";
import { RestartLab, type RestartLabOptions } from "../restart-lab.ts";
import { VPP_BINARY, vppNote } from "./real-vpp.ts";

const noNetns = whyNoNetns();
/** For `describe.skipIf` and the title of a suite that runs labs with VPP nodes. */
export const noVppLab: boolean = VPP_BINARY === undefined || noNetns !== undefined;
export const vppLabNote: string = vppNote === "" && noNetns !== undefined ? ` (skipped: ${noNetns})` : vppNote;

/** A lab with VPP nodes. */
export class VppLab implements AsyncDisposable {
  readonly nodes: RestartLab;

  private constructor(nodes: RestartLab) {
    this.nodes = nodes;
  }

  static async up(options: RestartLabOptions): Promise<VppLab> {
    return new VppLab(await RestartLab.up({ dataplane: "vpp", ...options }));
  }

  get lab() {
    return this.nodes.lab;
  }

  /** Runs a command of a node's VPP and returns what it printed. */
  vppctl(node: string, command: string): Promise<string> {
    const { binary } = findVppInstallation(undefined);
    const { cli } = this.lab.paths.node(node).vpp;
    return execOk([which(join(binary, "..", "vppctl")) ?? "vppctl", "-s", cli, ...command.split(" ")]);
  }

  vppPid(node: string): number | undefined {
    return runningVpp(this.lab.paths.node(node))?.pid;
  }

  /** When VPP of a node bound its API socket, in wall-clock milliseconds; undefined while there is none. */
  socketSince(node: string): number | undefined {
    return statSync(this.lab.paths.node(node).vpp.api, { throwIfNoEntry: false })?.ctimeMs;
  }

  /**
   * What does not get through between these pods and nodes, both ways and in both families, and from them to the host
   * outside the cluster; empty when all does.
   */
  async unreachable(targets: readonly string[], timeoutMs = 1000): Promise<string[]> {
    const prober = await this.lab.prober();
    const { lab } = this;
    const ends = targets.map((name) => ({ name, netns: lab.netnsOf(name), ips: addressesOf(this, name) }));
    const outside = { name: "outside", ips: Object.values(underlayPlan.outside) };
    const tries = ends.flatMap((from) =>
      [...ends, outside].filter((to) => to !== from).flatMap((to) => to.ips.map((ip) => ({ from, to, ip }))),
    );
    const results = await Promise.all(
      tries.map(async ({ from, to, ip }) => {
        const result = await prober.probe("icmp", from.netns, ip, { timeoutMs });
        return result.ok ? [] : [`${from.name} > ${to.name} ${ip}: ${result.error}`];
      }),
    );
    return results.flat();
  }

  /** What a pod would notice if it were wired anew: which namespace, which links, under which addresses. */
  async identities(pods: readonly string[]): Promise<unknown[]> {
    return Promise.all(
      pods.map(async (pod) => {
        const netns = this.lab.netnsOf(pod);
        const links = await ipJson(netns, ["address", "show"]);
        return {
          pod,
          netns: statSync(join(NETNS_DIR, netns)).ino,
          links: links.map(({ ifindex, ifname, address, mtu, addr_info }) => ({
            ...{ ifindex, ifname, address, mtu },
            addresses: (addr_info as { local: string }[]).map(({ local }) => local).toSorted(),
          })),
          neighbours: (await ipJson(netns, ["neigh", "show", "nud", "permanent"])).map((n) => [n["dst"], n["lladdr"]]),
        };
      }),
    );
  }

  /** CNI requests that the agent of a node has answered in its life. */
  async cniRequests(node: string): Promise<number> {
    const prober = await this.lab.prober();
    const { body } = await prober.get(this.lab.node(node).netns, "http://127.0.0.1:9191/metrics");
    const counts = [...body.matchAll(/^heddle_cni_requests_total\{[^}]*\} (\d+)/gm)].map(([, n]) => Number(n));
    return counts.reduce((a, b) => a + b, 0);
  }

  close(): Promise<void> {
    return this.nodes.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

const addressesOf = ({ lab }: VppLab, name: string): readonly string[] =>
  name.includes("/") ? lab.pod(name).ips : lab.node(name).underlay;
