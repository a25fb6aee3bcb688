import { type Clock, seconds, sleep } from "../base/clock/clock.ts";
import type { EventQueue } from "../controller/api.ts";
import type { PodWiring, SandboxId } from "./api.ts";
import { LostSandboxesEvent } from "./jobs.ts";
import type { Sandbox } from "./sandbox.ts";

export interface SweeperOptions {
  readonly pods: { sandboxes(): Iterable<Sandbox> };
  readonly wiring: Pick<PodWiring, "netnsIdentity">;
  readonly queue: EventQueue;
}

const PERIOD = seconds(60);

/** Finds sandboxes whose namespace is gone without a DEL, so that their addresses return. */
export class SandboxSweeper {
  readonly #options: SweeperOptions;
  #suspects = new Set<SandboxId>();

  constructor(options: SweeperOptions) {
    this.#options = options;
  }

  async run(clock: Clock, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.sweep();
      await sleep(clock, PERIOD, signal);
    }
  }

  /**
   * One that is missed twice in a row goes. Once is not enough: after a reboot the runtime may still be about to mount the
   * namespaces of pods that it kept.
   */
  async sweep(): Promise<void> {
    const { pods, wiring, queue } = this.#options;
    const missed = new Set<SandboxId>();
    for (const { row } of pods.sandboxes()) {
      const identity = await wiring.netnsIdentity(row.netns).catch(() => undefined);
      if (identity !== row.netnsId) missed.add(row.id);
    }
    const lost = [...missed].filter((id) => this.#suspects.has(id));
    this.#suspects = missed;
    if (lost.length > 0) queue.push(new LostSandboxesEvent(lost));
  }
}
