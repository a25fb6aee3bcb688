import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Snapshot } from "../../../src/lab/demo/snapshot.ts";
import { Containerd, whyNoContainerd } from "../../support/agent-node/containerd.ts";
import { AgentNode, whyNoNetns } from "../../support/agent-node.ts";
import { until } from "../../support/until.ts";

const why = whyNoNetns() ?? whyNoContainerd();

describe.skipIf(why !== undefined)(`Debian's containerd, ctr run --cni${why ? ` (skipped: ${why})` : ""}`, () => {
  let node: AgentNode;
  let containerd: Containerd;
  let before: Snapshot;

  beforeAll(async () => {
    node = await AgentNode.start();
    // 1.0.0 is the newest version that containerd 1.6 speaks.
    const { cniVersion: _version, name, ...plugin } = node.conf();
    const conflist = { cniVersion: "1.0.0", name, plugins: [plugin] };
    containerd = await Containerd.start(join(node.dir, "containerd"), node.id, conflist);
  });

  beforeEach(async () => {
    before = await node.snapshot();
  });

  afterAll(async () => {
    await containerd?.close();
    await node?.close();
  });

  /** Starts a container and waits until it has its addresses. */
  async function start(id: string) {
    const { ended } = containerd.run(id, "sleep", "1000");
    let early: unknown;
    void ended.then((result) => (early = result));
    const pod = await until(`${id} runs`, async () => {
      if (early !== undefined) throw new Error(`ctr run ended: ${JSON.stringify(early)}`);
      const { pods } = await node.status();
      const { stdout } = await containerd.ctr("task", "ls");
      return pods.find((p) => p.containerId === `${node.id}-${id}` && new RegExp(`^${id} .*RUNNING`, "m").test(stdout));
    });
    return { ended, ips: pod.ips };
  }

  it("two containers reach each other, and the outside; killed, they leave nothing", async () => {
    const [one, two] = [await start("c1"), await start("c2")];
    const reach = async (from: string, ip: string) => {
      const { code, stdout, stderr } = await containerd.exec(from, "ping", "-c1", "-W2", ip);
      expect(code, `${from} → ${ip}: ${stdout}${stderr}`).toBe(0);
    };
    for (const ip of two.ips) await reach("c1", ip);
    for (const ip of one.ips) await reach("c2", ip);
    await reach("c1", "192.168.77.254");
    await reach("c2", "fd77::254");
    expect((await containerd.exec("c1", "ip", "addr", "show", "eth0")).stdout).toContain(`${one.ips[0]}/32`);

    // Over TCP as well: what one sends, the other one hears.
    const heard = containerd.exec("c2", "sh", "-c", "nc -l -p 7000");
    await until("c2 listens", async () => {
      const say = ["sh", "-c", `echo hello from c1 | nc -w 1 ${two.ips[0]} 7000`];
      return (await containerd.exec("c1", ...say)).code === 0;
    });
    expect((await heard).stdout).toBe("hello from c1\n");

    for (const id of ["c1", "c2"]) expect((await containerd.ctr("task", "kill", "-s", "SIGKILL", id)).code).toBe(0);
    for (const { ended } of [one, two]) expect((await ended).stderr).toBe("");
    expect((await containerd.ctr("container", "ls", "-q")).stdout).toBe("");
    expect(await node.differencesTo(before)).toEqual([]);
  });

  it("a container that ends by itself leaves nothing", async () => {
    const { ended } = containerd.run("short", "ip", "addr", "show", "eth0");
    const { code, stdout, stderr } = await ended;
    expect(stderr).toBe("");
    expect(code).toBe(0);
    expect(stdout).toMatch(/inet 10\.244\.1\.\d+\/32/);
    expect(await node.differencesTo(before)).toEqual([]);
  });

  it("without an agent the container is not started, and the reason is told", async () => {
    await node.agent.end("SIGTERM");
    const { code, stderr } = await containerd.run("lost", "sleep", "1000").ended;
    expect(code).not.toBe(0);
    expect(stderr).toContain("the Heddle agent is away");
    await node.startAgent();
    expect(await node.differencesTo(before)).toEqual([]);
  });
});
