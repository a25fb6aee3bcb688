import { ClosedError, toError } from "../../../../base/errors/errors.ts";
import type { VppInfo, VppState } from "../api.ts";
import { VppDisconnectedError } from "../errors.ts";

/** Where a client stands, and who wants to know. */
export class States {
  readonly #onError: (error: Error, what: string) => void;
  readonly #listeners = new Set<(state: VppState) => void>();
  #now: VppState = { s: "connecting", attempt: 0 };

  constructor(onError: (error: Error, what: string) => void) {
    this.#onError = onError;
  }

  get now(): VppState {
    return this.#now;
  }

  /** Nothing follows `closed`. A listener that throws is reported and harms nobody else. */
  enter(state: VppState): void {
    if (this.#now.s === "closed") return;
    this.#now = state;
    for (const listener of this.#listeners) {
      try {
        listener(state);
      } catch (e) {
        this.#onError(toError(e), `a listener for the state ${state.s}`);
      }
    }
  }

  listen(listener: (state: VppState) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Resolves in the state `ready`; `what` is for the error of one whose patience ended first. */
  ready(what: string, signal?: AbortSignal): Promise<VppInfo> {
    const { promise, resolve, reject } = Promise.withResolvers<VppInfo>();
    const look = (state: VppState): void => {
      if (state.s === "ready") resolve(state.info);
      else if (state.s === "closed") reject(new ClosedError("the VPP client"));
    };
    const abort = () => {
      const cause = this.#now.s === "waiting" ? this.#now.error : toError(signal?.reason);
      reject(new VppDisconnectedError(what, false, { cause }));
    };
    const listening = this.listen(look);
    signal?.addEventListener("abort", abort, { once: true });
    if (signal?.aborted) abort();
    else look(this.#now);
    return promise.finally(() => {
      listening[Symbol.dispose]();
      signal?.removeEventListener("abort", abort);
    });
  }
}
