import { setTimeout as delay } from "node:timers/promises";
import type { NetworkPolicy } from "../../../src/models/k8s/network-policy.ts";
import { atMost, type Figure } from "../../figure.ts";
import type { AgentNode } from "../../rig/agent-node.ts";
import { BENCH_NAMESPACE, type ReflectedObject } from "../../rig/objects.ts";
import type { Rig } from "../../rig/rig.ts";
import { Wiring } from "../../rig/wired.ts";
import { median, quantile, rounded } from "../../stats.ts";
import type { Case, CaseContext } from "../case.ts";
import { podNumber } from "./data.ts";
import { nodesByDataplane } from "./nodes.ts";

/** Other pods of the cluster, whose labels change all the time. */
const OTHERS = 1000;
const NAMESPACES = 50;
/** Changes of objects a second, those that are measured among them. */
const CHANGES = 50;
/** What a datagram may take there and back before it counts as dropped. */
const PROBE_MS = 40;
/** A change that is not obeyed by then is a mistake. */
const GIVE_UP_MS = 5000;

/** From the write of a policy to packets that obey it, while other objects change. */
export const policyPropagation: Case = {
  name: "policy-propagation",
  async run({ rig, quick, progress }: CaseContext): Promise<Figure[]> {
    const count = quick ? 10 : 200;
    const figures: Figure[] = [];
    for (const [dataplane, node] of await nodesByDataplane(rig)) {
      progress(`policies on ${dataplane}: ${count} changes, ${CHANGES} a second beside them`);
      const { took, wrong } = node ? await measure(rig, node, count) : { took: [], wrong: [] };
      const common = { unit: "ms", samples: took.length, wrong, notes: { max: rounded(Math.max(...took)) } };
      const name = `policy on ${dataplane}, from the store to packets`;
      figures.push({ ...common, name: `${name}: p50`, value: median(took), target: atMost(20) });
      figures.push({ ...common, name: `${name}: p99`, value: quantile(took, 0.99), target: atMost(100) });
    }
    return figures;
  },
};

async function measure(rig: Rig, node: AgentNode, count: number) {
  const [from = "", to = ""] = await rig.pods.make(2, { app: "measured" });
  const wiring = new Wiring(node.launcher, node.plugin);
  const { pods } = await wiring.add([from, to]);
  const address = pods[1]?.ips.find((ip) => !ip.includes(":")) ?? "";
  const others = surroundings();
  await rig.objects.write(others);
  const stop = new AbortController();
  const busy = keepChanging(rig, stop.signal);
  const took: number[] = [];
  const arrives = async (): Promise<boolean> =>
    (await rig.prober.probe("udp", from, address, { timeoutMs: PROBE_MS })).ok;
  try {
    for (let i = -10; i < count; i++) {
      const isOpen = i % 2 === 0;
      await delay(20 + Math.random() * 40);
      const began = performance.now();
      await rig.objects.write([gate(isOpen)]);
      const obeyed = await firstThat(isOpen, arrives);
      if (obeyed === undefined) wiring.wrong.push(`a policy was not obeyed within ${GIVE_UP_MS} ms`);
      else if (i >= 0) took.push(obeyed - began); // before that code is compiled and neighbours are found
    }
  } finally {
    stop.abort();
    await busy;
    await rig.objects.erase([...others, gate(true)]);
    await wiring.delete(pods);
    await rig.pods.drop([from, to]);
  }
  return { took, wrong: wiring.wrong };
}

/** When the first datagram was sent that fared so; one is sent each millisecond, whatever has become of those before. */
async function firstThat(isOpen: boolean, arrives: () => Promise<boolean>): Promise<number | undefined> {
  const began = performance.now();
  const found: { at?: number } = {};
  const inFlight: Promise<void>[] = [];
  while (found.at === undefined && performance.now() - began < GIVE_UP_MS) {
    const sent = performance.now();
    const one = arrives().then((ok) => {
      if (ok === isOpen) found.at = Math.min(found.at ?? sent, sent);
    });
    inFlight.push(one);
    await delay(1);
  }
  await Promise.all(inFlight);
  return found.at;
}

/** Who may reach the pods that are measured: everybody of some version, and by `isOpen` they each other. */
function gate(isOpen: boolean): ReflectedObject {
  const measured = { matchLabels: { app: "measured" } };
  const peers = [
    { namespaceSelector: {}, podSelector: { matchLabels: { version: "v1" } } },
    ...(isOpen ? [{ podSelector: measured }] : []),
  ];
  const object: NetworkPolicy = {
    namespace: BENCH_NAMESPACE,
    name: "gate",
    uid: "",
    podSelector: measured,
    ingress: [{ peers }],
  };
  return { kind: "networkpolicy", object };
}

function surroundings(): ReflectedObject[] {
  const namespaces = Array.from({ length: NAMESPACES }, (_, i): ReflectedObject => {
    const name = `ns-${i}`;
    const labels = { "kubernetes.io/metadata.name": name };
    return { kind: "namespace", object: { namespace: "", name, uid: "", labels } };
  });
  const pods = Array.from({ length: OTHERS }, (_, i): ReflectedObject => other(i, i));
  return [...namespaces, ...pods];
}

const other = (i: number, round: number): ReflectedObject => ({
  kind: "pod",
  object: podNumber(i, NAMESPACES, { version: `v${round % 5}` }),
});

/** Relabels one of the other pods after the other. */
async function keepChanging(rig: Rig, signal: AbortSignal): Promise<void> {
  const began = performance.now();
  for (let n = 0; !signal.aborted; n++) {
    await rig.objects.write([other((n * 37) % OTHERS, n)]);
    const next = began + ((n + 1) * 1000) / CHANGES;
    await delay(Math.max(0, next - performance.now()));
  }
}
