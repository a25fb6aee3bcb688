import { afterAll, beforeAll, expect, it } from "vitest";
import { inNetns } from "../../../src/lab/net/ip.ts";
import { exec } from "../../../src/lab/process/exec.ts";
import { onEachDataplane } from "../../support/agent-node/dataplanes.ts";
import { execIn, UNDERLAY } from "../../support/agent-node.ts";
import { PolicyNode, type ProbeOptions } from "../../support/policy/policy-node.ts";
import { until } from "../../support/until.ts";
import { Flow } from "../../support/vpp/flow.ts";

onEachDataplane("policies on one node", (dataplane) => {
  let node: PolicyNode;
  beforeAll(async () => {
    node = await PolicyNode.start({}, dataplane);
    await node.putNamespace("default", { team: "a" });
    await node.putNamespace("other", { team: "b" });
    await node.addPod("web", { labels: { app: "web" } });
    await node.addPod("client", { labels: { app: "client" } });
    await node.addPod("stranger", { namespace: "other" });
  });
  afterAll(() => node?.[Symbol.asyncDispose]());

  const reaches = async (from: string, to: string, options?: ProbeOptions): Promise<boolean> =>
    (await node.probe(from, to, options)).ok;
  const soon = (from: string, to: string, expected: boolean, options?: ProbeOptions) =>
    until(
      `${from} ${expected ? "reaches" : "does not reach"} ${to}`,
      async () => (await reaches(from, to, options)) === expected,
      5000,
    );

  it("without a policy all pods reach each other", async () => {
    // VPP takes half a second for the first packet of its life: CNAT makes room for its sessions.
    await soon("client", "web", true);
    for (const family of [4, 6] as const) {
      for (const kind of ["tcp", "udp", "sctp", "icmp"] as const) {
        expect(await reaches("client", "web", { kind, family }), `${kind} ${family}`).toBe(true);
        expect(await reaches("stranger", "web", { kind, family }), `${kind} ${family}`).toBe(true);
      }
    }
  });

  it("one that allows a port from some pods denies the rest to those that it selects, but for their node", async () => {
    await node.putPolicy(WEB);
    await soon("stranger", "web", false);
    for (const family of [4, 6] as const) {
      expect(await reaches("client", "web", { family })).toBe(true);
      expect(await reaches("client", "web", { family, port: 8000 })).toBe(false);
      expect(await reaches("client", "web", { family, kind: "udp" })).toBe(false);
      expect(await reaches("client", "web", { family, kind: "sctp" })).toBe(false);
      expect(await reaches("client", "web", { family, kind: "icmp" })).toBe(false);
      expect(await reaches("stranger", "web", { family })).toBe(false);
      expect(await reaches("node", "web", { family })).toBe(true);
      expect(await reaches("web", "client", { family })).toBe(true);
    }
    await node.deletePolicy("web");
    await soon("stranger", "web", true);
  });

  it("ports of SCTP are judged, and who may begin nothing answers", async () => {
    const [first] = WEB.ingress;
    const ingress = [{ ...first, ports: [{ port: 7000, protocol: "SCTP" as const }] }];
    await node.putPolicy({ ...WEB, ingress, policyTypes: ["Ingress", "Egress"] });
    await soon("stranger", "web", false);
    for (const family of [4, 6] as const) {
      expect(await reaches("client", "web", { family, kind: "sctp" })).toBe(true);
      expect(await reaches("client", "web", { family, kind: "sctp", port: 8000 })).toBe(false);
      expect(await reaches("stranger", "web", { family, kind: "sctp" })).toBe(false);
      expect(await reaches("web", "client", { family, kind: "sctp" })).toBe(false);
      expect(await reaches("node", "web", { family, kind: "sctp", port: 8000 })).toBe(true);
      expect(await reaches("client", "web", { family })).toBe(false);
    }
    await node.deletePolicy("web");
    await soon("web", "client", true);
  });

  it("labels of a pod and of a namespace count as they are now", async () => {
    const peers = [{ namespaceSelector: { matchLabels: { team: "b" } }, podSelector: { matchLabels: { role: "x" } } }];
    await node.putPolicy({ name: "labels", podSelector: WEB.podSelector, ingress: [{ peers }] });
    await soon("client", "web", false);
    await node.putPodObject("stranger", { namespace: "other", labels: { role: "x" } });
    await soon("stranger", "web", true);
    await node.putNamespace("other", { team: "c" });
    await soon("stranger", "web", false);
    await node.putNamespace("other", { team: "b" });
    await soon("stranger", "web", true);
    await node.putPodObject("stranger", { namespace: "other" });
    await soon("stranger", "web", false);
    await node.deletePolicy("labels");
    await soon("client", "web", true);
  });

  it("egress is judged at the pod that sends, and does not keep it from its own node", async () => {
    const cidr = `${node.pod("web").ips()[0]}/32`;
    const ports = [{ port: 7000, protocol: "UDP" }];
    await node.putPolicy({
      name: "out",
      podSelector: { matchLabels: { app: "client" } },
      policyTypes: ["Egress"],
      egress: [{ peers: [{ ipBlock: { cidr } }], ports }],
    });
    await soon("client", "web", false);
    expect(await reaches("client", "web", { kind: "udp" })).toBe(true);
    expect(await reaches("client", "web", { kind: "udp", family: 6 })).toBe(false);
    expect(await reaches("client", "stranger", { kind: "udp" })).toBe(false);
    expect(await reaches("web", "client")).toBe(true);
    const { netns } = node.pod("client");
    expect(await node.prober.probe("icmp", netns, UNDERLAY.ipv4.node, { timeoutMs: 400 })).toMatchObject({ ok: true });
    expect(await node.prober.probe("icmp", netns, UNDERLAY.ipv4.outside, { timeoutMs: 400 })).toMatchObject({
      ok: false,
    });
    await node.deletePolicy("out");
    await soon("client", "web", true);
  });

  it("a connection that is no longer allowed stops within a second, also what the server sends, and goes on when it is again", async () => {
    const [web, client] = [node.pod("web"), node.pod("client")];
    await using stopped = await Flow.open(client.netns, web.netns, web.ips()[0]);
    await using kept = await Flow.open(web.netns, client.netns, client.ips()[1]);
    await stopped.carries();
    await node.putPolicy({ name: "none", podSelector: WEB.podSelector });
    await until("it stops", async () => !(await stopped.carriesWithin(300)), 3000);
    // Nothing is lost of what is still allowed, though its other end is isolated now.
    await kept.carries();
    expect(await stopped.carriesWithin(1000)).toBe(false);
    expect(kept.errors).toEqual([]);
    await node.deletePolicy("none");
    await stopped.carries();
  });

  it("datagrams that only the server sends stop as well, whichever end is isolated, and others do not", async () => {
    const [web, client, stranger] = [node.pod("web"), node.pod("client"), node.pod("stranger")];
    for (const family of [0, 1] as const) {
      await using flow = await Flow.push(client.netns, web.netns, web.ips()[family]);
      await using kept = await Flow.push(stranger.netns, web.netns, web.ips()[family], { isWhole: true });
      await flow.carries();
      const strangers = { namespaceSelector: { matchLabels: { team: "b" } } };
      for (const policy of [
        { podSelector: WEB.podSelector, ingress: [{ peers: [strangers] }] },
        { podSelector: { matchLabels: { app: "client" } }, policyTypes: ["Egress"] as const },
      ]) {
        await node.putPolicy({ name: "none", ...policy });
        await until("they stop", async () => !(await flow.carriesWithin(300)), 1500);
        await kept.carries();
        expect(await flow.carriesWithin(700)).toBe(false);
        await node.deletePolicy("none");
        await flow.carries();
        await kept.carries();
      }
      // Who answers may do so, whatever it may begin.
      await node.putPolicy({ name: "none", podSelector: WEB.podSelector, policyTypes: ["Egress"] });
      await until("the server begins nothing", async () => !(await reaches("web", "client")), 1500);
      await kept.carries();
      await flow.carries();
      await node.deletePolicy("none");
      await kept.carries();
      expect(kept.errors).toEqual([]);
    }
  });

  it("a pod without an object reaches and is reached by nobody but its node, until its object comes", async () => {
    await node.addPod("unknown", { isUnknown: true });
    expect(await reaches("client", "unknown")).toBe(false);
    expect(await reaches("unknown", "client")).toBe(false);
    expect(await reaches("node", "unknown")).toBe(true);
    expect(await node.status()).toMatchObject({ isolatedPods: [{ pod: "default/unknown", reason: "no-object" }] });
    await node.putPodObject("unknown");
    await soon("client", "unknown", true);
    expect(await node.status()).toMatchObject({ isolatedPods: [] });
  });

  it("an agent that was killed finds everything in force, and changes nothing", async () => {
    await node.putPolicy(WEB);
    await soon("stranger", "web", false);
    const since = Date.now();
    await node.restartAgent();
    expect(await node.done(since)).toEqual([]);
    expect(await reaches("stranger", "web")).toBe(false);
    expect(await reaches("client", "web")).toBe(true);
    await node.deletePolicy("web");
    await soon("stranger", "web", true);
  });

  it("an agent that was killed still knows which connections it has stopped", async () => {
    const [web, client] = [node.pod("web"), node.pod("client")];
    await using flow = await Flow.push(client.netns, web.netns, web.ips()[0]);
    await node.putPolicy({ name: "none", podSelector: WEB.podSelector });
    await until("they stop", async () => !(await flow.carriesWithin(300)), 1500);
    await node.restartAgent();
    expect(await flow.carriesWithin(1000)).toBe(false);
    await node.deletePolicy("none");
    await flow.carries();
  });

  if (dataplane === "vpp") {
    it("VPP starts again with all policies: what is allowed goes on, what was stopped does not", async () => {
      const [web, client, stranger] = [node.pod("web"), node.pod("client"), node.pod("stranger")];
      await using stopped = await Flow.push(stranger.netns, web.netns, web.ips()[0]);
      await using denied = await Flow.open(stranger.netns, web.netns, web.ips()[0]);
      await using kept = await Flow.open(client.netns, web.netns, web.ips()[0]);
      await using back = await Flow.open(web.netns, client.netns, client.ips()[1]);
      await stopped.carries();
      await node.putPolicy({
        name: "some",
        podSelector: WEB.podSelector,
        ingress: [{ peers: WEB.ingress[0]?.peers ?? [] }],
      });
      await until("it stops", async () => !(await stopped.carriesWithin(300)), 1500);
      const before = [stopped, denied].map((flow) => flow.last);
      const old = node.node.vpp.pid;
      node.node.vpp.kill("SIGKILL");
      await until("another VPP", () => node.node.vpp.pid !== undefined && node.node.vpp.pid !== old, 10_000);
      await kept.carries();
      await back.carries();
      expect(await reaches("stranger", "web")).toBe(false);
      expect(await reaches("client", "web")).toBe(true);
      // Nothing of them came through at any time.
      expect([stopped, denied].map((flow) => flow.last)).toEqual(before);
      await node.deletePolicy("some");
      await stopped.carries();
    });
  }

  it("a pod cannot send from an address that is not its own", async () => {
    const { netns } = node.pod("stranger");
    for (const [address, length, target] of [
      [node.pod("client").ips()[0], 32, node.pod("web").ips()[0]],
      [UNDERLAY.ipv4.node, 32, node.pod("web").ips()[0]],
      [node.pod("client").ips()[1], 128, node.pod("web").ips()[1]],
      [UNDERLAY.ipv6.node, 128, node.pod("web").ips()[1]],
    ] as const) {
      const before = await dropped();
      await execIn(
        netns,
        "ip",
        "address",
        "add",
        `${address}/${length}`,
        "dev",
        "eth0",
        ...(length === 128 ? ["nodad"] : []),
      );
      await exec([...inNetns(netns), "ping", "-c", "1", "-W", "1", "-I", address, target]);
      await execIn(netns, "ip", "address", "del", `${address}/${length}`, "dev", "eth0");
      expect(await dropped(), address).toBeGreaterThan(before);
    }
  });

  /** Packets that were dropped for their source address. */
  const dropped = async (): Promise<number> => {
    if (dataplane === "vpp") {
      const counters = await node.node.vpp.ctl("show errors");
      return [...counters.matchAll(/^ *(\d+) +ip[46]-rx-urpf-strict/gm)].reduce((sum, [, n]) => sum + Number(n), 0);
    }
    const { stdout: text } = await execIn(node.node.netns, "nft", "list", "chain", "inet", "hd", "policy_source");
    return [...text.matchAll(/counter packets (\d+)/g)].reduce((sum, [, n]) => sum + Number(n), 0);
  };
});

const WEB = {
  name: "web",
  podSelector: { matchLabels: { app: "web" } },
  ingress: [{ peers: [{ podSelector: { matchLabels: { app: "client" } } }], ports: [{ port: 7000 }] }],
};
