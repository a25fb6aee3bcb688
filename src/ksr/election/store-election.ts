import { z } from "zod";
import { backoffDelay } from "../../base/backoff/backoff.ts";
import { type Clock, seconds, sleep } from "../../base/clock/clock.ts";
import { fullMessage } from "../../base/errors/errors.ts";
import type { Log } from "../../infra/log/log.ts";
import { decodeVersioned, encodeVersioned } from "../../models/versioned-json.ts";
import { type Lease, type Store, StoreError } from "../../stores/api/store.ts";
import { type Election, term } from "./api.ts";

export interface StoreElectionOptions {
  readonly store: Pick<Store, "get" | "lease" | "snapshotAndWatch" | "txn">;
  readonly clock: Clock;
  readonly log: Log;
  /** Must not be another process's. */
  readonly identity: string;
  readonly random?: () => number;
}

export const LEADER_KEY = "/heddle/ksr/leader";
const LEASE_SECONDS = 15;
const RETRY = { first: seconds(1), max: seconds(10) };
const leaderRecord = z.object({ identity: z.string() });

/** Election by an entry of the store that lives as long as its writer's lease. For reflectors without a Kubernetes API. */
export class StoreElection implements Election {
  readonly #options: StoreElectionOptions;
  #isLeader = false;
  #leader: string | undefined;
  #problem: string | undefined;

  constructor(options: StoreElectionOptions) {
    this.#options = options;
  }

  get isLeader(): boolean {
    return this.#isLeader;
  }

  get leader(): string | undefined {
    return this.#leader;
  }

  get problem(): string | undefined {
    return this.#problem;
  }

  async run(lead: (signal: AbortSignal) => Promise<void>, signal: AbortSignal): Promise<void> {
    const { clock, log, identity, random } = this.#options;
    for (let failures = 0; !signal.aborted; ) {
      try {
        await this.#vacant(signal);
        const lease = await this.#take(signal);
        this.#problem = undefined;
        if (!lease) continue;
        failures = 0;
        log.info({ identity }, "leading");
        this.#isLeader = true;
        this.#leader = identity;
        try {
          await term(lead, (over) => this.#until(lease, over), signal);
        } finally {
          this.#isLeader = false;
          this.#leader = undefined;
          log.info({ identity }, "not leading any more");
          // Lets another lead at once; if it can't be told, the lease expires.
          await lease.revoke().catch((err: unknown) => log.info({ err }, "the lease could not be given back"));
        }
      } catch (e) {
        if (signal.aborted) return;
        if (!(e instanceof StoreError)) throw e;
        const problem = fullMessage(e);
        if (this.#problem === undefined) log.warn({ problem }, "the store can't be asked who leads");
        this.#problem = problem;
        await sleep(clock, backoffDelay(RETRY, failures++, random), signal).catch(() => undefined); // aborted: seen above
      }
    }
  }

  /** Resolves when nobody leads. */
  async #vacant(signal: AbortSignal): Promise<void> {
    const { store } = this.#options;
    await using watch = store.snapshotAndWatch(LEADER_KEY, { signal });
    for await (const item of watch) {
      signal.throwIfAborted();
      const change = item.changes.find((c) => c.key === LEADER_KEY);
      if (item.kind === "changes" && !change) continue;
      const entry = item.kind === "snapshot" ? item.entries.find((e) => e.key === LEADER_KEY) : change?.new;
      this.#leader = identityOf(entry?.value);
      this.#problem = undefined;
      if (!entry) return;
    }
    signal.throwIfAborted();
    throw new StoreError("UNAVAILABLE", "the store was closed");
  }

  /** Undefined: somebody was faster. */
  async #take(signal: AbortSignal): Promise<Lease | undefined> {
    const { store, identity, log } = this.#options;
    const lease = await store.lease(LEASE_SECONDS, { signal });
    let taken = false;
    try {
      const value = encodeVersioned(1, { identity });
      const compare = [{ key: LEADER_KEY, revision: undefined }];
      taken = (await store.txn(compare, [{ op: "put", key: LEADER_KEY, value, lease }], { signal })).succeeded;
    } finally {
      // Also when the answer was lost: with the lease goes what was perhaps written.
      if (!taken) await lease.revoke().catch((err: unknown) => log.info({ err }, "a lease could not be given back"));
    }
    return taken ? lease : undefined;
  }

  /** Resolves when the lease is lost, or the signal aborts. */
  #until(lease: Lease, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener("abort", () => resolve(), { once: true });
      void lease.lost.then(resolve);
    });
  }
}

function identityOf(value: Uint8Array | undefined): string | undefined {
  try {
    return value && decodeVersioned(LEADER_KEY, value, 1, leaderRecord).identity;
  } catch {
    return "(unreadable)";
  }
}
