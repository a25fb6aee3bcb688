import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { systemClock } from "../../../src/base/clock/clock.ts";
import { bytesOf, reflect } from "../../../src/ksr/convert/reflect.ts";
import { K8S_PREFIX } from "../../../src/models/k8s/keys.ts";
import { EmbeddedStore } from "../../../src/stores/embedded/embedded-store.ts";
import { type EmbeddedServer, serveEmbedded } from "../../../src/stores/embedded/server.ts";
import { FakeApiServer } from "../../support/k8s/fake-api-server.ts";
import { namespace, pod } from "../../support/k8s/reflecting.ts";
import { until } from "../../support/until.ts";

const root = join(import.meta.dirname, "../../..");

let dir: string;
let manifests: string;
let store: EmbeddedStore;
let server: EmbeddedServer;
let children: ChildProcess[];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "hd-ksr-"));
  manifests = join(dir, "manifests");
  await mkdir(manifests);
  store = await EmbeddedStore.open({ dir: join(dir, "store"), clock: systemClock });
  server = await serveEmbedded(store, join(dir, "store.sock"));
  children = [];
});
afterEach(async () => {
  for (const child of children) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill("SIGKILL");
    await once(child, "exit");
  }
  await server.close();
  await store.close();
  await rm(dir, { recursive: true });
});

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, "127.0.0.1", resolve));
  const address = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return typeof address === "object" && address ? address.port : 0;
}

interface Ksr {
  readonly child: ChildProcess;
  get(path: string): Promise<{ status: number; text: string }>;
  /** `leader`, `stand-by`; undefined before it answers. */
  role(): Promise<string | undefined>;
  /** On standard error. */
  said(): string;
  /** On standard output. */
  printed(): string;
}

async function start(...args: string[]): Promise<Ksr> {
  const port = await freePort();
  const child = spawn(
    join(root, "node_modules/.bin/node"),
    [
      join(root, "cmd/ksr/main.ts"),
      ...args,
      "--set=store.kind=embedded",
      `--set=store.socket=${join(dir, "store.sock")}`,
      `--set=rest=127.0.0.1:${port}`,
      "--set=log.level=warn",
    ],
    { stdio: ["ignore", "pipe", "pipe"] },
  );
  children.push(child);
  let [said, printed] = ["", ""];
  child.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()));
  child.stdout.on("data", (chunk: Buffer) => (printed += chunk.toString()));
  const get = async (path: string) => {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`);
    return { status: answer.status, text: await answer.text() };
  };
  const role = async () => {
    const answer = await get("/status").catch(() => undefined);
    return answer && (JSON.parse(answer.text) as { role: string }).role;
  };
  return { child, get, role, said: () => said, printed: () => printed };
}

const stored = async (): Promise<string[]> =>
  (await store.list(K8S_PREFIX)).entries.map((e) => e.key.slice(K8S_PREFIX.length));

describe("heddle-ksr as a process", () => {
  it("reflects manifests; a stand-by takes over from one that is killed, and from one that ends", async () => {
    await writeFile(join(manifests, "a.yaml"), stringify(pod("a")));
    const first = await start("--manifests", manifests);
    await until("the pod", async () => (await stored()).includes("pod/ns/a"));
    await until("it is ready", async () => (await first.get("/readyz")).status === 200);
    expect(await first.role()).toBe("leader");
    const second = await start("--manifests", manifests);
    await until("the other stands by", async () => (await second.role()) === "stand-by");
    await until("the other is ready, too", async () => (await second.get("/readyz")).status === 200);
    first.child.kill("SIGKILL");
    await writeFile(join(manifests, "b.yaml"), stringify(pod("b")));
    await until("the other reflects", async () => (await stored()).includes("pod/ns/b"), 60_000);
    const third = await start("--manifests", manifests);
    await until("the third stands by", async () => (await third.role()) === "stand-by");
    second.child.kill("SIGTERM");
    const [code] = (await once(second.child, "exit")) as [number];
    expect(code).toBe(0);
    await until("the third leads", async () => (await third.role()) === "leader");
    await until("it is ready", async () => (await third.get("/readyz")).status === 200);
    const { text } = await third.get("/metrics");
    expect(text).toMatch(/^heddle_ksr_leader\{process="ksr"\} 1$/m);
    expect(text).toMatch(/^heddle_ksr_objects\{kind="pod",process="ksr"\} 2$/m);
  });

  it("reflects an API server by a kubeconfig, and elects by a Lease", async () => {
    const api = await FakeApiServer.open();
    try {
      const kubeconfig = join(dir, "kubeconfig");
      await writeFile(kubeconfig, api.kubeconfig({ token: "t" }));
      api.put("namespaces", namespace("ns"));
      const ksr = await start("--kubeconfig", kubeconfig);
      await until("the namespace", async () => (await stored()).includes("namespace/ns"));
      await until("it is ready", async () => (await ksr.get("/readyz")).status === 200);
      api.put("pods", pod("a"));
      await until("the pod", async () => (await stored()).includes("pod/ns/a"));
      expect(api.get("leases", "heddle-ksr", "heddle-system")?.["spec"]).toMatchObject({ leaseDurationSeconds: 15 });
      ksr.child.kill("SIGTERM");
      const [code] = (await once(ksr.child, "exit")) as [number];
      expect(code).toBe(0);
      expect(api.get("leases", "heddle-ksr", "heddle-system")?.["spec"]).toMatchObject({ holderIdentity: "" });
    } finally {
      await api.close();
    }
  });

  it("shows what the store has, whoever wrote it, an object a line", async () => {
    await store.put(`${K8S_PREFIX}node/broken`, Buffer.from("?"));
    await store.put(`${K8S_PREFIX}podgroup/other`, Buffer.from("?"));
    await store.put(
      `${K8S_PREFIX}namespace/json`,
      Buffer.from('{"v":1,"namespace":"","name":"json","uid":"","labels":{}}'),
    );
    const made = reflect(pod("a"));
    if (made.is !== "wish") throw new Error(made.is);
    await store.put(made.wish.key, bytesOf(made.wish.value));
    const lines = async (...args: string[]) => {
      const ksr = await start("show", ...args);
      const [code] = (await once(ksr.child, "close")) as [number];
      expect([code, ksr.said()]).toEqual([0, ""]);
      return ksr
        .printed()
        .split("\n")
        .filter(Boolean)
        .map((line) => JSON.parse(line) as unknown);
    };
    const a = { key: made.wish.key, object: expect.objectContaining({ name: "a", phase: "Running" }) };
    expect(await lines("pod/ns")).toEqual([a]);
    expect(await lines("pod")).toEqual([a]);
    expect(await lines()).toEqual([
      { key: `${K8S_PREFIX}namespace/json`, object: { namespace: "", name: "json", uid: "", labels: {} } },
      { key: `${K8S_PREFIX}node/broken`, problem: expect.stringContaining("neither heddle.k8s.v1.Value nor JSON") },
      a,
      { key: `${K8S_PREFIX}podgroup/other`, problem: expect.stringContaining("unknown key") },
    ]);
  });

  it.each([
    ["an unknown flag", ["--what"], "--what"],
    ["an unknown key", ["--set", "stor.kind=etcd"], 'Unrecognized key: "stor"'],
    ["two sources", ["--manifests", "/tmp", "--kubeconfig", "/dev/null"], "not both"],
    ["a kubeconfig that isn't there", ["--kubeconfig", "/nowhere/config"], "/nowhere/config can't be used"],
    ["neither kubeconfig nor cluster", [], "no kubeconfig is given"],
  ])("wrong usage exits with 2 and says so: %s", async (_, args, message) => {
    const ksr = await start(...args);
    const [code] = (await once(ksr.child, "close")) as [number];
    expect(code).toBe(2);
    expect(ksr.said()).toContain(message);
  });
});
