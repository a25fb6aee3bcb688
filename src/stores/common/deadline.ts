import type { Clock, Duration } from "../../base/clock/clock.ts";
import { StoreError } from "../api/store.ts";

export interface CallLimits {
  readonly clock: Clock;
  readonly timeout: Duration;
  readonly signal?: AbortSignal | undefined;
  /** For messages: "etcd range /heddle/nodes/". */
  readonly what: string;
}

/**
 * Runs one call of a store so that it surely ends: with its result, with `UNAVAILABLE` when the time is over, or with
 * the signal's reason. `cancelled` aborts in the latter two cases, so that the call can let go of what it holds.
 */
export function limited<T>(limits: CallLimits, call: (cancelled: AbortSignal) => Promise<T>): Promise<T> {
  const { clock, timeout, signal, what } = limits;
  return new Promise<T>((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const controller = new AbortController();
    const end = () => {
      timer.cancel();
      signal?.removeEventListener("abort", onAbort);
    };
    const giveUp = (reason: unknown) => {
      end();
      reject(reason);
      controller.abort(reason);
    };
    const onAbort = () => giveUp(signal?.reason);
    const timer = clock.schedule(timeout, () =>
      giveUp(new StoreError("UNAVAILABLE", `${what}: no answer within ${Math.round(timeout)} ms`)),
    );
    signal?.addEventListener("abort", onAbort, { once: true });
    call(controller.signal).then(
      (value) => {
        end();
        resolve(value);
      },
      (e: unknown) => {
        end();
        reject(e);
      },
    );
  });
}
