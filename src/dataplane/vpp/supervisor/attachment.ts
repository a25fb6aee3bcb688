import { millis } from "../../../base/clock/clock.ts";
import { toError } from "../../../base/errors/errors.ts";
import type { VppState } from "../binapi/api.ts";
import { identify } from "./identity.ts";
import type { SupervisorState } from "./supervisor.ts";

/** What an attachment needs of a `VppClient`: it connects for ever, and notices silence by its keep-alive. */
export interface AttachedClient {
  readonly state: VppState;
  onState(listener: (state: VppState) => void): Disposable;
}

/**
 * A VPP that somebody else starts and stops: told by its connection alone, never signalled. Another process ID, or the
 * same one started at another time, is another generation; a connection that only broke is not.
 */
export class VppAttachment implements Disposable {
  readonly #listeners = new Set<(state: SupervisorState) => void>();
  readonly #onError: (error: Error, what: string) => void;
  readonly #listening: Disposable;
  #state: SupervisorState = { s: "stopped" };
  #life: string | undefined;
  #generation = 0;

  constructor(client: AttachedClient, onError: (error: Error, what: string) => void = () => {}) {
    this.#onError = onError;
    this.#listening = client.onState((state) => this.#follow(state));
    this.#follow(client.state);
  }

  get state(): SupervisorState {
    return this.#state;
  }

  /** Calls `listener` after every change of {@link state}, until disposed. */
  onState(listener: (state: SupervisorState) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Lets VPP go on. Idempotent. */
  [Symbol.dispose](): void {
    this.#listening[Symbol.dispose]();
    if (this.#state.s !== "closed") this.#enter({ s: "closed" });
  }

  #follow(state: VppState): void {
    switch (state.s) {
      case "connecting":
        if (state.attempt === 0) this.#enter({ s: "starting", attempt: 0 });
        return;
      case "waiting":
        this.#enter({ s: "waiting", error: state.error, attempt: state.attempt, delay: millis(state.delay) });
        return;
      case "ready": {
        const { pid } = state.info;
        // VPP tells its number in its own PID namespace: where that is not ours, it is all there is.
        const life = `${pid}:${identify(pid)?.startTime ?? ""}`;
        if (life !== this.#life) this.#generation++;
        this.#life = life;
        this.#enter({ s: "running", generation: this.#generation, pid, adopted: true });
        return;
      }
      case "closed":
        this[Symbol.dispose]();
    }
  }

  #enter(state: SupervisorState): void {
    this.#state = state;
    for (const listener of this.#listeners) {
      try {
        listener(state);
      } catch (e) {
        this.#onError(toError(e), `a listener for the state ${state.s}`);
      }
    }
  }
}
