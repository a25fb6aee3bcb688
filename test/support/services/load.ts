import { setTimeout as delay } from "node:timers/promises";
import type { KeepResult, Prober } from "../../../src/lab/probe/client.ts";

/** From where, to what. */
export interface LoadPath {
  readonly name: string;
  /** Under /run/netns. */
  readonly netns: string;
  readonly address: string;
  readonly port: number;
}

export interface FailedConnection extends KeepResult {
  readonly kind: "long" | "new";
  readonly path: string;
  /** `performance.now()` */
  readonly at: number;
}

const TIMEOUT_MS = 3000;
const PAUSE_MS = 15;
const EVERY_MS = 25;
const LONG_ONES = 3;
/** Longer than any load: servers end them. */
const LONG_MS = 600_000;

/**
 * A constant load of requests by TCP: on each path a new connection for each, one after the other, and beside these some
 * connections that are kept, and made again when the server has closed them.
 */
export class Load {
  readonly failed: FailedConnection[] = [];
  readonly #prober: Prober;
  readonly #tasks: Promise<void>[];
  #isOver = false;
  #new = 0;
  #long = 0;
  #requests = 0;

  constructor(prober: Prober, paths: readonly LoadPath[]) {
    this.#prober = prober;
    this.#tasks = paths.flatMap((path) => [
      this.#run(path, "new"),
      ...Array.from({ length: LONG_ONES }, () => this.#run(path, "long")),
    ]);
    // Who waits for the end hears of it; of a test that has failed before, nobody.
    for (const task of this.#tasks) task.catch(() => {});
  }

  /** Connections that were made, and requests that were answered on those that are kept. */
  get counts(): Readonly<Record<"long" | "new" | "requests", number>> {
    return { new: this.#new, long: this.#long, requests: this.#requests };
  }

  async #run({ name, ...to }: LoadPath, kind: "long" | "new"): Promise<void> {
    while (!this.#isOver) {
      const totalMs = kind === "new" ? 0 : LONG_MS;
      const options = { port: to.port, timeoutMs: TIMEOUT_MS, everyMs: EVERY_MS, totalMs };
      const result = await this.#prober.keep(to.netns, to.address, options);
      if (kind === "new") this.#new++;
      else this.#long++;
      if (kind === "long") this.#requests += result.requests;
      // What the end of the load ends has not failed.
      if (result.error !== undefined && !this.#isOver) {
        this.failed.push({ ...result, kind, path: name, at: performance.now() });
      }
      if (kind === "new") await delay(PAUSE_MS);
    }
  }

  /** `end` has all servers end the connections that they have. */
  async over(end: () => Promise<void>): Promise<void> {
    this.#isOver = true;
    await end();
    await Promise.all(this.#tasks);
  }
}
