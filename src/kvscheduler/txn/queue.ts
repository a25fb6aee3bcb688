import { ClosedError } from "../../base/errors/errors.ts";
import { Fifo } from "../../base/queue/fifo.ts";
import type { Turn } from "./turn.ts";

/** Something that has to be done while nothing else changes the graph. */
export interface Job {
  /** Must not reject. What it returns tells its owner of the result; the next job is begun in the same stretch. */
  run(): Promise<() => void>;
  /** It will not be run. */
  refuse(error: Error): void;
}

/** The queue of jobs: one after another, in the order of their coming. */
export class JobQueue {
  readonly #turn: Turn;
  readonly #jobs = new Fifo<Job>();
  #busy = false;
  #closed = false;
  #idle: (() => void)[] = [];

  constructor(turn: Turn) {
    this.#turn = turn;
  }

  /** Jobs that wait. */
  get size(): number {
    return this.#jobs.size;
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  push(job: Job): void {
    if (this.#closed) {
      job.refuse(new ClosedError("scheduler"));
      return;
    }
    this.#jobs.push(job);
    if (!this.#busy) void this.#pump(); // never rejects; close() waits for its end
  }

  /** Refuses what waits, and resolves when what runs has ended. `stop` is called in between. */
  async close(stop: () => void): Promise<void> {
    this.#closed = true;
    stop();
    for (const job of this.#jobs.takeAll()) job.refuse(new ClosedError("scheduler"));
    if (this.#busy) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  async #pump(): Promise<void> {
    const turn = this.#turn;
    this.#busy = true;
    turn.enter();
    for (let job = this.#jobs.shift(); job !== undefined; job = this.#jobs.shift()) {
      const tell = await job.run();
      tell();
      if (turn.isLong()) await turn.breathe();
    }
    turn.leave();
    this.#busy = false;
    for (const resolve of this.#idle.splice(0)) resolve();
  }
}
