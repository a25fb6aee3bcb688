import { type Clock, type Duration, sleep } from "../base/clock/clock.ts";
import { errnoOf } from "../base/errors/errors.ts";
import type { EventQueue } from "../controller/api.ts";
import type { NetnsIdentity, PodWiring, SandboxId } from "./api.ts";
import { LostSandboxesEvent } from "./jobs.ts";
import type { Sandbox } from "./sandbox.ts";

export interface SweeperOptions {
  readonly pods: { sandboxes(): Iterable<Sandbox> };
  readonly wiring: Pick<PodWiring, "netnsIdentity">;
  readonly queue: EventQueue;
  /** Between two looks. */
  readonly period: Duration;
}

/** Finds sandboxes whose namespace is gone without a DEL, so that their addresses return. */
export class SandboxSweeper {
  readonly #options: SweeperOptions;
  /** With the namespace that they are missed in. */
  #suspects: ReadonlyMap<SandboxId, NetnsIdentity> = new Map();

  constructor(options: SweeperOptions) {
    this.#options = options;
  }

  async run(clock: Clock, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.sweep();
      await sleep(clock, this.#options.period, signal);
    }
  }

  /**
   * One that is missed twice in a row goes. Once is not enough: after a reboot the runtime may still be about to mount the
   * namespaces of pods that it kept.
   */
  async sweep(): Promise<void> {
    const { pods, queue } = this.#options;
    const missed = new Map<SandboxId, NetnsIdentity>();
    for (const { row } of [...pods.sandboxes()]) {
      if (await this.#isGone(row.netns, row.netnsId)) missed.set(row.id, row.netnsId);
    }
    const lost = [...missed].filter(([id, netnsId]) => this.#suspects.get(id) === netnsId);
    this.#suspects = missed;
    if (lost.length > 0) queue.push(new LostSandboxesEvent(lost.map(([id, netnsId]) => ({ id, netnsId }))));
  }

  async #isGone(path: string, expected: NetnsIdentity): Promise<boolean> {
    try {
      return (await this.#options.wiring.netnsIdentity(path)) !== expected;
    } catch (e) {
      // Something else lies at the path now. Any other failure to look says nothing about the pod.
      return errnoOf(e) === "NOT_A_NETNS";
    }
  }
}
