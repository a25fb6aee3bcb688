import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { parseAllDocuments } from "yaml";
import { type Clock, systemClock } from "../../../src/base/clock/clock.ts";
import { silentLog } from "../../../src/infra/log/log.ts";
import { Registry } from "../../../src/infra/metrics/metrics.ts";
import { KubeClient } from "../../../src/ksr/kube/client.ts";
import { type Credentials, loadCredentials } from "../../../src/ksr/kube/credentials.ts";
import { KubeSource } from "../../../src/ksr/kube/kube-source.ts";
import { KubeMetrics } from "../../../src/ksr/kube/metrics.ts";
import { fastClock } from "../../support/fast-clock.ts";
import type { ApiObject } from "../../support/k8s/fake-api-server.ts";
import { KubeApiServer, noKubeApiServer } from "../../support/k8s/kube-apiserver.ts";
import {
  clusterPolicy,
  clusterPolicyDefinition,
  realNamespace,
  realNode,
  realPod,
  realPolicy,
  realService,
  realServiceCidr,
  realSlice,
} from "../../support/k8s/real-objects.ts";
import { Reflecting } from "../../support/k8s/reflecting.ts";
import { MemoryStoreData } from "../../support/memory-store.ts";
import { TcpProxy } from "../../support/tcp-proxy.ts";
import { until } from "../../support/until.ts";

const because = noKubeApiServer === undefined ? "" : ` (skipped: ${noKubeApiServer})`;
const root = join(import.meta.dirname, "../../..");

describe.skipIf(noKubeApiServer)(`a real kube-apiserver${because}`, () => {
  let api: KubeApiServer;
  let proxy: TcpProxy;
  let dir: string;
  let credentials: Credentials;
  let opened: Reflecting[];
  let ns: string;
  let tests = 0;

  beforeAll(async () => {
    api = await KubeApiServer.start();
    proxy = await TcpProxy.start({ port: api.port });
    dir = await mkdtemp(join(tmpdir(), "hd-ksr-kube-"));
    const server = `https://127.0.0.1:${proxy.port}`;
    credentials = await loadCredentials(await api.writeKubeconfig(join(dir, "config"), undefined, server));
  });
  afterAll(async () => {
    credentials?.close();
    await proxy?.close();
    await api?.close();
    if (dir !== undefined) await rm(dir, { recursive: true });
  });
  beforeEach(async () => {
    opened = [];
    ns = `t${tests++}`;
    await api.apply(realNamespace(ns));
  });
  afterEach(async () => {
    proxy.allow();
    for (const one of opened) await one.close();
  });

  let metrics: Registry;
  function reflecting(options: { pageSize?: number; data?: MemoryStoreData; clock?: Clock } = {}): Reflecting {
    const { pageSize, data, clock = systemClock } = options;
    metrics = new Registry();
    const source = new KubeSource({
      client: new KubeClient({ credentials, clock }),
      clock,
      log: silentLog,
      metrics: new KubeMetrics(metrics),
      server: api.url,
      pageSize,
    });
    const made = new Reflecting(source, clock, data).start();
    opened.push(made);
    return made;
  }
  /** The value of a counter, over all its labels that match. */
  const counted = async (name: string, labels = ""): Promise<number> => {
    const lines = (await metrics.metrics()).split("\n").filter((l) => l.startsWith(`${name}{`) && l.includes(labels));
    return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
  };
  const pods = (of: Reflecting): string =>
    of
      .keys()
      .filter((k) => k.startsWith(`pod/${ns}/`))
      .map((k) => k.slice(`pod/${ns}/`.length))
      .join(" ");
  const has = (of: Reflecting, expected: string) =>
    until(`the pods are ${expected}`, () => pods(of) === expected).catch((e: unknown) => {
      throw new Error(`they are ${pods(of)}; ${of.source.problems().join("; ")}`, { cause: e });
    });
  const removed: ApiObject[] = [];
  const during = async (...objects: ApiObject[]): Promise<void> => {
    for (const object of objects) await api.apply(object);
    removed.push(...objects);
  };
  afterEach(async () => {
    for (const object of removed.splice(0).toReversed()) await api.delete(object);
  });

  it("is reflected with objects of every kind, in pages, and followed", async () => {
    await during(realNode("n1"), realServiceCidr("more", "10.97.0.0/24"));
    for (const object of [realService(ns, "web"), realSlice(ns, "web", "10.244.0.9"), realPolicy(ns, "p")]) {
      await api.apply(object);
    }
    for (const name of ["a", "b", "c", "d", "e"]) await api.apply(realPod(ns, name, { app: "web" }));
    const one = reflecting({ pageSize: 2 });
    await one.isSynced();
    expect(one.source.problems()).toEqual([]);
    expect(pods(one)).toBe("a b c d e");
    expect(one.value(`namespace/${ns}`)).toMatchObject({ labels: { "kubernetes.io/metadata.name": ns } });
    expect(one.value("node/n1")).toMatchObject({ podCIDRs: ["10.244.0.0/24"] });
    expect(one.value("servicecidr/kubernetes")).toMatchObject({ cidrs: ["10.96.0.0/16", "fd00:96::/112"] });
    expect(one.value("servicecidr/more")).toMatchObject({ cidrs: ["10.97.0.0/24"] });
    expect(one.value(`pod/${ns}/a`)).toMatchObject({
      phase: "Pending",
      labels: { app: "web" },
      ports: [{ name: "http", protocol: "TCP", port: 8080 }],
      uid: expect.stringMatching(/^[0-9a-f-]{36}$/),
    });
    const service = one.value(`service/${ns}/web`) as { clusterIps: string[]; ports: unknown };
    expect(service.clusterIps).toEqual([expect.stringMatching(/^10\.9[67]\./), expect.stringMatching(/^fd00:96::/)]);
    expect(one.value(`endpointslice/${ns}/web-1`)).toMatchObject({
      service: "web",
      endpoints: [{ addresses: ["10.244.0.9"], ready: true, node: "n1", zone: "z" }],
    });
    expect(one.value(`networkpolicy/${ns}/p`)).toEqual({
      namespace: ns,
      name: "p",
      uid: expect.any(String),
      podSelector: { matchLabels: { app: "web" } },
      policyTypes: ["Ingress"], // the API server's default
      ingress: [
        {
          peers: [{ namespaceSelector: {} }, { ipBlock: { cidr: "10.0.0.0/8", except: ["10.1.0.0/16"] } }],
          ports: [
            { protocol: "TCP", port: "http" },
            { protocol: "UDP", port: 8000, endPort: 8010 },
          ],
        },
      ],
    });
    await api.apply(realSlice(ns, "web", "10.244.0.10"));
    await until("the slice's change", () => {
      const slice = one.value(`endpointslice/${ns}/web-1`) as { endpoints: { addresses: string[] }[] };
      return slice.endpoints[0]?.addresses[0] === "10.244.0.10";
    });
    await api.delete(realPod(ns, "b"));
    await api.apply(realPod(ns, "f"));
    await has(one, "a c d e f");
    expect(await counted("heddle_ksr_lists_total", 'kind="pod"')).toBe(1);
  });

  it("is resumed where a connection broke: nothing is listed again, tombstones arrive late but arrive", async () => {
    await api.apply(realPod(ns, "a"));
    await api.apply(realPod(ns, "b"));
    const one = reflecting();
    await one.isSynced();
    proxy.refuse();
    await api.delete(realPod(ns, "a"));
    await api.apply(realPod(ns, "c"));
    expect(pods(one)).toBe("a b");
    proxy.allow();
    await has(one, "b c");
    expect(await counted("heddle_ksr_lists_total", 'kind="pod"')).toBe(1);
    expect(await counted("heddle_ksr_events_total", 'type="DELETED"')).toBeGreaterThanOrEqual(1);
  });

  it("sends bookmarks while nothing changes; it goes on from there", async () => {
    const one = reflecting();
    await one.isSynced();
    await api.apply(realPod(ns, "a")); // the server sends none before it has seen any change
    await has(one, "a");
    // About once a minute.
    const bookmarks = () => counted("heddle_ksr_events_total", 'kind="pod",type="BOOKMARK"');
    await until("a bookmark", async () => (await bookmarks()) > 0, 110_000);
    const watches = await counted("heddle_ksr_watches_total", 'kind="pod"');
    proxy.cut();
    await until("it watches again", async () => (await counted("heddle_ksr_watches_total", 'kind="pod"')) > watches);
    await api.apply(realPod(ns, "b"));
    await has(one, "a b");
    expect(await counted("heddle_ksr_lists_total", 'kind="pod"')).toBe(1);
  }, 180_000);

  it("that has forgotten what was seen last is listed again, which finds what is gone", async () => {
    for (const name of ["a", "b"]) await api.apply(realPod(ns, name));
    const one = reflecting({ pageSize: 1 });
    await one.isSynced();
    proxy.refuse();
    await api.delete(realPod(ns, "a"));
    await api.apply(realPod(ns, "c"));
    await api.kill(); // its memory of changes goes with it
    api.compact();
    await api.start();
    await api.apply(realPod(ns, "d"));
    proxy.allow();
    await has(one, "b c d");
    expect(await counted("heddle_ksr_source_errors_total", 'kind="pod",reason="gone"')).toBeGreaterThanOrEqual(1);
    expect(await counted("heddle_ksr_lists_total", 'kind="pod"')).toBeGreaterThanOrEqual(2);
    await until("nothing is wrong any more", () => one.source.problems().length === 0);
  });

  it("is compared with what the store has at the start: right entries stay, others are put right or removed", async () => {
    for (const name of ["a", "b"]) await api.apply(realPod(ns, name));
    const first = reflecting();
    await first.isSynced();
    await first.close();
    opened = [];
    const { data } = first;
    const before = data.list("").find((e) => e.key.endsWith(`pod/${ns}/a`));
    await api.delete(realPod(ns, "b"));
    await api.apply(realPod(ns, "c"));
    const second = reflecting({ data });
    await second.isSynced();
    await has(second, "a c");
    const after = data.list("").find((e) => e.key.endsWith(`pod/${ns}/a`));
    expect(after?.revision).toBe(before?.revision);
  });

  it("gets a CRD for ClusterNetworkPolicies, which are reflected then, and gone when it goes", async () => {
    const one = reflecting({ clock: fastClock(5) });
    await one.isSynced();
    expect((one.source as KubeSource).states()["clusternetworkpolicies"]).toBe("absent");
    await api.apply(clusterPolicyDefinition);
    await until(
      "it is served",
      async () =>
        (await api.call({ path: "/apis/policy.networking.k8s.io/v1alpha2/clusternetworkpolicies" })).status === 200,
    );
    await api.apply(clusterPolicy("deny"));
    await until("the policy", () => one.keys().includes("clusternetworkpolicy/deny"));
    expect(one.value("clusternetworkpolicy/deny")).toMatchObject({
      tier: "Admin",
      priority: 10,
      subject: { namespaces: {} },
    });
    await api.delete(clusterPolicyDefinition);
    await until("it is gone", () => !one.keys().some((k) => k.startsWith("clusternetworkpolicy/")), 60_000);
    expect(one.source.problems()).toEqual([]);
  });

  it("takes every manifest that Heddle ships", async () => {
    const files = (await readdir(join(root, "manifests"), { recursive: true })).filter((f) => /\.ya?ml$/.test(f));
    expect(files).toContain("ksr.yaml");
    for (const file of files) {
      const text = await readFile(join(root, "manifests", file), "utf8");
      for (const document of parseAllDocuments(text)) {
        const object = document.toJS() as ApiObject;
        const taken = await api.apply(object, true).catch((e: unknown) => {
          throw new Error(`${file}: ${object.kind} ${object.metadata.name}`, { cause: e });
        });
        expect(taken).toMatchObject({ kind: object.kind, metadata: { name: object.metadata.name } });
      }
    }
  });
});

describe.skipIf(noKubeApiServer)(`a real kube-apiserver that keeps kubernetes.default${because}`, () => {
  it("has it reflected as it writes it: without selector, its own address in a slice without a node", async () => {
    await using api = await KubeApiServer.start(["--endpoint-reconciler-type=lease", "--advertise-address=192.0.2.10"]);
    const dir = await mkdtemp(join(tmpdir(), "hd-ksr-kube-"));
    const credentials = await loadCredentials(await api.writeKubeconfig(join(dir, "config"), undefined, api.url));
    const metrics = new KubeMetrics(new Registry());
    const client = new KubeClient({ credentials, clock: systemClock });
    const source = new KubeSource({ client, clock: systemClock, log: silentLog, metrics, server: api.url });
    const one = new Reflecting(source, systemClock).start();
    try {
      await until("its slice", () => one.keys().includes("endpointslice/default/kubernetes"), 60_000);
      expect(one.value("service/default/kubernetes")).toMatchObject({
        type: "ClusterIP",
        clusterIps: ["10.96.0.1"],
        ports: [{ name: "https", protocol: "TCP", port: 443 }],
      });
      const slice = one.value("endpointslice/default/kubernetes") as { endpoints: object[] };
      expect(slice).toMatchObject({
        service: "kubernetes",
        addressType: "IPv4",
        ports: [{ name: "https", protocol: "TCP", port: api.port }],
        endpoints: [{ addresses: ["192.0.2.10"], ready: true }],
      });
      expect(slice.endpoints[0]).not.toHaveProperty("node");
    } finally {
      await one.close();
      credentials.close();
      await rm(dir, { recursive: true });
    }
  });
});
