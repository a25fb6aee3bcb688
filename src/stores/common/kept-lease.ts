import { type Clock, millis, sleep } from "../../base/clock/clock.ts";
import type { Lease } from "../api/store.ts";

export interface KeptLeaseOptions {
  readonly id: string;
  /** As granted, in seconds. */
  readonly ttl: number;
  readonly clock: Clock;
  /** When the grant was asked for ({@link Clock.now}): the store counts from later, never from earlier. */
  readonly grantedAt: number;
  /** Whether the lease still exists. Rejects when the store can't be asked; then it is asked again. */
  readonly renew: (signal: AbortSignal) => Promise<boolean>;
  readonly revoke: () => Promise<void>;
  /** Called once when the lease is no longer kept. */
  readonly onEnd: (lease: KeptLease) => void;
}

/**
 * A lease renewed every third of its time. It counts as lost when the store says so, and also when no renewal got
 * through for its whole time: then the store may have ended it, and it is no longer renewed, so that it surely ends.
 */
export class KeptLease implements Lease {
  readonly id: string;
  readonly lost: Promise<void>;
  readonly #options: KeptLeaseOptions;
  readonly #abort = new AbortController();
  readonly #resolveLost: () => void;
  readonly #loop: Promise<void>;

  constructor(options: KeptLeaseOptions) {
    this.#options = options;
    this.id = options.id;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.lost = promise;
    this.#resolveLost = resolve;
    this.#loop = this.#keep(this.#abort.signal);
  }

  /** What the store has told by another way than a renewal. */
  reportLost(): void {
    this.#abort.abort();
    this.#resolveLost();
  }

  /** Ends the renewals and leaves the lease to expire. */
  async abandon(): Promise<void> {
    this.#abort.abort();
    await this.#loop;
  }

  async revoke(): Promise<void> {
    await this.abandon();
    await this.#options.revoke();
    this.#resolveLost();
  }

  /** Never rejects. */
  async #keep(signal: AbortSignal): Promise<void> {
    const { clock, ttl } = this.#options;
    const interval = millis((ttl * 1000) / 3);
    let expires = this.#options.grantedAt + ttl * 1000;
    let delay = interval;
    try {
      for (;;) {
        // Never sleep past the end: a holder must learn of it before the store lets somebody else in.
        await sleep(clock, millis(Math.max(0, Math.min(delay, expires - clock.now()))), signal);
        const asked = clock.now();
        if (asked >= expires) break;
        const alive = await this.#renew(millis(expires - asked), signal);
        if (alive === false) break;
        if (alive) expires = asked + ttl * 1000;
        if (clock.now() >= expires) break;
        delay = alive ? interval : millis(Math.min(1000, interval / 5));
      }
      this.#resolveLost();
    } catch {
      // Only sleep rejects, and only because the lease was abandoned, revoked or reported lost.
    } finally {
      this.#options.onEnd(this);
    }
  }

  /** `undefined` if the store could not be asked within `within`. */
  async #renew(within: number, signal: AbortSignal): Promise<boolean | undefined> {
    const limit = new AbortController();
    const timer = this.#options.clock.schedule(millis(within), () => limit.abort());
    try {
      return await this.#options.renew(AbortSignal.any([signal, limit.signal]));
    } catch {
      return undefined;
    } finally {
      timer.cancel();
    }
  }
}
