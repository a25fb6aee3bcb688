import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { onEachDataplane } from "../../support/agent-node/dataplanes.ts";
import { report } from "../../support/restart-report.ts";
import { Load } from "../../support/services/load.ts";
import { type EndpointSpec, ServiceLab, TARGET_PORT } from "../../support/services/service-lab.ts";

const FAMILIES = [4, 6] as const;
const ENDPOINTS = 20;
const NODE_PORT = 30_300;
const NODES = ["n1", "n2"] as const;
const nodeOf = (i: number): string => NODES[i % 2] ?? "";
/** Of its grace period: after so long a pod that was told to end closes what it has, and some time later it is gone. */
const SERVES_MS = 400;
const DRAINS_MS = 150;
/** Beside that, where the agent was killed: on a busy machine it is a while until it has in force what it knows. A kubelet gives 30 s. */
const RESTARTED_MS = 3000;
/** Of a machine that is very busy. */
const MOST_MS = 300_000;

onEachDataplane("a rolling update of twenty endpoints under load", (dataplane) => {
  let lab: ServiceLab;
  const endpoints = new Map<string, EndpointSpec>();
  /** `performance.now()` when its endpoint stopped being ready, by address. */
  const leftAt = new Map<string, number>();

  beforeAll(async () => {
    lab = await ServiceLab.up(dataplane, { a: "n1", d: "n2" });
    await Promise.all(Array.from({ length: ENDPOINTS }, (_, i) => comes(`old-${i}`, nodeOf(i))));
  }, MOST_MS);
  afterAll(() => lab?.[Symbol.asyncDispose]());

  function publish(): void {
    for (const family of FAMILIES) lab.endpoints("rolling", family, [...endpoints.values()]);
  }

  async function comes(pod: string, node: string): Promise<void> {
    const { lab: nodes } = lab.nodes;
    const { netns } = await nodes.addPod(pod, node, { labels: { app: "rolling" } });
    await (await nodes.prober()).serve(netns, TARGET_PORT);
    endpoints.set(pod, { pod });
  }

  /** As a kubelet ends it: it is told when its endpoint no longer is ready, and its endpoint goes when it has gone. */
  async function ends(pod: string, meanwhile: () => Promise<void>): Promise<void> {
    const { lab: nodes } = lab.nodes;
    const prober = await nodes.prober();
    const { netns, ips } = nodes.pod(pod);
    for (const ip of ips) leftAt.set(ip, performance.now());
    endpoints.set(pod, { pod, ready: false, serving: true, terminating: true });
    publish();
    await meanwhile();
    await lab.settled();
    await delay(SERVES_MS);
    await prober.drain(netns);
    await delay(DRAINS_MS);
    await prober.unserve(netns);
    await nodes.delPod(pod);
    endpoints.delete(pod);
    publish();
  }

  it("no request fails, neither on connections that are kept nor on new ones; with the agent killed in the middle", {
    // Not to be tried again: its pods would be there already.
    timeout: MOST_MS,
    retry: 0,
  }, async () => {
    const pods = [...endpoints.keys()].map((pod) => ({ pod }));
    const ports = [{ port: 80, nodePort: NODE_PORT }];
    const ips = await lab.make("rolling", { type: "NodePort", ports }, pods);
    const netnsOf = (of: string) => lab.nodes.lab.netnsOf(of);
    const paths = FAMILIES.flatMap((family, i) => [
      ...["a", "d", "n1"].map((from) => ({ from, address: ips[family], port: 80 })),
      { from: "outside", address: lab.ips("n2")[i] ?? "", port: NODE_PORT },
    ]);
    const prober = await lab.nodes.lab.prober();
    const load = new Load(
      prober,
      paths.map(({ from, ...to }) => ({ name: `${from} to ${to.address}`, netns: netnsOf(from), ...to })),
    );
    const began = performance.now();
    const going: Promise<void>[] = [];
    for (let i = 0; i < ENDPOINTS; i++) {
      await comes(`new-${i}`, nodeOf(i));
      publish();
      await lab.settled();
      const isKilled = i === ENDPOINTS / 2;
      const end = ends(`old-${i}`, async () => {
        if (!isKilled) return;
        await lab.nodes.lab.restart("n1");
        await delay(RESTARTED_MS);
      });
      // Whoever waits for it hears of it.
      end.catch(() => {});
      going.push(end);
      // One goes at a time, while the next one comes.
      if (isKilled) await end;
      else await going.at(-2);
    }
    await Promise.all(going);
    await lab.settled();
    const ms = performance.now() - began;
    await load.over(async () => {
      for (const pod of endpoints.keys()) await prober.drain(netnsOf(pod));
    });
    const { counts, failed } = load;
    const ofThoseWhoLeft = failed.filter(
      ({ answeredBy, at }) => at >= (leftAt.get(answeredBy) ?? Number.POSITIVE_INFINITY),
    );
    const others = failed.filter((one) => !ofThoseWhoLeft.includes(one));
    const within = ofThoseWhoLeft.map(({ answeredBy, at }) => Math.round(at - (leftAt.get(answeredBy) ?? at)));
    report(
      `${dataplane}: ${ENDPOINTS} endpoints replaced in ${(ms / 1000).toFixed(1)} s; ${counts.new} new connections, ` +
        `${counts.long} kept ones with ${counts.requests} requests; failed: ${others.length} to endpoints that were there, ` +
        `${within.length} to those that terminated${within.length > 0 ? ` (after ${within.join(", ")} ms)` : ""}`,
    );
    expect(others).toEqual([]);
    // VPP cuts what an endpoint has within seconds when it no longer is ready: there is no drain.
    if (dataplane === "linux") expect(ofThoseWhoLeft).toEqual([]);
    expect(counts.new).toBeGreaterThan(500);
    expect(counts.requests).toBeGreaterThan(2000);
  });
});
