import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Snapshot } from "../../../src/lab/demo/snapshot.ts";
import { execOk } from "../../../src/lab/process/exec.ts";
import { onEachDataplane } from "../../support/agent-node/dataplanes.ts";
import { AgentNode, type CniResult, podSnapshot, type TestPod } from "../../support/agent-node.ts";

const silent = { exitCode: 0, result: undefined, error: undefined, stderr: "" };

onEachDataplane("a chain of plugins", (dataplane) => {
  let node: AgentNode;
  let before: Snapshot;
  let pod: TestPod;

  beforeAll(async () => {
    node = await AgentNode.start({ dataplane, config: { healing: { periodSeconds: 0 } } });
  });

  beforeEach(async () => {
    before = await node.snapshot();
    pod = await node.pod();
  });

  afterAll(() => node?.close());

  const inPod = (...words: string[]) => execOk(["ip", "-n", pod.netns, ...words]);

  /** What another plugin made before ours: an interface with an address and a default route. */
  async function earlierPlugin(): Promise<CniResult> {
    await inPod("link", "add", "net0", "type", "veth", "peer", "name", "far0");
    await inPod("addr", "add", "192.0.2.2/24", "dev", "net0");
    await inPod("link", "set", "far0", "up");
    await inPod("link", "set", "net0", "up");
    await inPod("route", "add", "default", "via", "192.0.2.1", "dev", "net0");
    return {
      cniVersion: "1.1.0",
      interfaces: [{ name: "net0", mac: "02:00:00:00:00:07", sandbox: pod.path }],
      ips: [{ address: "192.0.2.2/24", gateway: "192.0.2.1", interface: 0 }],
      routes: [{ dst: "0.0.0.0/0", gw: "192.0.2.1" }],
      dns: { nameservers: ["192.0.2.53"] },
    };
  }

  it("appends to the result of an earlier plugin", async () => {
    const prevResult = await earlierPlugin();
    const result = await pod.add({ conf: { prevResult, dns: { domain: "ours" } } });
    expect(result.interfaces).toEqual([
      ...prevResult.interfaces,
      { name: expect.stringMatching(/^hd/), mtu: 1450, sandbox: "" },
      { name: "eth0", mac: expect.any(String), mtu: 1450, sandbox: pod.path },
    ]);
    expect(result.ips[0]).toEqual(prevResult.ips[0]);
    expect(result.ips.slice(1).map((ip) => ip.interface)).toEqual([2, 2]);
    expect(result.routes.slice(0, 1)).toEqual(prevResult.routes);
    expect(result.dns).toEqual({ nameservers: ["192.0.2.53"], domain: "ours" });
    expect(await pod.check()).toEqual(silent);
    await node.removePod(pod);
    expect(await node.differencesTo(before)).toEqual([]);
  });

  it("leaves the default route of an earlier plugin in force, and in place after DEL", async () => {
    const prevResult = await earlierPlugin();
    const wired = await podSnapshot(pod);
    await pod.add({ conf: { prevResult } });
    const routes = await pod.ip("-4", "route", "show", "default");
    expect(routes.map((r) => r["dev"])).toEqual(["net0", "eth0"]);
    await pod.del();
    expect(await podSnapshot(pod)).toEqual(wired);
    await node.deleteNetns(pod.netns);
  });

  it("refuses an interface that an earlier plugin has made", async () => {
    const prevResult = await earlierPlugin();
    const answer = await pod.call("ADD", { ifname: "net0", conf: { prevResult } });
    expect(answer).toMatchObject({ exitCode: 1, error: { code: 100, details: expect.stringContaining("first") } });
    expect(await node.differencesTo(before)).toEqual([]);
    await node.deleteNetns(pod.netns);
  });

  describe("CHECK accepts what a later plugin changed", () => {
    beforeEach(() => pod.add());

    const cases: Record<string, (result: CniResult) => Promise<CniResult>> = {
      "an interface and a route more": async (result) => {
        await inPod("link", "add", "net1", "type", "veth", "peer", "name", "far1");
        await inPod("link", "set", "net1", "up");
        await inPod("route", "add", "198.51.100.0/24", "dev", "net1");
        const interfaces = [...result.interfaces, { name: "net1", sandbox: pod.path }];
        return { ...result, interfaces, routes: [...result.routes, { dst: "198.51.100.0/24" }] };
      },
      "a smaller MTU": async (result) => {
        await inPod("link", "set", "eth0", "mtu", "1300");
        return { ...result, interfaces: result.interfaces.map((i) => (i.name === "eth0" ? { ...i, mtu: 1300 } : i)) };
      },
      "an address taken away": async (result) => {
        const [ipv4, ipv6] = result.ips;
        await inPod("addr", "del", ipv6?.address ?? "", "dev", "eth0");
        return { ...result, ips: ipv4 ? [ipv4] : [] };
      },
      "a default route taken away": async (result) => {
        await inPod("-6", "route", "del", "default");
        return { ...result, routes: result.routes.filter((route) => route.dst !== "::/0") };
      },
    };

    it.each(Object.keys(cases))("%s", async (name) => {
      const prevResult = (await cases[name]?.(pod.result())) ?? pod.result();
      expect(await pod.check({ conf: { prevResult } })).toEqual(silent);
      await pod.del({ conf: { prevResult } });
      expect(await node.differencesTo(before)).toEqual([]);
      await node.deleteNetns(pod.netns);
    });

    it("a smaller MTU, where the result's version does not tell it", async () => {
      await inPod("link", "set", "eth0", "mtu", "1300");
      const { interfaces, ...rest } = pod.result();
      const prevResult = { ...rest, cniVersion: "1.0.0", interfaces: interfaces.map(({ mtu: _mtu, ...i }) => i) };
      expect(await pod.check({ conf: { cniVersion: "1.0.0", prevResult } })).toEqual(silent);
      await node.removePod(pod);
    });

    it("but not another MAC address: nothing from the node would arrive", async () => {
      const mac = "02:00:00:00:00:42";
      await inPod("link", "set", "eth0", "address", mac);
      const { interfaces } = pod.result();
      const prevResult = {
        ...pod.result(),
        interfaces: interfaces.map((i) => (i.name === "eth0" ? { ...i, mac } : i)),
      };
      const answer = await pod.check({ conf: { prevResult } });
      expect(answer).toMatchObject({ exitCode: 1, error: { code: 102 } });
      const { linux, vpp } = {
        linux: `neighbour ${pod.ips()[0]} at ${mac}`,
        vpp: `neighbour ${pod.ips()[0]} is at ${mac}`,
      };
      expect(answer.error?.details).toContain(dataplane === "linux" ? linux : vpp);
      await node.removePod(pod);
    });
  });
});
