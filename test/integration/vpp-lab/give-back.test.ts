import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { differences, type Snapshot, snapshotNetwork } from "../../../src/lab/demo/snapshot.ts";
import { HOST_LINK, HOST_PEER, SEGMENT_LINK, SEGMENT_PEER } from "../../../src/models/linux.ts";
import { AgentNode, podSnapshot, type TestPod, UNDERLAY } from "../../support/agent-node.ts";
import { inWords, wholeState } from "../../support/restart-state.ts";
import { until } from "../../support/until.ts";
import { noVppLab, vppLabNote } from "../../support/vpp/vpp-lab.ts";

const runtimeConfig = { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }] };

/** How the last VPP of a node may have ended. */
const ENDS: readonly (readonly [how: string, end: (node: AgentNode) => Promise<unknown>])[] = [
  [
    "kill -9 of both",
    async (node) => {
      // The agent first: it would start another.
      await node.agent.end("SIGKILL");
      await node.vpp.end();
    },
  ],
  [
    "kill -9 of VPP while there is no agent",
    async (node) => {
      await node.agent.end("SIGTERM");
      await node.vpp.end();
    },
  ],
];

describe.skipIf(noVppLab)(`the node's link after VPP${vppLabNote}`, () => {
  let node: AgentNode;
  let pods: readonly TestPod[];
  /** Before there was an agent. */
  let bare: Snapshot;
  /** With Linux as the dataplane, before there was a VPP. */
  let before: Snapshot;
  let inPods: readonly Snapshot[];

  beforeEach(async () => {
    node = await AgentNode.prepare({ dataplane: "linux" });
    await node.likeACable();
    // What the kernel has is no more than what it is given; so that there is more to give back:
    await node.exec("ethtool", "-K", "eth0", "gro", "on");
    await node.exec("ip", "route", "add", "198.51.100.0/24", "via", UNDERLAY.ipv4.outside, "metric", "7");
    bare = await snapshotNetwork(node.netns);
    await node.startAgent();
    pods = [await node.wiredPod({ runtimeConfig }), await node.wiredPod()];
    before = await wholeState(node);
    inPods = await Promise.all(pods.map((pod) => podSnapshot(pod)));
    await node.agent.end("SIGTERM");
    node.configure({ dataplane: "vpp" });
    await node.startAgent();
    expect(node.vpp.pid).toBeDefined();
    expect(await gro()).toBe("off");
    expect(await node.exec("ip", "address", "show", "dev", "eth0")).not.toContain(UNDERLAY.ipv4.node);
    await reached();
  });
  afterEach(() => node?.close());

  async function gro(): Promise<string | undefined> {
    return /^generic-receive-offload: (\w+)/m.exec(await node.exec("ethtool", "-k", "eth0"))?.[1];
  }

  /** Pods reach each other, the node, and what is outside; the node all of them. Neighbours may have to be asked for first. */
  async function reached(): Promise<void> {
    const prober = await node.prober();
    const [a, b] = pods.map((pod) => ({ netns: pod.netns, ips: pod.ips() }));
    if (!a || !b) throw new Error("there are two pods");
    const far = Object.values(UNDERLAY).map(({ outside }) => outside);
    const own = Object.values(UNDERLAY).map((ends) => ends.node);
    const tries = [
      ...[...b.ips, ...own, ...far].map((ip) => [a.netns, ip] as const),
      ...[...a.ips, ...far].map((ip) => [b.netns, ip] as const),
      ...[...a.ips, ...b.ips, ...far].map((ip) => [node.netns, ip] as const),
    ];
    await until("everybody is reached", async () => {
      const results = await Promise.all(tries.map(([from, ip]) => prober.probe("icmp", from, ip, { timeoutMs: 500 })));
      return results.every((result) => result.ok);
    });
  }

  /** What is a VPP's: its process, its files, and the links that were made for it. */
  async function leftOfVpp(): Promise<readonly string[]> {
    const links = (await node.exec("ls", "/sys/class/net")).split(/\s+/);
    const vppLinks = new Set([HOST_LINK, HOST_PEER, SEGMENT_LINK, SEGMENT_PEER]);
    const dir = join(node.dir, "run", "vpp");
    const files = existsSync(dir) ? readdirSync(dir) : [];
    const pid = node.vpp.pid === undefined ? [] : [`process ${node.vpp.pid}`];
    const chains = (await node.exec("nft", "list", "chains")).match(/drop_eth0/g) ?? [];
    return [...links.filter((link) => vppLinks.has(link)), ...files, ...pid, ...chains];
  }

  it.each(ENDS)(
    "%s: an agent with the Linux dataplane makes it all as if there had been no VPP, and pods are as they were",
    async (_how, end) => {
      await end(node);
      node.configure({ dataplane: "linux" });
      await node.startAgent();
      expect(inWords(differences("node", before, await wholeState(node)))).toEqual([]);
      expect(await gro()).toBe("on");
      expect(await leftOfVpp()).toEqual([]);
      expect(await Promise.all(pods.map((pod) => podSnapshot(pod)))).toEqual(inPods);
      await reached();
      for (const [i, pod] of pods.entries()) {
        expect((await pod.check(i === 0 ? { runtimeConfig } : {})).error).toBeUndefined();
      }
    },
  );

  it("cleanup leaves nothing of either dataplane on the node", async () => {
    await node.agent.end("SIGTERM");
    expect(await node.cleanup()).toMatchObject({ code: 0 });
    expect(inWords(differences("node", bare, await snapshotNetwork(node.netns)))).toEqual([]);
    expect(await gro()).toBe("on");
    expect(node.vpp.pid).toBeUndefined();
  });

  it("give-back does it without an agent, not beside one; and agents of both kinds go on from there", async () => {
    expect(await node.giveBack()).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("another process has it open"),
    });
    await reached();
    await node.agent.end("SIGKILL");
    const { pid } = node.vpp;
    expect(await node.giveBack()).toMatchObject({
      code: 0,
      stdout: `VPP (${pid}) was ended\neth0 is the kernel's again\n`,
    });
    expect(await leftOfVpp()).toEqual([]);
    expect(await gro()).toBe("on");
    const routes = await node.exec("ip", "route", "show", "dev", "eth0");
    expect(routes).toContain(`198.51.100.0/24 via ${UNDERLAY.ipv4.outside} metric 7`);
    const prober = await node.prober();
    for (const { node: nodeIp, outside } of Object.values(UNDERLAY)) {
      expect(await prober.probe("icmp", node.outside, nodeIp)).toMatchObject({ ok: true });
      expect(await prober.probe("icmp", node.netns, outside)).toMatchObject({ ok: true });
    }
    expect(await node.giveBack()).toMatchObject({ code: 0, stdout: "no link was taken\n" });
    for (const dataplane of ["vpp", "linux"]) {
      node.configure({ dataplane });
      await node.startAgent();
      await reached();
      await node.agent.end("SIGTERM");
    }
  });
});
