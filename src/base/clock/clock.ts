import type { Brand } from "../brand/brand.ts";

/** A length of time in milliseconds. Made by {@link millis}, {@link seconds} or {@link minutes}, never by hand. */
export type Duration = Brand<number, "Duration">;

export const millis = (n: number): Duration => n as Duration;
export const seconds = (n: number): Duration => (n * 1000) as Duration;
export const minutes = (n: number): Duration => (n * 60_000) as Duration;

/** A pending call of {@link Clock.schedule}. */
export interface Timer {
  /** Idempotent; the callback will not run afterwards. */
  cancel(): void;
}

/** Time as a dependency, so that tests own it. */
export interface Clock {
  /** Monotonic milliseconds, for measuring and for deadlines. */
  now(): number;
  /** Milliseconds since the Unix epoch, for what people read. */
  wall(): number;
  /** Runs `callback` once after `delay`; the timer does not keep the process alive. */
  schedule(delay: Duration, callback: () => void): Timer;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  schedule(delay, callback) {
    const handle = setTimeout(callback, delay);
    handle.unref();
    return { cancel: () => clearTimeout(handle) };
  },
};

/**
 * Resolves after `delay`. With a signal it rejects with the signal's reason as soon as that aborts.
 */
export function sleep(clock: Clock, delay: Duration, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const onAbort = () => {
      timer.cancel();
      reject(signal?.reason);
    };
    const timer = clock.schedule(delay, () => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    });
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}
