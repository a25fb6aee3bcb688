import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { inNetns } from "../../../src/lab/net/ip.ts";
import { type ExecResult, exec } from "../../../src/lab/process/exec.ts";
import type { PolicyAnswer } from "../../../src/policy/answers.ts";
import type { PolicyCounters } from "../../../src/policy/insight.ts";
import { onEachDataplane } from "../../support/agent-node/dataplanes.ts";
import { UNDERLAY } from "../../support/agent-node.ts";
import { PolicyNode, type ProbeOptions } from "../../support/policy/policy-node.ts";
import { until } from "../../support/until.ts";

const HEDDLECTL = [process.execPath, join(import.meta.dirname, "../../../cmd/heddlectl/main.ts")];

onEachDataplane("what a node tells of its policies", (dataplane) => {
  let node: PolicyNode;
  beforeAll(async () => {
    node = await PolicyNode.start({ deniedLog: { perSecond: 100 } }, dataplane);
    await node.putNamespace("default", { team: "a" });
    await node.putNamespace("other", { team: "b" });
    const ports = [{ name: "serve", protocol: "TCP" as const, port: 7000 }];
    await node.addPod("web", { labels: { app: "web" }, ports });
    await node.addPod("client", { labels: { app: "client" } });
    await node.addPod("stranger", { namespace: "other" });
    // What a second pod object has of that name is in another namespace.
    await node.putPodObject("twin");
    await node.putPodObject("twin", { namespace: "other" });
    // Named ports are told by objects with addresses.
    await node.putPodObject("web", { labels: { app: "web" }, ports });
    await node.putPolicy({
      name: "web",
      podSelector: { matchLabels: { app: "web" } },
      ingress: [{ peers: [{ podSelector: { matchLabels: { app: "client" } } }], ports: [{ port: "serve" }] }],
    });
    await until("it is enforced", async () => !(await reaches("stranger", "web")), 10_000);
  });
  afterAll(() => node?.[Symbol.asyncDispose]());

  const reaches = async (from: string, to: string, options?: ProbeOptions): Promise<boolean> =>
    (await node.probe(from, to, options)).ok;
  /** Runs `heddlectl policy …` where the agent is. */
  const policy = (...args: readonly string[]): Promise<ExecResult> =>
    exec([...inNetns(node.node.netns), ...HEDDLECTL, "policy", ...args]);

  const ask = (query: Readonly<Record<string, string>>) =>
    node.node.get(`/policy/explain?${new URLSearchParams(query).toString()}`);

  describe("heddlectl policy explain", () => {
    it("says what packets meet, for ports, their names, and protocols without any", async () => {
      for (const [from, to, traffic, options] of [
        ["default/client", "web", "7000/tcp", {}],
        ["client", "default/web", "serve", {}],
        ["client", "web", "8000/tcp", { port: 8000 }],
        ["client", "web", "7000/udp", { kind: "udp" }],
        ["client", "web", "icmp", { kind: "icmp" }],
        ["stranger", "web", "serve/tcp", {}],
        ["web", "client", "7000", {}],
      ] as const) {
        const names = [from, to].map((name) => name.replace(/^.*\//, "")) as [string, string];
        const allowed = await reaches(...names, options);
        const told = JSON.parse((await ask({ from, to, traffic })).body) as PolicyAnswer;
        expect(told.allowed, `${from} to ${to}, ${traffic}`).toBe(allowed);
        expect(told.flows.map((f) => f.family)).toEqual([4, 6]);
      }
    });

    it("names the policy and its rule, at each end", async () => {
      const { code, stdout } = await policy("explain", "client", "web", "serve");
      expect(code).toBe(0);
      expect(stdout).toContain("default/client (10.244.1.");
      expect(stdout).toContain("TCP 7000: allowed");
      expect(stdout).toContain("out of default/client: allowed: no policy is about this");
      expect(stdout).toContain("into default/web: allowed by NetworkPolicy default/web, ingress[0]");
      const denied = await policy("explain", UNDERLAY.ipv4.outside, "web", "80/tcp");
      expect(denied.stdout).toContain("into default/web: denied: NetworkPolicy default/web isolates it");
      expect(denied.code).toBe(1);
    });

    it("tells all ports of a protocol apart", async () => {
      const { flows } = JSON.parse((await ask({ from: "client", to: "web", traffic: "tcp" })).body) as PolicyAnswer;
      expect(flows.filter((f) => f.family === 4).map((f) => [f.ports?.first, f.ports?.last, f.allowed])).toEqual([
        [1, 6999, false],
        [7000, 7000, true],
        [7001, 65_535, false],
      ]);
    });

    it.each<readonly [what: string, asked: readonly [string, string, string], status: number, message: string]>([
      ["a pod that is not there", ["default/wep", "web", "80/tcp"], 404, "is it default/web?"],
      ["a name that several pods have", ["twin", "web", "80/tcp"], 400, "default/twin, other/twin"],
      ["a port that is not there", ["client", "web", "70000/tcp"], 400, "from 1 to 65535"],
      ["a name that no port has", ["client", "web", "http/tcp"], 400, "it has serve (TCP 7000)"],
      ["a protocol without ports", ["client", "web", "80/icmp"], 400, "has no ports"],
    ])("says what is wrong with %s", async (_what, [from, to, traffic], status, message) => {
      const answer = await ask({ from, to, traffic });
      expect(answer.status).toBe(status);
      expect((JSON.parse(answer.body) as { error: string }).error).toContain(message);
    });

    it("ends with 2 where there is no answer", async () => {
      const { code, stderr } = await policy("explain", "default/wep", "web", "80/tcp");
      expect([code, stderr]).toEqual([2, expect.stringContaining("is it default/web?")]);
    });
  });

  it("heddlectl policy show: a pod's rules in order and in words", async () => {
    const { code, stdout } = await policy("show", "web");
    expect(code).toBe(0);
    expect(stdout).toContain("ingress: what no rule allows is denied");
    expect(stdout).toContain(
      '[0] accept port "serve" of TCP: TCP 7000 from pods app=client in namespace default (1 now)',
    );
    expect(stdout).toContain("egress: everything is allowed, no policy is about it");
  });

  it("heddlectl policy lint: what policies that are not applied would do with this cluster's pods", async () => {
    const file = join(node.node.dir, "policies.yaml");
    writeFileSync(file, LINTED);
    const beside = await policy("lint", file);
    expect(beside.code).toBe(1);
    expect(beside.stdout).toContain("spec.podSelector: no pod is selected");
    expect(beside.stdout).toContain('a TCP port named "http"');
    const alone = await policy("lint", "--offline", file);
    expect(alone.stdout).not.toContain("no pod is selected");
    expect(alone.stdout).toContain('error NetworkPolicy default/b spec.ingress[0].ports[1].protocol: "ICMP"');
    expect((await policy("lint", join(node.node.dir, "nowhere.yaml"))).code).toBe(2);
  });

  it("status and metrics name what cannot be read, and pods whose policies cannot be known", async () => {
    await node.putRaw("/heddle/k8s/networkpolicy/other/damaged", "{}");
    await node.addPod("unknown", { isUnknown: true });
    await until(
      "it is told",
      async () => (await metrics()).get('heddle_policy_unreadable_objects{kind="networkpolicy",process="agent"}') === 1,
      5000,
    );
    expect(await node.status()).toMatchObject({
      unreadable: [{ kind: "networkpolicy", namespace: "other", name: "damaged" }],
    });
    const told = await metrics();
    expect(told.get('heddle_policy_unknown_pods{reason="no-object",process="agent"}')).toBe(1);
    expect(told.get('heddle_policy_policies{kind="NetworkPolicy",process="agent"}')).toBe(2);
    expect(told.get('heddle_policy_isolated_pods{direction="ingress",process="agent"}')).toBe(3);
    expect(told.get('heddle_policy_in_force_seconds_count{process="agent"}')).toBeGreaterThan(0);
    expect(told.get('heddle_policy_propagation_seconds_count{process="agent"}')).toBeGreaterThan(0);
    expect(told.get('heddle_policy_propagation_seconds_sum{process="agent"}')).toBeGreaterThan(0);
    const shown = await policy("show", "unknown");
    expect(shown.stdout).toContain("isolated, because no Pod object of its name and UID is known (yet)");
    await node.putRaw("/heddle/k8s/networkpolicy/other/damaged", undefined);
  });

  /** Values by name and labels. */
  const metrics = async (): Promise<ReadonlyMap<string, number>> => {
    const { body } = await node.node.get("/metrics");
    const lines = body.split("\n").filter((line) => !line.startsWith("#") && line !== "");
    return new Map(
      lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ")))]),
    );
  };

  const counters = async (): Promise<PolicyCounters> =>
    JSON.parse((await policy("counters", "-o", "json")).stdout) as PolicyCounters;

  if (dataplane === "vpp") {
    it("says that VPP does not count what policies decide", async () => {
      expect(await counters()).toMatchObject({
        rules: [],
        pods: [],
        problem: expect.stringContaining("not count") as string,
      });
    });
    return;
  }

  it("counts what each policy allows, and what is denied to each pod", async () => {
    const before = await counters();
    await reaches("client", "web");
    await reaches("stranger", "web", { kind: "udp" });
    const after = await counters();
    const of = ({ rules }: PolicyCounters, verdict: string): number =>
      rules
        .filter((r) => r.verdict === verdict && r.direction === "ingress")
        .filter((r) => [...r.origins.map((o) => o.policy), ...r.isolatedBy].some((p) => p.name === "web"))
        .reduce((sum, r) => sum + r.packets, 0);
    expect(of(after, "accept") - of(before, "accept")).toBe(1);
    expect(of(after, "deny") - of(before, "deny")).toBeGreaterThan(0);
    const denied = (c: PolicyCounters) =>
      c.pods.find((p) => p.pod === "web" && p.direction === "ingress")?.packets ?? 0;
    expect(denied(after) - denied(before)).toBe(of(after, "deny") - of(before, "deny"));
    const told = await metrics();
    const labels = 'policy="NetworkPolicy default/web",direction="ingress",verdict="accept",process="agent"';
    expect(told.get(`heddle_policy_judged_packets_total{${labels}}`)).toBe(of(after, "accept"));
    expect(
      told.get('heddle_policy_denied_packets_total{namespace="default",pod="web",direction="ingress",process="agent"}'),
    ).toBe(denied(after));
  });

  it("logs what is denied, with the names of the pods and the policy, once for each flow", async () => {
    await reaches("stranger", "web", { port: 8000 });
    const lines = (): Record<string, unknown>[] =>
      readFileSync(join(node.node.dir, "agent.log"), "utf8")
        .split("\n")
        .filter((line) => line.includes('"packet denied"'))
        .map((line) => JSON.parse(line) as Record<string, unknown>);
    const ofPort = () => lines().filter((line) => line["port"] === 8000 && line["peer"] === "other/stranger");
    await until("it is logged", () => Promise.resolve(ofPort().length > 0), 5000);
    await reaches("stranger", "web", { port: 8000 });
    expect(ofPort()).toEqual([
      expect.objectContaining({
        ...{ level: 30, direction: "ingress", pod: "default/web", peer: "other/stranger", protocol: "TCP", port: 8000 },
        ...{ because: "no-rule-allows", policies: ["NetworkPolicy default/web"] },
      }),
    ]);
  });
});

const LINTED = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: a}
spec: {podSelector: {matchLabels: {app: wep}}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: b}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress: [{ports: [{port: http}, {port: 80, protocol: ICMP}]}]
`;
