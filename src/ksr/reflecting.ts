import type { Source } from "./api.ts";
import type { Reflector } from "./reflector/reflector.ts";

/** Reflects a source until the signal aborts, and resolves when both have ended. If one fails the other ends, too. */
export async function reflecting(source: Source, reflector: Reflector, signal: AbortSignal): Promise<void> {
  const failed = new AbortController();
  const either = AbortSignal.any([signal, failed.signal]);
  const running = [reflector.run(either), source.run(reflector, either)];
  try {
    await Promise.all(running);
  } finally {
    failed.abort();
    await Promise.allSettled(running);
  }
}
