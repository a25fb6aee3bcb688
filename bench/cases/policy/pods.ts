import { existsSync } from "node:fs";
import { inNetns } from "../../../src/lab/net/ip.ts";
import { execOk } from "../../../src/lab/process/exec.ts";
import type { NetworkPolicy } from "../../../src/models/k8s/network-policy.ts";
import { atMost, type Figure, ratioAtLeast } from "../../figure.ts";
import type { AgentNode } from "../../rig/agent-node.ts";
import { IPERF3, type Place, serveIperf3, tcpGbits } from "../../rig/iperf3.ts";
import { BENCH_NAMESPACE, type ReflectedObject } from "../../rig/objects.ts";
import type { Rig } from "../../rig/rig.ts";
import { type WiredPod, Wiring } from "../../rig/wired.ts";
import { median, quantile, rounded, spread } from "../../stats.ts";
import { alternating, type Case, type CaseContext } from "../case.ts";
import { clusterInputs, type PolicyScale } from "./data.ts";
import { nodesByDataplane } from "./nodes.ts";

const POLICIES = 100;
/** Connections that are being made at the same time. */
const AT_ONCE = 32;
const LARGE: PolicyScale = { pods: 10_000, namespaces: 1000, policies: 1000, locals: 0 };
const LOCALS = 110;

/** What a pod with many policies gets, beside one without. */
export const policyThroughput: Case = {
  name: "policy-throughput",
  async run({ rig, quick, progress }: CaseContext): Promise<Figure[]> {
    const count = quick ? 2 : 15;
    const seconds = quick ? 1 : 2;
    const figures: Figure[] = [];
    for (const [dataplane, node] of await nodesByDataplane(rig)) {
      const name = `pod with ${POLICIES} policies on ${dataplane}`;
      const absent = node === undefined || !existsSync(IPERF3);
      const pairs = absent ? undefined : await wire(rig, node);
      for (const [what, unit, measure] of MEASURES) {
        const samples = { judged: [] as number[], free: [] as number[] };
        progress(`${name}: ${what}, ${count} pairs of ${seconds} s`);
        for (let i = -1; i < (pairs ? count : -1); i++) {
          const once = (ends: Ends, into: number[]) => async () => {
            const value = await measure(rig, ends, seconds);
            if (i >= 0) into.push(value); // the first pair is a warm-up
          };
          if (!pairs) continue;
          await alternating(i, once(pairs.judged, samples.judged), once(pairs.free, samples.free));
        }
        figures.push(figure(`${name}: ${what}`, unit, samples, pairs?.wrong ?? []));
      }
      await pairs?.remove();
    }
    return figures;
  },
};

/** What an agent needs for a large cluster. */
export const policyMemory: Case = {
  name: "policy-memory",
  async run({ rig, quick, progress }: CaseContext): Promise<Figure[]> {
    const node = rig.first;
    progress(`an agent with ${LARGE.pods} pods, ${LARGE.policies} policies, ${quick ? "few" : LOCALS} local pods`);
    const samples: number[] = [];
    let peak = 0;
    const wrong = await withLocalPods(rig, quick, async () => {
      const objects = largePolicies();
      await rig.objects.write(objects);
      for (let i = 0; i < (quick ? 2 : 20); i++) {
        await new Promise((resolve) => setTimeout(resolve, 1000));
        samples.push(node.memory().now);
      }
      peak = node.memory().peak;
      await rig.objects.erase(objects);
    });
    return [
      {
        name: "agent's memory in a cluster of 10,000 pods and 1,000 policies",
        unit: "MiB",
        value: Math.max(...samples.slice(-10)),
        target: atMost(250),
        samples: samples.length,
        wrong,
        notes: { "most at any time": rounded(peak) },
      },
    ];
  },
};

/** The first node meanwhile has as many pods as a node may have; few if `quick`. Returns what went wrong with them. */
export async function withLocalPods(rig: Rig, quick: boolean, body: () => Promise<void>): Promise<readonly string[]> {
  const names = await rig.pods.make(quick ? 10 : LOCALS, { app: "app-1", tier: "back" });
  const wiring = new Wiring(rig.first.launcher, rig.first.plugin);
  const pods: WiredPod[] = [];
  for (let i = 0; i < names.length; i += 10) pods.push(...(await wiring.add(names.slice(i, i + 10))).pods);
  await body();
  for (let i = 0; i < pods.length; i += 10) await wiring.delete(pods.slice(i, i + 10));
  await rig.pods.drop(names);
  return wiring.wrong;
}

/** A large cluster's pods and policies, some of which are about the pods of {@link withLocalPods}. */
export function largePolicies(): ReflectedObject[] {
  const objects = clusterInputs(LARGE).flatMap((input): ReflectedObject[] => {
    if (input.kind === "local" || input.object === undefined) return [];
    return [{ kind: input.kind, object: input.object } as ReflectedObject];
  });
  return [...objects, ...policiesFor({ app: "app-1" })];
}

type Ends = readonly [from: Place, to: Place];
type Measure = (rig: Rig, ends: Ends, seconds: number) => Promise<number>;

const MEASURES: readonly (readonly [what: string, unit: string, measure: Measure])[] = [
  ["TCP", "Gbit/s", (_rig, [from, to], seconds) => tcpGbits(from, to, seconds)],
  ["connections", "/s", connectionRate],
];

/** TCP connections that are made and closed, {@link AT_ONCE} at a time. */
async function connectionRate(rig: Rig, [from, to]: Ends, seconds: number): Promise<number> {
  const began = performance.now();
  const end = began + seconds * 1000;
  let made = 0;
  const worker = async () => {
    while (performance.now() < end) {
      const { ok } = await rig.prober.probe("tcp", from.netns, to.ip);
      if (ok) made++;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return made / ((performance.now() - began) / 1000);
}

async function wire(rig: Rig, node: AgentNode) {
  const wiring = new Wiring(node.launcher, node.plugin);
  const judged = await rig.pods.make(2, { app: "judged" });
  const free = await rig.pods.make(2, { app: "free" });
  const policies = policiesFor({ app: "judged" });
  await rig.objects.write(policies);
  const { pods } = await wiring.add([...judged, ...free]);
  const places = pods.map((p): Place => ({ netns: p.sandbox.netns, ip: p.ips.find((ip) => !ip.includes(":")) ?? "" }));
  const [a, b, c, d] = places;
  if (!a || !b || !c || !d) throw new Error(`pods could not be wired: ${wiring.wrong.join("; ")}`);
  await serveIperf3(rig, [b, d]);
  // Or after some seconds there is no port left to begin a connection from.
  for (const { netns } of places) await execOk([...inNetns(netns), "sysctl", "-qw", "net.ipv4.tcp_max_tw_buckets=0"]);
  const remove = async () => {
    await wiring.delete(pods);
    await rig.objects.erase(policies);
    await rig.pods.drop([...judged, ...free]);
  };
  return { judged: [a, b] as Ends, free: [c, d] as Ends, wrong: wiring.wrong, remove };
}

/** Policies of both directions for pods with these labels; only the last one lets them reach each other. */
function policiesFor(labels: Readonly<Record<string, string>>): ReflectedObject[] {
  const podSelector = { matchLabels: labels };
  return Array.from({ length: POLICIES }, (_, i): ReflectedObject => {
    const peers =
      i === POLICIES - 1
        ? [{ podSelector }]
        : [{ ipBlock: { cidr: `172.16.${i}.0/24`, except: [`172.16.${i}.128/25`] } }];
    const ports = i === POLICIES - 1 ? undefined : [{ protocol: "TCP", port: 1000 + i, endPort: 1100 + i }];
    const rule = { peers, ...(ports ? { ports } : {}) };
    const object: NetworkPolicy = {
      namespace: BENCH_NAMESPACE,
      name: `of-${Object.values(labels).join("-")}-${i}`,
      uid: "",
      podSelector,
      policyTypes: ["Ingress", "Egress"],
      ingress: [rule],
      egress: [rule],
    };
    return { kind: "networkpolicy", object };
  });
}

function figure(
  name: string,
  unit: string,
  { judged, free }: { readonly judged: readonly number[]; readonly free: readonly number[] },
  wrong: readonly string[],
): Figure {
  const ratios = judged.map((value, i) => value / (free[i] ?? Number.NaN));
  return {
    name,
    unit,
    value: median(judged),
    ...(free.length > 0 ? { peer: { name: "a pod with none", value: median(free) }, ratio: median(ratios) } : {}),
    target: ratioAtLeast(0.93),
    samples: judged.length,
    wrong,
    notes:
      judged.length === 0
        ? {}
        : {
            "middle half, with": spread(judged),
            "middle half, without": spread(free),
            "ratio of pairs": `${quantile(ratios, 0.25).toFixed(2)} – ${quantile(ratios, 0.75).toFixed(2)}`,
          },
  };
}
