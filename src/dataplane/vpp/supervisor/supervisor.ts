import { rmSync } from "node:fs";
import { type BackoffOptions, backoffDelay } from "../../../base/backoff/backoff.ts";
import { type Clock, type Duration, millis, seconds, sleep, systemClock } from "../../../base/clock/clock.ts";
import { ClosedError, toError } from "../../../base/errors/errors.ts";
import { Tasks } from "../../../base/tasks/tasks.ts";
import { signalProcess } from "./identity.ts";
import type { Probe } from "./probes.ts";
import { exitError, findVpp, removeFiles, startVpp, stopVpp, type VppProcess, type VppProgram } from "./process.ts";
import type { SocketKeeper } from "./socket-keeper.ts";
import { renderStartupConf, type StartupConf, sharedMemoryFiles, type VppPaths, vppPaths } from "./startup-conf.ts";
import { untilHung, untilReady, type WatchOptions } from "./watch.ts";

/** Where a supervised VPP stands. */
export type SupervisorState =
  | { readonly s: "stopped" }
  | { readonly s: "starting"; readonly attempt: number }
  /**
   * VPP answers. `generation` grows with each life of VPP: what was configured in an earlier one is gone. An adopted one
   * was started by an earlier agent and keeps what that configured.
   */
  | { readonly s: "running"; readonly generation: number; readonly pid: number; readonly adopted: boolean }
  /** VPP ended, hung or did not start; it is started again after `delay`. */
  | { readonly s: "waiting"; readonly error: Error; readonly attempt: number; readonly delay: Duration }
  | { readonly s: "closed" };

export interface SupervisorOptions {
  readonly program: VppProgram;
  readonly conf: StartupConf;
  /** Runs before VPP does, and ends after it, unless it is kept as well. */
  readonly keeper?: Pick<SocketKeeper, "start" | "close"> | undefined;
  /** How VPP is looked at: `apiProbe`, `cliProbe`. It counts as running when all of them were answered. */
  readonly probes: readonly Probe[];
  /** Every second, 2 s for an answer, 3 in a row if absent. */
  readonly watch?: WatchOptions;
  /** For VPP to answer after its start; 30 s if absent. */
  readonly readyWithin?: Duration;
  /** Between starts; 100 ms growing to 30 s if absent. It begins anew with a life of more than a minute. */
  readonly backoff?: BackoffOptions;
  /** From SIGTERM to SIGKILL; 5 s if absent. */
  readonly grace?: Duration;
  readonly clock?: Clock;
  readonly random?: () => number;
  /** Hears why VPP is started again, and listeners that threw. */
  readonly onError?: (error: Error, what: string) => void;
}

const WATCH: WatchOptions = { every: seconds(1), timeout: seconds(2), failures: 3 };
const BACKOFF: BackoffOptions = { first: millis(100), max: seconds(30) };
const LOOK_AT_START = millis(25);
/** A life longer than this was a good one. */
const STABLE_MS = 60_000;

/**
 * Keeps one VPP running: starts it, or takes over the one that an earlier agent left running with the same
 * configuration; notices its end and its silence; starts it again, for ever. Signals go to that one process only.
 */
export class VppSupervisor implements AsyncDisposable {
  readonly paths: VppPaths;
  readonly #options: SupervisorOptions;
  readonly #text: string;
  readonly #clock: Clock;
  readonly #tasks: Tasks;
  readonly #listeners = new Set<(state: SupervisorState) => void>();
  #state: SupervisorState = { s: "stopped" };
  #vpp: VppProcess | undefined;
  #generation = 0;

  /** Throws `StartupConfError`. */
  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#text = renderStartupConf(options.conf);
    this.paths = vppPaths(options.conf.runtimeDir);
    this.#clock = options.clock ?? systemClock;
    this.#tasks = new Tasks((error, task) => options.onError?.(error, task));
  }

  get state(): SupervisorState {
    return this.#state;
  }

  /** Calls `listener` after every change of {@link state}, until disposed. */
  onState(listener: (state: SupervisorState) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /**
   * Resolves when VPP answers. The first start is not repeated: a VPP that refuses its configuration does so again.
   * Rejects with `VppExitError`, which has VPP's own words, or `VppStartError`; nothing is left then. Called once.
   */
  async start(): Promise<void> {
    if (this.#state.s !== "stopped") throw new ClosedError("the VPP supervisor, or it was started before,");
    let vpp: VppProcess;
    try {
      await this.#options.keeper?.start();
      vpp = await this.#begin(0, true);
    } catch (e) {
      await this.#options.keeper?.close();
      if (!this.#vpp) removeFiles(this.paths);
      this.#enter({ s: "closed" });
      throw e;
    }
    this.#tasks.run("VPP's supervisor", (signal) => this.#keep(vpp, signal));
  }

  /**
   * Stops watching, and stops VPP unless it is to be kept for the next agent. Of a VPP that was stopped no file is left.
   * Idempotent.
   */
  async close({ keep = false }: { readonly keep?: boolean } = {}): Promise<void> {
    if (this.#state.s === "closed") return;
    await this.#tasks.close();
    const vpp = this.#vpp;
    this.#vpp = undefined;
    if (vpp && !keep) await stopVpp(vpp, this.#grace, this.#clock);
    await this.#options.keeper?.close({ keep });
    if (!keep) removeFiles(this.paths);
    this.#enter({ s: "closed" });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  get #grace(): Duration {
    return this.#options.grace ?? seconds(5);
  }

  async #keep(first: VppProcess, signal: AbortSignal): Promise<void> {
    let vpp: VppProcess | undefined = first;
    for (let attempt = 0; !signal.aborted; attempt++) {
      let error: Error;
      const since = this.#clock.now();
      try {
        vpp ??= await this.#begin(attempt, false);
        error = await this.#untilTrouble(vpp, signal);
      } catch (e) {
        error = toError(e);
      }
      if (signal.aborted) return;
      if (this.#clock.now() - since > STABLE_MS) attempt = 0;
      vpp = undefined;
      this.#options.onError?.(error, "VPP");
      const delay = backoffDelay(this.#options.backoff ?? BACKOFF, attempt, this.#options.random);
      this.#enter({ s: "waiting", error, attempt, delay });
      await sleep(this.#clock, delay, signal);
    }
  }

  /** Leaves no process behind when it rejects. */
  async #begin(attempt: number, adopt: boolean): Promise<VppProcess> {
    this.#enter({ s: "starting", attempt });
    const found = findVpp(this.paths, this.#clock);
    let vpp: VppProcess;
    if (found && adopt && found.conf === this.#text) {
      vpp = found.process;
    } else {
      if (found) await stopVpp(found.process, this.#grace, this.#clock);
      const { program, conf } = this.#options;
      vpp = await startVpp(program, this.#text, this.paths, conf.runtimeDir);
    }
    this.#vpp = vpp;
    try {
      await this.#untilAnswers(vpp);
    } catch (e) {
      // An adopted one that does not answer is not left alone either: its successor needs its sockets.
      await this.#kill(vpp);
      throw e;
    } finally {
      for (const file of sharedMemoryFiles(this.#options.conf)) rmSync(file, { force: true });
    }
    const { pid } = vpp.id;
    this.#enter({ s: "running", generation: ++this.#generation, pid, adopted: vpp.adopted });
    return vpp;
  }

  async #untilAnswers(vpp: VppProcess): Promise<void> {
    const over = new AbortController();
    const within = this.#options.readyWithin ?? seconds(30);
    const signal = AbortSignal.any([over.signal, this.#tasks.signal]);
    const options = { clock: this.#clock, within, retry: LOOK_AT_START, signal };
    const ended = vpp.exited.then((exit) => {
      throw exitError("VPP ended while it started", exit, this.paths);
    });
    try {
      await Promise.race([untilReady(this.#options.probes, options), ended]);
    } finally {
      over.abort();
    }
  }

  /** Resolves with what ended this life; the process is gone then. */
  async #untilTrouble(vpp: VppProcess, closing: AbortSignal): Promise<Error> {
    const over = new AbortController();
    const signal = AbortSignal.any([over.signal, closing]);
    const ended = vpp.exited.then((exit) => exitError("VPP ended", exit, this.paths));
    try {
      const watch = { ...(this.#options.watch ?? WATCH), clock: this.#clock, signal };
      const error = await Promise.race([ended, untilHung(this.#options.probes, watch)]);
      await this.#kill(vpp);
      return error;
    } finally {
      over.abort();
    }
  }

  async #kill(vpp: VppProcess): Promise<void> {
    signalProcess(vpp.id, "SIGKILL");
    await vpp.exited;
    if (this.#vpp === vpp) this.#vpp = undefined;
  }

  #enter(state: SupervisorState): void {
    this.#state = state;
    for (const listener of this.#listeners) {
      try {
        listener(state);
      } catch (e) {
        this.#options.onError?.(toError(e), `a listener for the state ${state.s}`);
      }
    }
  }
}
