import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Credentials } from "../../../src/ksr/kube/credentials.ts";
import { K8S_PREFIX } from "../../../src/models/k8s/keys.ts";
import { FakeApiServer } from "../../support/k8s/fake-api-server.ts";
import { credentialsFor, kubeClock, kubeSource, namespace, pod, Reflecting } from "../../support/k8s/reflecting.ts";
import { MemoryStoreData } from "../../support/memory-store.ts";
import { until } from "../../support/until.ts";

let api: FakeApiServer;
let credentials: Credentials;
let running: Reflecting[];

beforeEach(async () => {
  api = await FakeApiServer.open();
  credentials = await credentialsFor(api);
  running = [];
});
afterEach(async () => {
  for (const r of running) await r.close();
  credentials.close();
  await api.close();
});

function start(options: { pageSize?: number; data?: MemoryStoreData } = {}): Reflecting {
  const reflecting = new Reflecting(kubeSource(api, credentials, options.pageSize), kubeClock, options.data).start();
  running.push(reflecting);
  return reflecting;
}

const allWatching = () =>
  until("all are watched", () =>
    ["namespaces", "nodes", "pods", "networkpolicies", "services", "endpointslices"].every(
      (p) => api.watching(p) === 1,
    ),
  );

describe("what the API server has comes to be in the store", () => {
  it("lists, then follows additions, changes and deletions", async () => {
    api.put("namespaces", namespace("ns"));
    api.put("pods", pod("a"));
    const r = start();
    await r.has("namespace/ns", "pod/ns/a");
    await allWatching();
    api.put("pods", pod("b"));
    await r.has("namespace/ns", "pod/ns/a", "pod/ns/b");
    api.put("pods", pod("b", { app: "x" }));
    await until("the label", () => JSON.stringify(r.value("pod/ns/b")).includes('"app":"x"'));
    api.delete("pods", "a", "ns");
    await r.has("namespace/ns", "pod/ns/b");
    expect(api.lists("pods")).toHaveLength(1);
  });

  it("every kind that it knows", async () => {
    const named = { metadata: { name: "x", namespace: "ns" } };
    api.put("networkpolicies", { ...named, spec: { podSelector: {} } });
    api.put("services", { ...named, spec: { clusterIP: "10.96.0.1" } });
    const labels = { "kubernetes.io/service-name": "x" };
    api.put("endpointslices", { metadata: { ...named.metadata, labels }, addressType: "IPv4", endpoints: [] });
    for (const cluster of ["namespaces", "nodes", "servicecidrs", "clusternetworkpolicies"]) {
      api.put(cluster, { metadata: { name: "x" } });
    }
    api.put("pods", pod("x"));
    const r = start();
    await r.has(
      "clusternetworkpolicy/x",
      "endpointslice/ns/x",
      "namespace/x",
      "networkpolicy/ns/x",
      "node/x",
      "pod/ns/x",
      "service/ns/x",
      "servicecidr/x",
    );
    await r.isSynced();
  });

  it("in pages, of one consistent version", async () => {
    for (let i = 100; i < 200; i++) api.put("pods", pod(`p${i}`));
    let pages = 0;
    api.fault = ({ path, isWatch }) => {
      // What changes between two pages comes by the watch.
      if (path.endsWith("/pods") && !isWatch && ++pages === 3) api.delete("pods", "p199", "ns");
      return undefined;
    };
    const r = start({ pageSize: 7 });
    await r.isSynced();
    await until("the deletion", () => !r.keys().includes("pod/ns/p199"));
    expect(r.keys()).toHaveLength(99);
    expect(api.lists("pods")).toHaveLength(15);
  });

  it("pages whose history is gone are listed anew, and larger", async () => {
    for (let i = 10; i < 50; i++) api.put("pods", pod(`p${i}`));
    let cut = 2;
    api.fault = ({ query }) => {
      if (query.has("continue") && cut-- > 0) api.compact();
      return undefined;
    };
    const r = start({ pageSize: 10 });
    await r.isSynced();
    expect(r.keys()).toHaveLength(40);
    expect(new Set(api.lists("pods").map((q) => q.query.get("limit")))).toEqual(new Set(["10", "40"]));
  });
});

describe("watches", () => {
  it("resume where they were, from a bookmark too", async () => {
    const r = start();
    await allWatching();
    api.put("nodes", { metadata: { name: "n" } }); // moves the version beyond what the pods' watch has seen
    await r.has("node/n");
    api.bookmark();
    await until("the bookmark came through", async () => {
      api.endWatches("end", "pods");
      await until("the next watch", () => api.watching("pods") === 1);
      return api.requests.findLast((q) => q.isWatch && q.path.endsWith("/pods"))?.query.get("resourceVersion") === "2";
    });
    api.put("pods", pod("a"));
    await r.has("node/n", "pod/ns/a");
    expect(api.lists("pods")).toHaveLength(1);
  });

  it("that are cut off resume and miss nothing", async () => {
    const r = start();
    await allWatching();
    for (let i = 0; i < 10; i++) {
      api.endWatches(i % 2 === 0 ? "cut" : "end");
      api.put("pods", pod(`p${i}`));
      if (i > 0) api.delete("pods", `p${i - 1}`, "ns");
      await r.has(`pod/ns/p${i}`);
    }
    expect(api.lists("pods")).toHaveLength(1);
  });

  it.each(["event", "status"] as const)(
    "whose history is gone (by %s) are listed anew; what vanished is removed",
    async (goneAs) => {
      api.goneAs = goneAs;
      api.put("pods", pod("a"));
      api.put("pods", pod("b"));
      const r = start();
      await r.has("pod/ns/a", "pod/ns/b");
      await allWatching();
      let away = true;
      api.fault = ({ path }) => (away && path.endsWith("/pods") ? { drop: true } : undefined);
      api.endWatches("cut", "pods");
      api.delete("pods", "a", "ns");
      api.put("pods", pod("c"));
      api.compact();
      away = false;
      await r.has("pod/ns/b", "pod/ns/c");
    },
  );

  it("of a server that was away and has older data now are listed anew; what came after the backup is removed", async () => {
    api.put("pods", pod("a"));
    const restore = api.backup();
    const r = start();
    for (const name of ["b", "c", "d"]) api.put("pods", pod(name));
    await r.has("pod/ns/a", "pod/ns/b", "pod/ns/c", "pod/ns/d");
    await allWatching();
    let tries = 0;
    api.fault = ({ isWatch, path }) => (isWatch && path.endsWith("/pods") && tries++ < 2 ? { drop: true } : undefined);
    restore();
    await r.has("pod/ns/a");
    api.put("pods", pod("e"));
    await r.has("pod/ns/a", "pod/ns/e");
  });

  it("that are told that history is gone while they run are listed anew, at once", async () => {
    api.put("pods", pod("a"));
    const r = start();
    await r.has("pod/ns/a");
    await allWatching();
    api.compact();
    api.expireWatches();
    api.put("pods", pod("b"));
    await r.has("pod/ns/a", "pod/ns/b");
    expect(api.lists("pods").length).toBeGreaterThan(1);
  });

  it("an object without a usable name is named, and the others are reflected", async () => {
    const r = start();
    await allWatching();
    api.put("pods", { metadata: { name: "a/b", namespace: "ns" } });
    api.put("pods", pod("c"));
    await r.has("pod/ns/c");
    expect(r.reflector.problems()).toEqual([expect.stringContaining("a/b")]);
    api.delete("pods", "a/b", "ns");
    await until("the problem is gone", () => r.reflector.problems().length === 0);
  });

  it("an EndpointSlice that loses its service is removed", async () => {
    const slice = (labels: object) => ({ metadata: { name: "e", namespace: "ns", labels }, addressType: "IPv4" });
    api.put("endpointslices", slice({ "kubernetes.io/service-name": "s" }));
    const r = start();
    await r.has("endpointslice/ns/e");
    await allWatching();
    api.put("endpointslices", slice({}));
    await r.has();
  });
});

describe("an API server in trouble", () => {
  it.each([
    ["500", { status: 500 }],
    ["503 in HTML", { status: 503, text: "<html>no backend</html>" }],
    ["429", { status: 429, retryAfter: 1 }],
    ["cut connections", { drop: true }],
    ["answers cut off in the middle", { drop: true, afterBytes: 40 }],
    ["no answers", { hang: true }],
    ["403", { status: 403 }],
  ] as const)("is tried again: %s", async (_, fault) => {
    api.put("pods", pod("a"));
    let left = 3;
    api.fault = ({ path }) => (path.endsWith("/pods") && left-- > 0 ? fault : undefined);
    const r = start();
    await r.has("pod/ns/a");
    await until("nothing is wrong any more", () => {
      api.bookmark();
      return r.source.problems().length === 0;
    });
  });

  it("is left alone for as long as it says", async () => {
    let first: number | undefined;
    let again: number | undefined;
    api.fault = ({ path }) => {
      if (!path.endsWith("/pods")) return undefined;
      if (first !== undefined) again ??= kubeClock.now();
      else first = kubeClock.now();
      return again === undefined ? { status: 429, retryAfter: 20 } : undefined;
    };
    start();
    await until("the second try", () => again !== undefined);
    expect((again ?? 0) - (first ?? 0)).toBeGreaterThan(19_000);
  });

  it("that is away keeps what was reflected; the cause is named", async () => {
    api.put("pods", pod("a"));
    const r = start();
    await r.has("pod/ns/a");
    await allWatching();
    api.fault = () => ({ status: 500 });
    api.endWatches("cut");
    await until("it is named", () => r.source.problems().some((p) => p.startsWith("pods: ") && p.includes("500")));
    expect(r.keys()).toEqual(["pod/ns/a"]);
  });

  it("one resource that is forbidden holds up no other", async () => {
    api.fault = ({ path }) => (path.endsWith("/services") ? { status: 403 } : undefined);
    api.put("pods", pod("a"));
    const r = start();
    await r.has("pod/ns/a");
    await until("all others are listed", () => r.reflector.health() === "not listed yet: service");
    expect(r.source.problems()).toEqual([expect.stringMatching(/^services: .*403/)]);
  });
});

describe("resources that a cluster need not have", () => {
  it("are not waited for, and found when they come", async () => {
    api.missing.add("clusternetworkpolicies").add("servicecidrs");
    const r = start();
    await r.isSynced();
    expect(r.source.problems()).toEqual([]);
    api.missing.clear();
    api.put("clusternetworkpolicies", { metadata: { name: "p" }, spec: { tier: "Admin" } });
    await r.has("clusternetworkpolicy/p");
  });

  it("that are removed take their objects with them, but not at the first miss", async () => {
    const data = new MemoryStoreData();
    const key = `${K8S_PREFIX}clusternetworkpolicy/p`;
    data.apply([{ op: "put", key, value: Buffer.from("{}") }]);
    api.missing.add("clusternetworkpolicies");
    let looksBefore = 0;
    const apply = data.apply.bind(data);
    data.apply = (writes) => {
      looksBefore = api.requests.filter((q) => q.path.endsWith("/v1alpha2")).length;
      return apply(writes);
    };
    const r = start({ data });
    await r.isSynced();
    await r.has();
    expect(looksBefore).toBe(2);
  });

  it("a discovery that fails is no absence", async () => {
    api.put("clusternetworkpolicies", { metadata: { name: "p" } });
    let left = 3;
    api.fault = ({ path }) => (path.endsWith("/v1alpha2") && left-- > 0 ? { status: 503 } : undefined);
    const data = new MemoryStoreData();
    const deleted: string[] = [];
    const apply = data.apply.bind(data);
    data.apply = (writes) => {
      deleted.push(...writes.filter((w) => w.op === "delete").map((w) => w.key));
      return apply(writes);
    };
    data.apply([{ op: "put", key: `${K8S_PREFIX}clusternetworkpolicy/p`, value: Buffer.from("{}") }]);
    const r = start({ data });
    await r.isSynced();
    await r.has("clusternetworkpolicy/p");
    expect(deleted).toEqual([]);
  });
});

describe("many changes", () => {
  it("end in the same state as the API server's, whatever happens to the connections", async () => {
    const r = start({ pageSize: 5 });
    await allWatching();
    for (let i = 0; i < 300; i++) {
      const name = `p${(i * 7) % 23}`;
      if (i % 3 === 2 && api.get("pods", name, "ns")) api.delete("pods", name, "ns");
      else api.put("pods", pod(name, { i: String(i) }));
      if (i % 40 === 13) api.endWatches("cut");
      if (i % 90 === 50) api.compact();
      if (i % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    const expected = Array.from({ length: 23 }, (_, i) => `p${i}`).filter((n) => api.get("pods", n, "ns"));
    await r.has(...expected.map((n) => `pod/ns/${n}`));
    for (const name of expected) {
      const labels = api.get("pods", name, "ns")?.metadata["labels"];
      await until(`labels of ${name}`, () => {
        const value = r.value(`pod/ns/${name}`) as { labels: unknown } | undefined;
        return JSON.stringify(value?.labels) === JSON.stringify(labels);
      });
    }
  });
});
