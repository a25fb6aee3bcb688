/** Longest pause between two questions, in milliseconds. */
const MAX_PAUSE = 20;

/**
 * Asks until the answer is yes: for what the kernel does from a work queue, some microseconds after it has answered on an
 * idle machine and many milliseconds later on a busy one. Throws what `giveUp` makes when the signal aborts before.
 */
export async function until(ask: () => Promise<boolean>, signal: AbortSignal, giveUp: () => Error): Promise<void> {
  for (let pause = 0; !(await ask()); pause = Math.min(pause + 1, MAX_PAUSE)) {
    if (signal.aborted) throw giveUp();
    // The first question is repeated at once.
    await new Promise<void>((resolve) => (pause === 0 ? setImmediate(resolve) : setTimeout(resolve, pause)));
  }
}
