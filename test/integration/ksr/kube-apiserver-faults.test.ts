import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../../../src/base/clock/clock.ts";
import { K8S_PREFIX } from "../../../src/models/k8s/keys.ts";
import { EmbeddedStore } from "../../../src/stores/embedded/embedded-store.ts";
import { type EmbeddedServer, serveEmbedded } from "../../../src/stores/embedded/server.ts";
import { KsrProcess } from "../../support/k8s/ksr-process.ts";
import { KubeApiServer, noKubeApiServer } from "../../support/k8s/kube-apiserver.ts";
import { realNamespace, realPod } from "../../support/k8s/real-objects.ts";
import { until } from "../../support/until.ts";

const because = noKubeApiServer === undefined ? "" : ` (skipped: ${noKubeApiServer})`;

describe.skipIf(noKubeApiServer)(`when a real kube-apiserver fails${because}`, () => {
  let api: KubeApiServer;
  let dir: string;
  let store: EmbeddedStore;
  let server: EmbeddedServer;
  let ksr: KsrProcess;

  beforeEach(async () => {
    api = await KubeApiServer.start();
    dir = await mkdtemp(join(tmpdir(), "hd-ksr-faults-"));
    store = await EmbeddedStore.open({ dir: join(dir, "store"), clock: systemClock });
    server = await serveEmbedded(store, join(dir, "store.sock"));
    await api.apply(realNamespace("x"));
    await api.apply(realPod("x", "a"));
    const kubeconfig = await api.writeKubeconfig(join(dir, "config"));
    const sets = ["store.kind=embedded", `store.socket=${join(dir, "store.sock")}`];
    ksr = await KsrProcess.start("--kubeconfig", kubeconfig, ...sets.map((s) => `--set=${s}`));
    await are("a");
    await until("it is ready", () => ksr.isReady());
  });
  afterEach(async () => {
    await ksr?.kill();
    await server?.close();
    await store?.close();
    await api?.close();
    if (dir !== undefined) await rm(dir, { recursive: true });
  });

  const pods = async (): Promise<string> =>
    (await store.list(`${K8S_PREFIX}pod/x/`)).entries.map((e) => e.key.slice(`${K8S_PREFIX}pod/x/`.length)).join(" ");
  const are = (expected: string) =>
    until(`the pods are ${expected}`, async () => (await pods()) === expected, 90_000).catch(async (e: unknown) => {
      const { problems } = (await ksr.status()) ?? {};
      throw new Error(`they are ${await pods()}; ${problems?.join("; ")}`, { cause: e });
    });

  it("by being killed: what the store has stays, status says so, and it goes on when it is back", async () => {
    await api.kill();
    await until("status says so", async () =>
      (await ksr.status())?.problems.some((p) => p.startsWith("pods: ") && /ECONNREFUSED|broke/.test(p)),
    );
    expect(await pods()).toBe("a");
    await api.start();
    await api.apply(realPod("x", "b"));
    await are("a b");
    await api.delete(realPod("x", "a"));
    await are("b");
    await until("nothing is wrong any more", async () => (await ksr.status())?.problems.length === 0 && ksr.isReady());
  });

  it("by its data being lost and restored from before: what came later goes, what comes then comes", async () => {
    const backup = join(dir, "backup");
    await api.kill();
    await api.etcd.kill();
    await cp(api.etcd.dataDir, backup, { recursive: true });
    await api.etcd.start();
    await api.start();
    for (const name of ["b", "c", "d"]) await api.apply(realPod("x", name));
    await are("a b c d");
    await api.kill();
    await api.etcd.kill();
    api.etcd.wipe();
    await cp(backup, api.etcd.dataDir, { recursive: true });
    await api.etcd.start();
    await api.start();
    // The resource version has gone back: what is seen now has numbers that were other objects'.
    await are("a");
    await api.apply(realPod("x", "e"));
    await are("a e");
    await until("nothing is wrong any more", async () => (await ksr.status())?.problems.length === 0 && ksr.isReady());
  });
});
