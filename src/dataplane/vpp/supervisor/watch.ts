import { type Clock, type Duration, sleep } from "../../../base/clock/clock.ts";
import { toError } from "../../../base/errors/errors.ts";
import { VppHungError, VppStartError } from "./errors.ts";
import type { Probe } from "./probes.ts";

export interface WatchOptions {
  /** Between two looks. */
  readonly every: Duration;
  /** For an answer. */
  readonly timeout: Duration;
  /** So many looks in a row have to fail: VPP answers late while it takes 100,000 routes. */
  readonly failures: number;
}

/** Resolves when every probe was answered once; rejects after `within`, or with the signal's reason. */
export async function untilReady(
  probes: readonly Probe[],
  options: { readonly clock: Clock; readonly within: Duration; readonly retry: Duration; readonly signal: AbortSignal },
): Promise<void> {
  const { clock, within, retry, signal } = options;
  const end = clock.now() + within;
  for (const probe of probes) {
    for (;;) {
      signal.throwIfAborted();
      try {
        await probe.look(retry);
        break;
      } catch (cause) {
        if (clock.now() >= end) {
          const message = `VPP's ${probe.name} was not there within ${within / 1000} s of its start`;
          throw new VppStartError("VPP_NO_START", message, { cause });
        }
        await sleep(clock, retry, signal);
      }
    }
  }
}

/** Looks through all probes until one fails too often; resolves with the error then. Rejects with the signal's reason. */
export async function untilHung(
  probes: readonly Probe[],
  options: WatchOptions & { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<VppHungError> {
  const { clock, every, timeout, failures, signal } = options;
  const failed = new Map<Probe, number>();
  for (;;) {
    await sleep(clock, every, signal);
    const outcomes = await Promise.allSettled(probes.map((probe) => probe.look(timeout)));
    signal.throwIfAborted();
    for (const [i, probe] of probes.entries()) {
      const outcome = outcomes[i];
      if (outcome?.status !== "rejected") {
        failed.set(probe, 0);
        continue;
      }
      const count = (failed.get(probe) ?? 0) + 1;
      failed.set(probe, count);
      if (count >= failures) return new VppHungError(probe.name, count, { cause: toError(outcome.reason) });
    }
  }
}
