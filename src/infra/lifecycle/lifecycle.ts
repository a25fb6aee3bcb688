import { type Clock, type Duration, seconds, systemClock, type Timer } from "../../base/clock/clock.ts";
import { DeadlineError, HeddleError, toError } from "../../base/errors/errors.ts";
import { type Component, type ComponentHealth, type ComponentState, StartError } from "./component.ts";

export { type Component, type ComponentHealth, type ComponentState, StartError } from "./component.ts";
export { together } from "./together.ts";

export interface LifecycleOptions {
  /** The system's clock if absent. */
  readonly clock?: Clock;
  /** Bound of one component's `init` or `afterInit`; 30 s if absent. */
  readonly startTimeout?: Duration;
  /** Bound of one component's `close`; 5 s if absent. A component that overruns it is reported and left behind. */
  readonly closeTimeout?: Duration;
  /** Told of every `close` that failed; closing goes on. */
  readonly onCloseError?: (component: string, error: Error) => void;
}

/** One component, and how far it is. */
interface Part {
  readonly component: Component;
  state: ComponentState;
  problem: string | undefined;
  ms: number | undefined;
  /** Its `init` succeeded and it has not been closed since. */
  isUp: boolean;
  /** An `init` that was given up; resolves when it has ended and what came of it is closed. */
  late: Promise<void>;
}

/**
 * Starts components in the order given and closes them in reverse. A start that fails, or during which {@link close} is
 * called, closes what has been started; an `init` that succeeds after it had been given up is closed, too.
 *
 * ```ts
 * const lifecycle = new Lifecycle([database, scheduler, server]);
 * await lifecycle.start();
 * process.once("SIGTERM", () => lifecycle.close());
 * ```
 */
export class Lifecycle {
  readonly #parts: readonly Part[];
  readonly #clock: Clock;
  readonly #startTimeout: Duration;
  readonly #closeTimeout: Duration;
  readonly #onCloseError: (component: string, error: Error) => void;
  readonly #abort = new AbortController();
  #started = false;
  /** The start, restart or close that runs; the next one waits for it. */
  #busy: Promise<void> = Promise.resolve();
  #closed: Promise<void> | undefined;

  /** @throws HeddleError DUPLICATE_COMPONENT */
  constructor(components: readonly Component[], options: LifecycleOptions = {}) {
    const names = new Set<string>();
    for (const { name } of components) {
      if (names.has(name)) throw new HeddleError("DUPLICATE_COMPONENT", `two components are called ${name}`);
      names.add(name);
    }
    this.#parts = components.map((component) => {
      return { component, state: "new", problem: undefined, ms: undefined, isUp: false, late: Promise.resolve() };
    });
    this.#clock = options.clock ?? systemClock;
    this.#startTimeout = options.startTimeout ?? seconds(30);
    this.#closeTimeout = options.closeTimeout ?? seconds(5);
    this.#onCloseError = options.onCloseError ?? (() => undefined);
  }

  /**
   * To be called once. @throws StartError after having closed, in reverse, everything that had been started; HeddleError
   * STARTED if it was called before.
   */
  async start(): Promise<void> {
    if (this.#started) throw new HeddleError("STARTED", "a life cycle starts once; make another one");
    this.#started = true;
    await this.#exclusively(() => this.#startFrom(0));
  }

  /**
   * For a component that has failed: closes it and all those after it, which may need it, in reverse, and starts them
   * again. What comes before it is not touched. @throws StartError after having closed these components; it may be
   * tried again. HeddleError NO_COMPONENT
   */
  async restart(name: string): Promise<void> {
    const from = this.#parts.findIndex((p) => p.component.name === name);
    if (from === -1) throw new HeddleError("NO_COMPONENT", `there is no component ${name}`);
    await this.#exclusively(async () => {
      this.#abort.signal.throwIfAborted();
      await this.#closeDownTo(from);
      await this.#startFrom(from);
    });
  }

  /** Closes what has been started; a start that is on its way is told by its signal and waited for. Idempotent; never
   * rejects. */
  close(): Promise<void> {
    this.#closed ??= (() => {
      this.#abort.abort(new HeddleError("CLOSING", "shutting down"));
      return this.#exclusively(() => this.#closeDownTo(0));
    })();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** What is wrong, by component; empty when all is well. */
  health(): ReadonlyMap<string, string> {
    const ill = new Map<string, string>();
    for (const { name, problem } of this.components()) if (problem !== undefined) ill.set(name, problem);
    return ill;
  }

  /** How every component is, in the order of starting. */
  components(): readonly ComponentHealth[] {
    return this.#parts.map((part) => {
      const problem = problemOf(part);
      return {
        name: part.component.name,
        state: part.state,
        ...(problem !== undefined && { problem }),
        ...(part.ms !== undefined && { startMs: part.ms }),
      };
    });
  }

  async #startFrom(from: number): Promise<void> {
    const parts = this.#parts.slice(from);
    for (const phase of ["init", "afterInit"] as const) {
      for (const part of parts) {
        try {
          await this.#step(part, phase);
        } catch (e) {
          const isUp = part.isUp;
          await this.#closeDownTo(from);
          if (!isUp) part.state = "failed";
          part.problem = toError(e).message;
          throw new StartError(part.component.name, toError(e));
        }
      }
    }
  }

  async #step(part: Part, phase: "init" | "afterInit"): Promise<void> {
    const { component } = part;
    this.#abort.signal.throwIfAborted();
    part.state = "starting";
    part.problem = undefined;
    await part.late;
    const own = new AbortController();
    const signal = AbortSignal.any([this.#abort.signal, own.signal]);
    const began = this.#clock.now();
    const running = (async () => component[phase]?.(signal))();
    const timeout = component.patient === true && phase === "init" ? undefined : this.#startTimeout;
    try {
      await this.#bounded(running, timeout, `${phase} of ${component.name}`, this.#abort.signal);
    } catch (e) {
      own.abort(e);
      if (phase === "init") this.#closeLate(part, running);
      throw e;
    }
    part.ms = (phase === "init" ? 0 : (part.ms ?? 0)) + this.#clock.now() - began;
    if (phase === "init") part.isUp = true;
    else part.state = "started";
    this.#abort.signal.throwIfAborted();
  }

  /** An `init` that was given up may succeed all the same: then there is something to close. */
  #closeLate(part: Part, init: Promise<void>): void {
    part.late = init.then(
      async () => {
        try {
          await part.component.close?.();
        } catch (e) {
          this.#onCloseError(part.component.name, toError(e));
        }
      },
      () => undefined, // it failed, as has been told
    );
  }

  async #closeDownTo(index: number): Promise<void> {
    for (const part of this.#parts.slice(index).reverse()) {
      if (!part.isUp) continue;
      part.isUp = false;
      part.state = "closing";
      const { component } = part;
      try {
        const closing = (async () => component.close?.())();
        await this.#bounded(closing, this.#closeTimeout, `close of ${component.name}`);
      } catch (e) {
        this.#onCloseError(component.name, toError(e));
      }
      part.state = "closed";
    }
  }

  async #exclusively(body: () => Promise<void>): Promise<void> {
    const run = this.#busy.then(body);
    this.#busy = run.catch(() => undefined);
    await run;
  }

  /** Waits for `step`, but not longer than `timeout`, nor than a closing component may take after `signal` aborts. */
  async #bounded(
    step: Promise<void>,
    timeout: Duration | undefined,
    what: string,
    signal?: AbortSignal,
  ): Promise<void> {
    const timers: Timer[] = [];
    const late = Promise.withResolvers<never>();
    const limit = (after: Duration): void => {
      timers.push(this.#clock.schedule(after, () => late.reject(new DeadlineError(what, after))));
    };
    const onAbort = (): void => limit(this.#closeTimeout);
    if (timeout !== undefined) limit(timeout);
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      await Promise.race([step, late.promise]);
    } finally {
      signal?.removeEventListener("abort", onAbort);
      for (const timer of timers) timer.cancel();
    }
  }
}

function problemOf({ component, state, problem, isUp }: Part): string | undefined {
  if (!isUp) return problem ?? (state === "starting" ? "starting" : "not started");
  try {
    return component.health?.();
  } catch (e) {
    return `its health cannot be told: ${toError(e).message}`;
  }
}
