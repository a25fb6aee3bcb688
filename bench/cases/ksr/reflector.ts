import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../src/base/clock/clock.ts";
import { K8S_PREFIX } from "../../../src/models/k8s/keys.ts";
import type { Store } from "../../../src/stores/api/store.ts";
import { openStore } from "../../../src/stores/open.ts";
import { noEtcd, TestEtcd } from "../../../test/support/etcd.ts";
import { FakeApiServer } from "../../../test/support/k8s/fake-api-server.ts";
import { until } from "../../../test/support/until.ts";
import { atMost, type Figure } from "../../figure.ts";
import { median, quantile, rounded } from "../../stats.ts";
import type { BareCase, BareContext } from "../case.ts";
import { fullPod } from "./data.ts";

const PODS = 50_000;
const WITHIN = 300_000;
const root = join(import.meta.dirname, "../../..");

/** The reflector between an API server and etcd: its memory with all pods of a large cluster, and how fast it is. */
export const reflector: BareCase = {
  name: "ksr",
  bare: true,
  run: (context) => measureReflector([join(root, "dist/bin/heddle-ksr")], context),
};

/** Of any program that takes heddle-ksr's arguments. */
export async function measureReflector(program: readonly string[], context: BareContext): Promise<Figure[]> {
  const { quick, progress } = context;
  const pods = quick ? PODS / 10 : PODS;
  const name = (what: string) => `ksr: ${what}, ${pods} pods`;
  if (noEtcd !== undefined) {
    return [{ name: name("resident memory at its highest"), unit: "MiB", value: Number.NaN, samples: 0 }];
  }
  progress(`the reflector with ${pods} pods`);
  await using etcd = await TestEtcd.start();
  await using api = await Disposable.of(await FakeApiServer.open());
  const endpoints = [etcd.endpoint];
  const store = await openStore({ kind: "etcd", endpoints }, { clock: systemClock });
  await using run = new Run(program, await mkdtemp(join(tmpdir(), "hd-bench-ksr-")), endpoints, store);
  await run.configure(api.value);
  for (let i = 0; i < pods; i++) api.value.put("pods", fullPod(i));

  const first = await run.reflect(pods);
  const latencies = await changes(api.value, store, quick ? 50 : 500);
  const { stored } = await run.stored();
  const wrong = stored === pods ? [] : [`${stored} pods are in the store`];
  const afterwards = await run.memory();
  await run.kill();
  const second = await run.reflect(pods);
  const rewritten = second.writes === 0 ? [] : [`a restart wrote ${second.writes} entries that were right`];

  return [
    {
      name: name("resident memory at its highest"),
      unit: "MiB",
      value: Math.max(afterwards.peak, second.memory.peak),
      ...(pods === PODS && { target: atMost(300) }),
      samples: 2,
      wrong: [...wrong, ...rewritten],
      notes: {
        "from nothing": rounded(afterwards.peak),
        "after a restart": rounded(second.memory.peak),
        "at the end": rounded(afterwards.now),
        "bytes a pod in the API": JSON.stringify(fullPod(1)).length,
      },
    },
    { name: name("from nothing to all in etcd"), unit: "s", value: first.seconds, samples: 1 },
    { name: name("restart with all in etcd"), unit: "s", value: second.seconds, samples: 1 },
    {
      name: name("a pod's change from the API to etcd, p99"),
      unit: "ms",
      value: quantile(latencies, 0.99),
      samples: latencies.length,
      notes: { median: rounded(median(latencies)) },
    },
  ];
}

/** Milliseconds from a change in the API server to a watcher of the store. */
async function changes(api: FakeApiServer, store: Store, count: number): Promise<number[]> {
  const prefix = `${K8S_PREFIX}pod/team-1/`;
  await using watch = store.snapshotAndWatch(prefix);
  const latencies: number[] = [];
  let begin = 0;
  for await (const item of watch) {
    if (item.kind === "changes") latencies.push(performance.now() - begin);
    if (latencies.length === count) break;
    begin = performance.now();
    api.put("pods", fullPod(1, { change: String(latencies.length) }));
  }
  return latencies;
}

/** Runs of the reflector on one store. */
export class Run implements AsyncDisposable {
  readonly #program: readonly string[];
  readonly #dir: string;
  readonly #endpoints: readonly string[];
  readonly #store: Store;
  #child: ChildProcess | undefined;

  constructor(program: readonly string[], dir: string, endpoints: readonly string[], store: Store) {
    this.#program = program;
    this.#dir = dir;
    this.#endpoints = endpoints;
    this.#store = store;
  }

  async configure(api: Pick<FakeApiServer, "kubeconfig">): Promise<void> {
    await writeFile(join(this.#dir, "kubeconfig"), api.kubeconfig());
    const config = {
      kubeconfig: join(this.#dir, "kubeconfig"),
      store: { kind: "etcd", endpoints: this.#endpoints },
      rest: "127.0.0.1:19192",
      log: { level: "warn" },
      leaderElection: { enabled: false },
    };
    await writeFile(join(this.#dir, "ksr.yaml"), JSON.stringify(config));
  }

  /** From its start until it says that all is in the store. */
  async reflect(pods: number) {
    const begin = performance.now();
    const [command = "", ...args] = this.#program;
    const config = join(this.#dir, "ksr.yaml");
    this.#child = spawn(command, [...args, "--config", config], { stdio: ["ignore", "ignore", "inherit"] });
    await until("everything is reflected", () => this.#isDone(pods), WITHIN);
    const seconds = (performance.now() - begin) / 1000;
    const writes = (await this.metrics()).match(/^heddle_ksr_writes_total\{.*\} (\d+)$/gm) ?? [];
    return {
      seconds,
      writes: writes.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0),
      memory: await this.memory(),
    };
  }

  /** Pods, and the bytes of their values. */
  async stored(): Promise<{ stored: number; bytes: number }> {
    const { entries } = await this.#store.list(`${K8S_PREFIX}pod/`);
    return { stored: entries.length, bytes: entries.reduce((sum, { value }) => sum + value.length, 0) };
  }

  /** In MiB. */
  async memory(): Promise<{ now: number; peak: number }> {
    const status = await readFile(`/proc/${this.#child?.pid}/status`, "utf8");
    const kib = (field: string) => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(status)?.[1]);
    return { now: kib("VmRSS") / 1024, peak: kib("VmHWM") / 1024 };
  }

  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (!child || child.exitCode !== null) return;
    child.kill("SIGKILL");
    await once(child, "exit");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await this.#store.close();
    await rm(this.#dir, { recursive: true });
  }

  async #isDone(pods: number): Promise<boolean> {
    if (this.#child?.exitCode != null) throw new Error(`heddle-ksr ended with ${this.#child.exitCode}`);
    // Seldom: making the text costs what is measured.
    await new Promise((resolve) => setTimeout(resolve, 250));
    const ready = await fetch("http://127.0.0.1:19192/readyz").catch(() => undefined);
    if (ready?.status !== 200) return false;
    const text = await this.metrics();
    return (
      new RegExp(`^heddle_ksr_objects\\{kind="pod",.*\\} ${pods}$`, "m").test(text) &&
      /^heddle_ksr_unwritten\{kind="pod",.*\} 0$/m.test(text)
    );
  }

  async metrics(): Promise<string> {
    return (await fetch("http://127.0.0.1:19192/metrics")).text();
  }
}

class Disposable<T extends { close(): Promise<void> }> implements AsyncDisposable {
  readonly value: T;

  private constructor(value: T) {
    this.value = value;
  }

  static async of<T extends { close(): Promise<void> }>(value: T): Promise<Disposable<T>> {
    return new Disposable(value);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.value.close();
  }
}
