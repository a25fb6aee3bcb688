import { HeddleError } from "../../base/errors/errors.ts";

/** A part of a process that starts and stops. Only `name` is mandatory. */
export interface Component {
  readonly name: string;
  /** Its `init` may take as long as it needs: it waits for something outside of this process, and heeds its signal. */
  readonly patient?: boolean;
  /** Brings the component up; what it needs has been started before. The signal aborts when the process closes, or when
   * the time is over: then what comes of it is closed again. */
  init?(signal: AbortSignal): Promise<void> | void;
  /** Called when every component's `init` has succeeded. */
  afterInit?(signal: AbortSignal): Promise<void> | void;
  /** Called once for each `init` that succeeded, also when `afterInit` failed; never when `init` failed. */
  close?(): Promise<void> | void;
  /** `undefined` when well, else what is wrong, for `/readyz`. */
  health?(): string | undefined;
}

/**
 * - `new`: not started yet
 * - `starting`: its `init` or `afterInit` runs, or it waits for the others' `init`
 * - `started`: both have succeeded
 * - `failed`: its `init` failed
 * - `closing`, `closed`: after having been started
 */
export type ComponentState = "new" | "starting" | "started" | "failed" | "closing" | "closed";

/** How one component is. */
export interface ComponentHealth {
  readonly name: string;
  readonly state: ComponentState;
  /** What is wrong; absent when well. */
  readonly problem?: string;
  /** How long its `init` and `afterInit` took, in milliseconds, as far as they have ended. */
  readonly startMs?: number;
}

/** A component could not be started; those already started have been closed. The cause says what was wrong. */
export class StartError extends HeddleError<"START_FAILED"> {
  readonly component: string;

  constructor(component: string, cause: Error) {
    super("START_FAILED", `cannot start ${component}`, { cause });
    this.component = component;
  }
}
