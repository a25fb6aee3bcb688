/** Of several processes one leads; the others stand by until it is gone. */
export interface Election {
  /**
   * Takes part until the signal aborts. `lead` runs for as long as this process leads: its signal aborts when it no longer
   * does, early enough for it to end before another begins. Rejects if `lead` does before its signal aborts.
   */
  run(lead: (signal: AbortSignal) => Promise<void>, signal: AbortSignal): Promise<void>;
  readonly isLeader: boolean;
  /** As far as known. */
  readonly leader: string | undefined;
  /** Why it isn't known who leads. */
  readonly problem: string | undefined;
}

/** Runs `lead` until it ends or `until` resolves, and then until it has ended. */
export async function term(
  lead: (signal: AbortSignal) => Promise<void>,
  until: (signal: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const over = new AbortController();
  const either = AbortSignal.any([signal, over.signal]);
  const leading = lead(either).finally(() => over.abort());
  const kept = until(either).finally(() => over.abort());
  const [led, keeping] = await Promise.allSettled([leading, kept]);
  if (led.status === "rejected") throw led.reason;
  if (keeping.status === "rejected" && !either.aborted) throw keeping.reason;
}

/** Of one process alone. */
export class AlwaysLeading implements Election {
  readonly leader: string;
  readonly problem = undefined;
  #isLeader = false;

  constructor(identity: string) {
    this.leader = identity;
  }

  get isLeader(): boolean {
    return this.#isLeader;
  }

  async run(lead: (signal: AbortSignal) => Promise<void>, signal: AbortSignal): Promise<void> {
    this.#isLeader = true;
    await lead(signal).finally(() => (this.#isLeader = false));
  }
}
