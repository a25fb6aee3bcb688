import { setTimeout as delay } from "node:timers/promises";

/**
 * Waits until `condition` yields something that is not false or undefined; fails after `within` milliseconds. That is for
 * what never comes, not a measure: a busy machine may be ten times slower than an idle one.
 */
export async function until<T>(
  what: string,
  condition: () => T | Promise<T>,
  within = 40_000,
): Promise<Exclude<T, false | undefined>> {
  const end = performance.now() + within;
  for (;;) {
    const value = await condition();
    if (value !== undefined && value !== false) return value as Exclude<T, false | undefined>;
    if (performance.now() > end) throw new Error(`not within ${within} ms: ${what}`);
    await delay(10);
  }
}
