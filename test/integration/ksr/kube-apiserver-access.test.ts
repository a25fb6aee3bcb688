import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { parseAllDocuments } from "yaml";
import { systemClock } from "../../../src/base/clock/clock.ts";
import { RESOURCES } from "../../../src/ksr/resources.ts";
import { K8S_PREFIX } from "../../../src/models/k8s/keys.ts";
import { EmbeddedStore } from "../../../src/stores/embedded/embedded-store.ts";
import { type EmbeddedServer, serveEmbedded } from "../../../src/stores/embedded/server.ts";
import type { ApiObject } from "../../support/k8s/fake-api-server.ts";
import { KsrProcess } from "../../support/k8s/ksr-process.ts";
import { KubeApiServer, noKubeApiServer } from "../../support/k8s/kube-apiserver.ts";
import { clusterPolicy, clusterPolicyDefinition, realNamespace, realPod } from "../../support/k8s/real-objects.ts";
import { until } from "../../support/until.ts";

const because = noKubeApiServer === undefined ? "" : ` (skipped: ${noKubeApiServer})`;
const manifest = join(import.meta.dirname, "../../../manifests/ksr.yaml");
const ACCOUNT = { namespace: "kube-system", name: "heddle-ksr" };
const LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases";

describe.skipIf(noKubeApiServer)(
  `heddle-ksr with the rights of its manifest, on a real kube-apiserver${because}`,
  () => {
    let api: KubeApiServer;
    let dir: string;
    let store: EmbeddedStore;
    let server: EmbeddedServer;
    let started: KsrProcess[];
    let ns: string;
    let tests = 0;

    beforeAll(async () => {
      api = await KubeApiServer.start();
      const wanted = new Set(["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "ServiceAccount"]);
      for (const document of parseAllDocuments(await readFile(manifest, "utf8"))) {
        const object = document.toJS() as ApiObject;
        if (wanted.delete(object.kind ?? "")) await api.apply(object);
      }
      expect([...wanted]).toEqual([]);
      await api.apply(clusterPolicyDefinition);
      const served = { path: "/apis/policy.networking.k8s.io/v1alpha2/clusternetworkpolicies" };
      await until("ClusterNetworkPolicies", async () => (await api.call(served)).status === 200);
    });
    afterAll(async () => {
      await api?.close();
    });
    beforeEach(async () => {
      dir = await mkdtemp(join(tmpdir(), "hd-ksr-access-"));
      store = await EmbeddedStore.open({ dir: join(dir, "store"), clock: systemClock });
      server = await serveEmbedded(store, join(dir, "store.sock"));
      started = [];
      ns = `t${tests++}`;
      await api.apply(realNamespace(ns));
    });
    afterEach(async () => {
      for (const ksr of started) await ksr.kill();
      await server.close();
      await store.close();
      await rm(dir, { recursive: true });
    });

    const token = () => api.tokenOf(ACCOUNT.namespace, ACCOUNT.name);
    const tokenFile = () => join(dir, "token");
    async function start(): Promise<KsrProcess> {
      const kubeconfig = await api.writeKubeconfig(join(dir, "config"), { tokenFile: tokenFile() });
      const sets = ["store.kind=embedded", `store.socket=${join(dir, "store.sock")}`];
      const ksr = await KsrProcess.start("--kubeconfig", kubeconfig, ...sets.map((s) => `--set=${s}`));
      started.push(ksr);
      return ksr;
    }
    const stored = async (): Promise<string[]> =>
      (await store.list(K8S_PREFIX)).entries.map((e) => e.key.slice(K8S_PREFIX.length));
    const arrives = (key: string, within?: number) =>
      until(key, async () => (await stored()).includes(key), within).catch(async (e: unknown) => {
        const all = await Promise.all(started.map((ksr) => ksr.status().catch(String)));
        throw new Error(JSON.stringify(all), { cause: e });
      });
    const leads = (ksr: KsrProcess, within?: number) =>
      until("it leads", async () => (await ksr.status())?.role === "leader", within);

    it("follows everything and elects: it needs no more, whatever kind of object", async () => {
      await writeFile(tokenFile(), await token());
      await api.apply(clusterPolicy("deny"));
      const ksr = await start();
      await arrives(`namespace/${ns}`);
      await arrives("clusternetworkpolicy/deny");
      await until("it is ready", () => ksr.isReady());
      await api.apply(realPod(ns, "a"));
      await arrives(`pod/${ns}/a`);
      const status = await ksr.status();
      expect(status?.problems).toEqual([]);
      expect(status?.resources).toEqual(Object.fromEntries(RESOURCES.map((r) => [r.plural, "watching"])));
      expect((await ksr.get("/metrics")).text).not.toMatch(/source_errors_total\{.*forbidden/);
      const lease = await api.done({ path: `${LEASE}/heddle-ksr` });
      expect(lease["spec"]).toMatchObject({ holderIdentity: status?.identity, leaseDurationSeconds: 15 });
      await ksr.kill("SIGTERM");
      expect((await api.done({ path: `${LEASE}/heddle-ksr` }))["spec"]).toMatchObject({ holderIdentity: "" });
    });

    it("may do nothing else", async () => {
      const own = await token();
      const may = async (verb: string, group: string, resource: string, more: object = {}) => {
        const body = {
          apiVersion: "authorization.k8s.io/v1",
          kind: "SelfSubjectAccessReview",
          spec: { resourceAttributes: { verb, group, resource, ...more } },
        };
        const path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        const answer = await api.done({ method: "POST", path, body, token: own });
        return (answer["status"] as { allowed: boolean }).allowed;
      };
      for (const { group, plural } of RESOURCES) {
        const of = group.startsWith("/apis/") ? (group.split("/")[2] ?? "") : "";
        for (const verb of ["get", "list", "watch"]) {
          expect([plural, verb, await may(verb, of, plural)]).toEqual([plural, verb, true]);
        }
        for (const verb of ["create", "update", "patch", "delete", "deletecollection"]) {
          expect([plural, verb, await may(verb, of, plural)]).toEqual([plural, verb, false]);
        }
      }
      for (const resource of ["secrets", "configmaps", "serviceaccounts", "events"]) {
        for (const verb of ["get", "list", "create"]) {
          expect([resource, await may(verb, "", resource)]).toEqual([resource, false]);
        }
      }
      expect(await may("create", "", "pods", { subresource: "exec" })).toBe(false);
      expect(await may("get", "", "nodes", { subresource: "proxy" })).toBe(false);
      const at = { namespace: "kube-system" };
      const leases = async (verb: string, more: object) => may(verb, "coordination.k8s.io", "leases", more);
      for (const verb of ["get", "update"]) expect(await leases(verb, { ...at, name: "heddle-ksr" })).toBe(true);
      expect(await leases("create", at)).toBe(true);
      expect(await leases("get", { ...at, name: "kube-controller-manager" })).toBe(false);
      expect(await leases("delete", { ...at, name: "heddle-ksr" })).toBe(false);
      expect(await leases("update", { namespace: "default", name: "heddle-ksr" })).toBe(false);
      // Not only what a review says.
      const secrets = await api.call({ path: "/api/v1/secrets", token: own });
      const made = await api.call({
        method: "POST",
        path: `/api/v1/namespaces/${ns}/pods`,
        body: realPod(ns, "x"),
        token: own,
      });
      expect([secrets.status, made.status]).toEqual([403, 403]);
    });

    it("without a right of it says which, and has it as soon as it is given", async () => {
      await writeFile(tokenFile(), await token());
      const role = await api.done({ path: "/apis/rbac.authorization.k8s.io/v1/clusterroles/heddle-ksr" });
      const rules = role["rules"] as { resources: string[] }[];
      const set = async (all: unknown) => {
        const current = await api.done({ path: "/apis/rbac.authorization.k8s.io/v1/clusterroles/heddle-ksr" });
        await api.done({
          method: "PUT",
          path: "/apis/rbac.authorization.k8s.io/v1/clusterroles/heddle-ksr",
          body: { ...current, rules: all },
        });
      };
      await set(rules.map((r) => ({ ...r, resources: r.resources.filter((name) => name !== "networkpolicies") })));
      try {
        const ksr = await start();
        await arrives(`namespace/${ns}`);
        const problem = await until("the problem", async () =>
          (await ksr.status())?.problems.find((p) => p.startsWith("networkpolicies: ")),
        );
        expect(problem).toContain('cannot list resource "networkpolicies" in API group "networking.k8s.io"');
        expect(await ksr.isReady()).toBe(false);
        await set(rules);
        await until("it is ready", () => ksr.isReady());
      } finally {
        await set(rules);
      }
    });

    it("reads its token again when that is rotated", async () => {
      await writeFile(tokenFile(), "nonsense\n");
      const ksr = await start();
      const problem = await until("the refusal", async () => (await ksr.status())?.problems.find((p) => /401/.test(p)));
      expect(problem).toMatch(/Unauthorized/);
      await writeFile(tokenFile(), `${await token()}\n`);
      await leads(ksr);
      await arrives(`namespace/${ns}`);
    });

    it("stands by while another leads, and takes over when that is killed", async () => {
      await writeFile(tokenFile(), await token());
      const first = await start();
      await leads(first);
      await arrives(`namespace/${ns}`);
      const second = await start();
      await until(
        "the other is ready to",
        async () => (await second.status())?.role === "stand-by" && second.isReady(),
      );
      await first.kill("SIGKILL");
      await api.apply(realPod(ns, "after"));
      await arrives(`pod/${ns}/after`, 60_000);
      const status = await second.status();
      expect(status?.role).toBe("leader");
      const lease = await api.done({ path: `${LEASE}/heddle-ksr` });
      expect(lease["spec"]).toMatchObject({ holderIdentity: status?.identity, leaseTransitions: expect.any(Number) });
    });
  },
);
