import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../src/base/clock/clock.ts";
import { openStore } from "../../../src/stores/open.ts";
import { noEtcd, TestEtcd } from "../../../test/support/etcd.ts";
import { until } from "../../../test/support/until.ts";
import { atMost, type Figure } from "../../figure.ts";
import { rounded } from "../../stats.ts";
import type { BareCase, BareContext } from "../case.ts";
import { Run } from "./reflector.ts";

const PODS = 50_000;
const WITHIN = 300_000;
const root = join(import.meta.dirname, "../../..");

/** The reflector's memory with a whole large cluster, also while all of it is listed anew, which comes when history is gone. */
export const reflectorMemory: BareCase = { name: "ksr-memory", bare: true, run: measure };

async function measure({ quick, progress }: BareContext): Promise<Figure[]> {
  const pods = quick ? PODS / 10 : PODS;
  const name = `ksr-memory: resident at its highest, a cluster of ${pods} pods`;
  if (noEtcd !== undefined) return [{ name, unit: "MiB", value: Number.NaN, samples: 0 }];
  progress(`the reflector's memory with a cluster of ${pods} pods`);
  await using etcd = await TestEtcd.start();
  await using api = await ApiProcess.start(pods);
  const endpoints = [etcd.endpoint];
  const store = await openStore({ kind: "etcd", endpoints }, { clock: systemClock });
  const program = [join(root, "dist/bin/heddle-ksr")];
  await using run = new Run(program, await mkdtemp(join(tmpdir(), "hd-bench-ksr-")), endpoints, store);
  await run.configure(api);

  const first = await run.reflect(pods);
  const before = await listings(run);
  api.expire();
  await until("all pods are listed anew", async () => (await listings(run)) > before, WITHIN);
  const anew = await run.memory();
  await run.kill();
  const restarted = await run.reflect(pods);
  const { stored, bytes } = await run.stored();
  const missing = stored === pods ? [] : [`${stored} pods are in the store`];
  const rewritten = restarted.writes === 0 ? [] : [`a restart wrote ${restarted.writes} entries that were right`];

  return [
    {
      name,
      unit: "MiB",
      value: Math.max(anew.peak, restarted.memory.peak),
      ...(pods === PODS && { target: atMost(300) }),
      samples: 3,
      wrong: [...missing, ...rewritten],
      notes: {
        "from nothing": rounded(first.memory.peak),
        "listed anew": rounded(anew.peak),
        "at rest then": rounded(anew.now),
        "after a restart": rounded(restarted.memory.peak),
        "bytes a pod in the store": Math.round(bytes / stored),
      },
    },
  ];
}

/** How often pods were listed from the first to the last. */
async function listings(run: Run): Promise<number> {
  return Number(/^heddle_ksr_lists_total\{kind="pod".*\} (\d+)$/m.exec(await run.metrics())?.[1] ?? 0);
}

class ApiProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #kubeconfig: string;

  private constructor(child: ChildProcess, kubeconfig: string) {
    this.#child = child;
    this.#kubeconfig = kubeconfig;
  }

  static async start(pods: number): Promise<ApiProcess> {
    const child = fork(join(import.meta.dirname, "api-process.ts"), [String(pods)]);
    const ended = once(child, "exit").then(([code]) => Promise.reject(new Error(`the API server ended with ${code}`)));
    const [kubeconfig] = (await Promise.race([once(child, "message"), ended])) as [string];
    ended.catch(() => {}); // it is to end some time
    return new ApiProcess(child, kubeconfig);
  }

  kubeconfig(): string {
    return this.#kubeconfig;
  }

  expire(): void {
    this.#child.send("expire");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const gone = once(this.#child, "exit");
    this.#child.disconnect();
    await gone;
  }
}
