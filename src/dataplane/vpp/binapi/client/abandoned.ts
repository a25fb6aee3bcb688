import { toError } from "../../../../base/errors/errors.ts";
import type { Pending } from "./pending.ts";

/**
 * Ends requests whose signal aborts. A descriptor makes thousands of requests under one signal, and a signal looks through all
 * of its listeners when it is given one more: so there is one listener for all requests under it.
 */
export class Abandoned {
  readonly #bySignal = new Map<AbortSignal, { readonly pending: Set<Pending>; readonly unlisten: () => void }>();
  readonly #abandon: (pending: readonly Pending[], reason: Error) => void;

  constructor(abandon: (pending: readonly Pending[], reason: Error) => void) {
    this.#abandon = abandon;
  }

  /** From now until {@link forget}. */
  watch(p: Pending, signal: AbortSignal): void {
    const watched = this.#bySignal.get(signal);
    if (watched) {
      watched.pending.add(p);
      return;
    }
    const pending = new Set([p]);
    const abort = () => {
      this.#bySignal.delete(signal);
      this.#abandon([...pending], toError(signal.reason));
    };
    signal.addEventListener("abort", abort, { once: true });
    this.#bySignal.set(signal, { pending, unlisten: () => signal.removeEventListener("abort", abort) });
  }

  forget(p: Pending): void {
    if (p.signal === undefined) return;
    const watched = this.#bySignal.get(p.signal);
    watched?.pending.delete(p);
    if (!watched || watched.pending.size > 0) return;
    watched.unlisten();
    this.#bySignal.delete(p.signal);
  }
}
