// kube-proxy's side of services-linux, in the network namespace that it is started in: `theirs.ts PROGRAM SERVICES CHANGES`.
// The API server is this process's: it does nothing while kube-proxy works.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { FakeApiServer } from "../../../test/support/k8s/fake-api-server.ts";
import { CLUSTER_CIDR, changes, clusterOf, LARGE, NODE, type Side, SPACING_MS } from "./objects.ts";

const METRICS = "127.0.0.1:10249";
const POLL_MS = 20;
/** All of it, in less than whoever has started this process has patience. */
const GIVE_UP_AT = performance.now() + 360_000;
/** That long without a sync, it has nothing more to do. */
const QUIET_MS = 3000;
/** Its histograms of the time that a sync takes, from the first look at what has changed to nft's last answer. */
const FULL = "kubeproxy_sync_full_proxy_rules_duration_seconds";
const ALL = "kubeproxy_sync_proxy_rules_duration_seconds";

const [program = "", ...numbers] = process.argv.slice(2);
const [services = 0, count = 0] = numbers.map(Number);
const dir = mkdtempSync(join(tmpdir(), "hd-bench-proxy-"));
const api = await FakeApiServer.open();
for (const [plural, object] of clusterOf({ ...LARGE, services })) api.put(plural, object);

const kubeconfig = join(dir, "kubeconfig");
const config = join(dir, "config");
writeFileSync(kubeconfig, api.kubeconfig());
writeFileSync(
  config,
  JSON.stringify({
    apiVersion: "kubeproxy.config.k8s.io/v1alpha1",
    kind: "KubeProxyConfiguration",
    mode: "nftables",
    hostnameOverride: NODE,
    clusterCIDR: CLUSTER_CIDR,
    metricsBindAddress: METRICS,
    clientConnection: { kubeconfig, contentType: "application/json", acceptContentTypes: "application/json" },
    // What a network namespace other than the first can't set.
    conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: "0s", tcpCloseWaitTimeout: "0s" },
  }),
);

// It ends with this process, however that ends.
const child = spawn("setpriv", ["--pdeathsig", "KILL", program, "--config", config], {
  stdio: ["ignore", "ignore", "pipe"],
});
let log = "";
child.stderr.on("data", (chunk: Buffer) => (log = (log + chunk.toString()).slice(-4000)));
try {
  const side = await measure(child);
  process.stdout.write(JSON.stringify(side));
} finally {
  const gone = child.exitCode === null && child.signalCode === null ? once(child, "exit") : undefined;
  child.kill("SIGKILL");
  await gone;
  await api.close();
  rmSync(dir, { recursive: true, force: true });
}

async function measure(proxy: ChildProcess): Promise<Side> {
  const wrong: string[] = [];
  await reached(proxy, async () => (await read(FULL)).count > 0);
  const first = await read(FULL);
  if (first.count > 1) wrong.push("kube-proxy's first sync was not seen alone");
  let before = await quiet();
  const took: number[] = [];
  for (const object of changes(count)) {
    await delay(SPACING_MS);
    api.put("endpointslices", object);
    let now = before;
    await reached(proxy, async () => (now = await read(ALL)).count > before.count);
    if (now.count > before.count + 1) wrong.push("two syncs for one change");
    took.push(1000 * (now.sum - before.sum));
    before = now;
  }
  const rules = await found();
  const expected = services * LARGE.endpoints + (count % 2);
  if (rules !== expected) wrong.push(`kube-proxy has ${rules} endpoints, not ${expected}: ${log.slice(-500)}`);
  return { empty: 1000 * first.sum, changes: took, wrong };
}

/** Waits until its syncs have come to an end: after the first, one for each thing that it has then learned. */
async function quiet(): Promise<Histogram> {
  for (let before = await read(ALL); ; ) {
    await delay(QUIET_MS);
    const now = await read(ALL);
    if (now.count === before.count) return now;
    before = now;
  }
}

interface Histogram {
  readonly sum: number;
  readonly count: number;
}

/** Of IPv4; nothing while it does not answer. */
async function read(name: string): Promise<Histogram> {
  const text = await fetch(`http://${METRICS}/metrics`).then(
    (answer) => answer.text(),
    () => "",
  );
  const value = (suffix: string) =>
    Number(new RegExp(`^${name}_${suffix}\\{ip_family="IPv4"\\} (\\S+)$`, "m").exec(text)?.[1] ?? 0);
  return { sum: value("sum"), count: value("count") };
}

async function reached(proxy: ChildProcess, holds: () => Promise<boolean>): Promise<void> {
  for (; !(await holds()); await delay(POLL_MS)) {
    if (proxy.exitCode !== null || performance.now() > GIVE_UP_AT) throw new Error(`kube-proxy did not sync: ${log}`);
  }
}

/** Endpoints that its rules lead to. */
async function found(): Promise<number> {
  const nft = spawn("nft", ["list", "table", "ip", "kube-proxy"], { stdio: ["ignore", "pipe", "inherit"] });
  let rules = 0;
  let partial = "";
  for await (const chunk of nft.stdout as AsyncIterable<Buffer>) {
    const lines = (partial + chunk.toString()).split("\n");
    partial = lines.pop() ?? "";
    rules += lines.filter((line) => line.includes("dnat to")).length;
  }
  return rules;
}
