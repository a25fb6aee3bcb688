import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock } from "../../../src/base/clock/clock.ts";
import { silentLog } from "../../../src/infra/log/log.ts";
import { Registry } from "../../../src/infra/metrics/metrics.ts";
import type { Source } from "../../../src/ksr/api.ts";
import { KubeClient } from "../../../src/ksr/kube/client.ts";
import { type Credentials, loadCredentials } from "../../../src/ksr/kube/credentials.ts";
import { KubeSource } from "../../../src/ksr/kube/kube-source.ts";
import { KubeMetrics } from "../../../src/ksr/kube/metrics.ts";
import { reflecting } from "../../../src/ksr/reflecting.ts";
import { ReflectorMetrics } from "../../../src/ksr/reflector/metrics.ts";
import { Reflector } from "../../../src/ksr/reflector/reflector.ts";
import { decodeK8s } from "../../../src/models/k8s/codecs.ts";
import { K8S_PREFIX } from "../../../src/models/k8s/keys.ts";
import { fastClock } from "../fast-clock.ts";
import { MemoryStore, MemoryStoreData } from "../memory-store.ts";
import { until } from "../until.ts";
import type { ApiObject, FakeApiServer } from "./fake-api-server.ts";

/** What reflects into a memory store in a test. */
export class Reflecting {
  readonly data: MemoryStoreData;
  readonly source: Source;
  readonly reflector: Reflector;
  readonly #end = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(source: Source, clock: Clock, data = new MemoryStoreData()) {
    this.data = data;
    this.source = source;
    const metrics = new ReflectorMetrics(new Registry(), () => undefined);
    this.reflector = new Reflector({ store: new MemoryStore(data), clock, log: silentLog, metrics });
  }

  start(): this {
    this.#running = reflecting(this.source, this.reflector, this.#end.signal);
    return this;
  }

  /** Keys below `/heddle/k8s/`. */
  keys(): string[] {
    return this.data.list(K8S_PREFIX).map((e) => e.key.slice(K8S_PREFIX.length));
  }

  value(key: string): unknown {
    const entry = this.data.entries.get(K8S_PREFIX + key);
    return entry && decodeK8s(K8S_PREFIX + key, entry.value).object;
  }

  /** Waits until the store has exactly these keys, of one kind if all are. */
  async has(...expected: string[]): Promise<void> {
    const wanted = JSON.stringify(expected.sort());
    await until(`the keys are ${wanted}`, () => JSON.stringify(this.keys()) === wanted).catch((e: unknown) => {
      throw new Error(`they are ${JSON.stringify(this.keys())}; ${this.source.problems().join("; ")}`, { cause: e });
    });
  }

  async isSynced(): Promise<void> {
    const isDone = () =>
      this.reflector.health() === undefined && this.reflector.view().kinds.every((k) => k.unwritten === 0);
    await until("everything is listed and written", isDone).catch((e: unknown) => {
      throw new Error(`${this.reflector.health()}; ${this.source.problems().join("; ")}`, { cause: e });
    });
  }

  async close(): Promise<void> {
    this.#end.abort();
    await this.#running;
  }
}

/** Time in these tests: half a second's backoff takes 25 ms, half a minute 1.5 s. */
export const kubeClock = fastClock(20);

export async function credentialsFor(server: FakeApiServer, user: object = {}): Promise<Credentials> {
  const dir = await mkdtemp(join(tmpdir(), "hd-kubeconfig-"));
  try {
    const file = join(dir, "config");
    await writeFile(file, server.kubeconfig(user));
    return await loadCredentials(file);
  } finally {
    await rm(dir, { recursive: true });
  }
}

export function kubeSource(server: FakeApiServer, credentials: Credentials, pageSize?: number): KubeSource {
  const client = new KubeClient({ credentials, clock: kubeClock });
  const metrics = new KubeMetrics(new Registry());
  return new KubeSource({ client, clock: kubeClock, log: silentLog, metrics, server: server.url, pageSize });
}

export const pod = (name: string, labels: Record<string, string> = {}, namespace = "ns"): ApiObject => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, namespace, labels, uid: `uid-${name}` },
  spec: { nodeName: "n1", containers: [{ name: "c" }] },
  status: { phase: "Running", podIPs: [{ ip: "10.0.0.1" }] },
});

export const namespace = (name: string, labels: Record<string, string> = {}): ApiObject => ({
  apiVersion: "v1",
  kind: "Namespace",
  metadata: { name, labels },
});
