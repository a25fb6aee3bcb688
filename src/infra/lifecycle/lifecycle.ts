import { type Clock, type Duration, seconds } from "../../base/clock/clock.ts";
import { DeadlineError, HeddleError, toError } from "../../base/errors/errors.ts";

/** A part of a process that starts and stops. Only `name` is mandatory. */
export interface Component {
  readonly name: string;
  /** Its `init` may take as long as it needs: it waits for something outside of this process, and heeds its signal. */
  readonly patient?: boolean;
  /** Brings the component up; what it needs has been started before. */
  init?(signal: AbortSignal): Promise<void> | void;
  /** Called when every component's `init` has succeeded. */
  afterInit?(signal: AbortSignal): Promise<void> | void;
  /** Called once, also when `afterInit` failed; never when `init` failed. */
  close?(): Promise<void> | void;
  /** `undefined` when well, else what is wrong, for `/readyz`. */
  health?(): string | undefined;
}

/** A component could not be started; those already started have been closed. */
export class StartError extends HeddleError<"START_FAILED"> {
  readonly component: string;

  constructor(component: string, cause: Error) {
    super("START_FAILED", `cannot start ${component}`, { cause });
    this.component = component;
  }
}

export interface LifecycleOptions {
  readonly clock: Clock;
  /** Bound of one component's `init` or `afterInit`; 30 s if absent. */
  readonly startTimeout?: Duration;
  /** Bound of one component's `close`; 5 s if absent. A component that overruns it is reported and left behind. */
  readonly closeTimeout?: Duration;
  /** Told of every `close` that failed; closing goes on. */
  readonly onCloseError: (component: string, error: Error) => void;
}

/** Starts components in the order given and closes them in reverse. */
export class Lifecycle {
  readonly #components: readonly Component[];
  readonly #options: LifecycleOptions;
  readonly #started: Component[] = [];
  readonly #abort = new AbortController();

  constructor(components: readonly Component[], options: LifecycleOptions) {
    const names = new Set<string>();
    for (const { name } of components) {
      if (names.has(name)) throw new HeddleError("DUPLICATE_COMPONENT", `two components are called ${name}`);
      names.add(name);
    }
    this.#components = components;
    this.#options = options;
  }

  /** @throws StartError after having closed, in reverse, everything that had been started. */
  async start(): Promise<void> {
    const timeout = this.#options.startTimeout ?? seconds(30);
    for (const phase of ["init", "afterInit"] as const) {
      for (const component of this.#components) {
        try {
          const step = component[phase]?.(this.#abort.signal);
          if (component.patient) await step;
          else await this.#bounded(step, timeout, `${phase} of ${component.name}`);
          if (phase === "init") this.#started.push(component);
        } catch (e) {
          await this.close();
          throw new StartError(component.name, toError(e));
        }
      }
    }
  }

  /** Idempotent; never rejects. */
  async close(): Promise<void> {
    this.#abort.abort(new HeddleError("CLOSING", "shutting down"));
    const timeout = this.#options.closeTimeout ?? seconds(5);
    for (let component = this.#started.pop(); component; component = this.#started.pop()) {
      try {
        await this.#bounded(component.close?.(), timeout, `close of ${component.name}`);
      } catch (e) {
        this.#options.onCloseError(component.name, toError(e));
      }
    }
  }

  /** What is wrong, by component; empty when all is well. */
  health(): ReadonlyMap<string, string> {
    const ill = new Map<string, string>();
    for (const component of this.#components) {
      const problem = this.#started.includes(component) ? component.health?.() : "not started";
      if (problem !== undefined) ill.set(component.name, problem);
    }
    return ill;
  }

  async #bounded(step: Promise<void> | void, timeout: Duration, what: string): Promise<void> {
    if (!(step instanceof Promise)) return;
    let timer: { cancel(): void } | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = this.#options.clock.schedule(timeout, () => reject(new DeadlineError(what, timeout)));
    });
    try {
      await Promise.race([step, late]);
    } finally {
      timer?.cancel();
    }
  }
}
