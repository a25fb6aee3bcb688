import { backoffDelay } from "../../base/backoff/backoff.ts";
import { type Clock, type Duration, millis, seconds, sleep } from "../../base/clock/clock.ts";
import { fullMessage } from "../../base/errors/errors.ts";
import type { Log } from "../../infra/log/log.ts";
import { type Election, term } from "../election/api.ts";
import { type KubeClient, KubeError } from "./client.ts";
import { type LeaseRecord, leaseRecord, microTime, withRecord } from "./lease.ts";

export interface LeaseElectionOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Log;
  /** Of the Lease object. */
  readonly namespace: string;
  readonly name: string;
  /** Must not be another process's. */
  readonly identity: string;
  readonly random?: () => number;
}

// As client-go's defaults: a leader that can't renew stops well before another takes over.
const LEASE_SECONDS = 15;
const RENEW_DEADLINE = seconds(10);
const RETRY_PERIOD = seconds(2);
const REQUEST_TIMEOUT = seconds(5);

/**
 * Election by a Lease of the Kubernetes API, as client-go does it: a lease counts as expired when its record hasn't changed
 * for its duration by our own clock, so that clocks needn't agree.
 */
export class LeaseElection implements Election {
  readonly #options: LeaseElectionOptions;
  readonly #path: string;
  #isLeader = false;
  #problem: string | undefined;
  /** While leading: the lease is not what we made of it, but what it was before, or is gone. */
  #rewound = false;
  #observed: { readonly record: LeaseRecord; readonly at: number } | undefined;

  constructor(options: LeaseElectionOptions) {
    this.#options = options;
    this.#path = `/apis/coordination.k8s.io/v1/namespaces/${options.namespace}/leases`;
  }

  get isLeader(): boolean {
    return this.#isLeader;
  }

  get leader(): string | undefined {
    return this.#observed?.record.holder;
  }

  get problem(): string | undefined {
    return this.#problem;
  }

  async run(lead: (signal: AbortSignal) => Promise<void>, signal: AbortSignal): Promise<void> {
    const { clock, log, identity } = this.#options;
    try {
      while (!signal.aborted) {
        const asked = clock.now();
        if (!(await this.#try(signal))) {
          await sleep(clock, this.#jittered(RETRY_PERIOD), signal);
          continue;
        }
        log.info({ identity }, "leading");
        this.#isLeader = true;
        try {
          await term(lead, (over) => this.#keep(asked, over), signal);
        } finally {
          this.#isLeader = false;
          log.info({ identity }, "not leading any more");
        }
      }
    } catch (e) {
      if (!signal.aborted) throw e;
    } finally {
      await this.#release();
    }
  }

  /**
   * Renews until that has not succeeded for too long, or the API has other data than it had, as when a backup was restored:
   * versions of objects mean nothing then, so that whoever leads has to begin anew.
   */
  async #keep(since: number, signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    let renewed = since;
    for (this.#rewound = false; ; ) {
      const left = renewed + RENEW_DEADLINE - clock.now();
      await sleep(clock, millis(Math.max(0, Math.min(RETRY_PERIOD, left))), signal);
      const asked = clock.now();
      if (asked - renewed >= RENEW_DEADLINE) return;
      if (await this.#try(signal, millis(renewed + RENEW_DEADLINE - asked))) renewed = asked;
      else if (this.leader !== this.#options.identity) return; // somebody else holds it: no use in waiting
      if (this.#rewound) {
        this.#options.log.warn("the lease is not as we left it: the API's data was restored, or somebody meddles");
        return;
      }
    }
  }

  #jittered(period: Duration): Duration {
    return backoffDelay({ first: period, max: period }, 0, this.#options.random);
  }

  /** Takes or renews the lease. False: somebody else has it, or the server can't be asked. */
  async #try(signal: AbortSignal, within: Duration = REQUEST_TIMEOUT): Promise<boolean> {
    try {
      const held = await this.#takeOrRenew(signal, millis(Math.min(within, REQUEST_TIMEOUT) / 2));
      this.#problem = undefined;
      return held;
    } catch (e) {
      signal.throwIfAborted();
      if (!(e instanceof KubeError)) throw e;
      if (e.code === "CONFLICT") return false; // somebody was faster
      const problem = fullMessage(e);
      if (this.#problem === undefined) this.#options.log.warn({ err: e }, "the lease can't be had or renewed");
      this.#problem = problem;
      return false;
    }
  }

  async #takeOrRenew(signal: AbortSignal, timeout: Duration): Promise<boolean> {
    const { client, clock, identity, namespace, name } = this.#options;
    const path = `${this.#path}/${name}`;
    const now = microTime(clock.wall());
    const mine: LeaseRecord = {
      holder: identity,
      durationSeconds: LEASE_SECONDS,
      acquired: now,
      renewed: now,
      transitions: 0,
    };
    const found = await this.#get(path, signal, timeout);
    const last = this.#observed?.record;
    const kept = found === undefined ? undefined : leaseRecord(found);
    if (last?.holder === identity && (kept?.renewed ?? "") < (last.renewed ?? "")) this.#rewound = true;
    if (found === undefined) {
      const body = withRecord({ metadata: { namespace, name } }, mine);
      this.#observe(await client.json({ method: "POST", path: this.#path, body, signal, timeout }));
      return true;
    }
    const { record, at } = this.#observe(found);
    const isOurs = record.holder === identity;
    if (!isOurs && record.holder !== undefined && clock.now() < at + record.durationSeconds * 1000) return false;
    const next: LeaseRecord = isOurs
      ? { ...mine, acquired: record.acquired, transitions: record.transitions }
      : { ...mine, transitions: record.transitions + 1 };
    this.#observe(await client.json({ method: "PUT", path, body: withRecord(found, next), signal, timeout }));
    return true;
  }

  async #get(path: string, signal: AbortSignal, timeout: Duration): Promise<unknown> {
    try {
      return await this.#options.client.json({ path, signal, timeout });
    } catch (e) {
      if (e instanceof KubeError && e.code === "NOT_FOUND") return undefined;
      throw e;
    }
  }

  #observe(lease: unknown): { readonly record: LeaseRecord; readonly at: number } {
    const record = leaseRecord(lease);
    const last = this.#observed;
    if (last && last.record.holder === record.holder && last.record.renewed === record.renewed) return last;
    this.#observed = { record, at: this.#options.clock.now() };
    return this.#observed;
  }

  /** Lets another lead at once. */
  async #release(): Promise<void> {
    const { client, clock, log, identity, name } = this.#options;
    if (this.leader !== identity) return;
    const path = `${this.#path}/${name}`;
    const signal = new AbortController().signal;
    const timeout = seconds(1);
    try {
      const lease = await client.json({ path, signal, timeout });
      const record = leaseRecord(lease);
      if (record.holder !== identity) return;
      const renewed = microTime(clock.wall());
      const body = withRecord(lease, { ...record, holder: undefined, durationSeconds: 1, renewed });
      await client.json({ method: "PUT", path, body, signal, timeout });
    } catch (e) {
      log.info({ err: e }, "the lease could not be given back; it expires"); // as it would have without this
    }
  }
}
