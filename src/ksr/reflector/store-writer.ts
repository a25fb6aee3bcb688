import { backoffDelay } from "../../base/backoff/backoff.ts";
import { Bell } from "../../base/clock/bell.ts";
import { type Clock, millis, seconds, sleep } from "../../base/clock/clock.ts";
import { fullMessage } from "../../base/errors/errors.ts";
import type { Log } from "../../infra/log/log.ts";
import type { K8sKind } from "../../models/k8s/keys.ts";
import { stamped } from "../../models/k8s/proto/stamp.ts";
import { type Store, StoreError, type WriteOp } from "../../stores/api/store.ts";
import { bytesOf } from "../convert/reflect.ts";
import type { KindState } from "./kind-state.ts";
import type { ReflectorMetrics } from "./metrics.ts";

/** One kind: its state, what is to be written, and what is told about it. */
export interface Kind {
  readonly kind: K8sKind;
  readonly state: KindState;
  /** Since when a key waits to be written, by {@link Clock.now}. */
  readonly due: Map<string, number>;
  /** Likewise for keys that are being written. */
  readonly underWay: Map<string, number>;
  /** When what has not been seen in the store was written, oldest first. */
  readonly written: Map<string, number>;
  /** By key, or what else an odd object is known by. */
  readonly problems: Map<string, string>;
  /** Those that the listing under way has come upon. */
  odd: Set<string> | undefined;
  /** Time of the last complete listing, milliseconds since 1970. */
  listedAt: number | undefined;
}

export interface StoreWriterOptions {
  readonly store: Pick<Store, "bulk">;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: ReflectorMetrics;
  readonly random: () => number;
  /** In the order in which they are written. */
  readonly kinds: readonly Kind[];
  /** Whether what the store has is known well enough to judge what was written. */
  readonly isCurrent: () => boolean;
}

/** What is written in one go; the store cuts it into transactions. */
const BATCH_KEYS = 1024;
const BATCH_BYTES = 1024 * 1024;
const RETRY = { first: millis(100), max: seconds(5) };
/** How long a value that was written may take to be seen in the store before it is written again. */
const UNSEEN = seconds(10);

interface Write {
  readonly it: Kind;
  readonly key: string;
  readonly since: number;
  readonly op: WriteOp;
}

/** Writes what is due, and again until the store has taken it. Holds no values: it asks for them when it writes. */
export class StoreWriter {
  readonly #options: StoreWriterOptions;
  readonly #bell: Bell;
  #ready = false;
  #problem: string | undefined;

  constructor(options: StoreWriterOptions) {
    this.#options = options;
    this.#bell = new Bell(options.clock);
  }

  /** Why the store can't be written. */
  get problem(): string | undefined {
    return this.#problem;
  }

  due(it: Kind, key: string): void {
    if (!it.due.has(key)) it.due.set(key, this.#options.clock.now());
    if (this.#ready) this.#bell.ring(millis(0));
  }

  /** What the store has is known: writing may begin. */
  begin(): void {
    this.#ready = true;
    this.#bell.ring(millis(0));
  }

  /** Until the signal aborts; resolves then. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#options;
    const stop = () => this.#bell.ring(millis(0));
    signal.addEventListener("abort", stop, { once: true });
    try {
      for (let failures = 0; !signal.aborted; ) {
        const batch = this.#ready ? this.#batch() : [];
        if (batch.length === 0) {
          this.#healed(); // what failed has shown in the store all the same
          await this.#bell.wait(UNSEEN);
          this.#giveUpUnseen();
        } else if (await this.#write(batch, signal)) {
          failures = 0;
        } else {
          await sleep(clock, backoffDelay(RETRY, failures++, random), signal);
        }
      }
    } catch (e) {
      if (!signal.aborted) throw e;
    } finally {
      signal.removeEventListener("abort", stop);
      this.#bell.close();
    }
  }

  #batch(): Write[] {
    const { clock } = this.#options;
    const batch: Write[] = [];
    let size = 0;
    for (const it of this.#options.kinds) {
      for (const [key, since] of it.due) {
        if (batch.length === BATCH_KEYS || size >= BATCH_BYTES) return batch;
        it.due.delete(key);
        it.underWay.set(key, since);
        const value = it.state.writing(key);
        size += key.length + (value?.length ?? 0);
        const learned = clock.wall() - (clock.now() - since);
        const op: WriteOp =
          value === undefined ? { op: "delete", key } : { op: "put", key, value: stamped(bytesOf(value), learned) };
        batch.push({ it, key, since, op });
      }
    }
    return batch;
  }

  /** False: the store is not there; all of the batch is due again. */
  async #write(batch: readonly Write[], signal: AbortSignal): Promise<boolean> {
    const { store, metrics } = this.#options;
    try {
      await store.bulk(
        batch.map((b) => b.op),
        { signal },
      );
    } catch (e) {
      signal.throwIfAborted();
      metrics.writeErrors.inc();
      if (!(e instanceof StoreError && e.code === "INVALID")) {
        this.#failed(batch, fullMessage(e));
        return false;
      }
      const [one] = batch;
      if (one && batch.length === 1) {
        this.#refused(one, fullMessage(e));
        return true;
      }
      // The store has tried all of them; who is guilty shows when they are alone.
      for (const [i, write] of batch.entries()) {
        if (await this.#write([write], signal)) continue;
        this.#failed(batch.slice(i + 1), fullMessage(e));
        return false;
      }
      return true;
    }
    this.#succeeded(batch);
    return true;
  }

  #succeeded(batch: readonly Write[]): void {
    const { clock, metrics } = this.#options;
    this.#healed();
    const now = clock.now();
    for (const { it, key, since, op } of batch) {
      it.underWay.delete(key);
      metrics.writes.inc({ kind: it.kind, op: op.op });
      metrics.writeSeconds.observe({ kind: it.kind }, (now - since) / 1000);
      if (!it.state.isUnseen(key)) continue; // seen before the answer came
      it.written.delete(key); // so that it moves to the end
      it.written.set(key, now);
    }
  }

  #healed(): void {
    if (this.#problem !== undefined) this.#options.log.info("the store can be written again");
    this.#problem = undefined;
  }

  #failed(batch: readonly Write[], problem: string): void {
    if (this.#problem === undefined) this.#options.log.error({ problem }, "the store can't be written; trying again");
    this.#problem = problem;
    for (const { it, key, since } of batch) {
      it.state.writeFailed(key);
      it.written.delete(key);
      it.underWay.delete(key);
      it.due.set(key, Math.min(since, it.due.get(key) ?? since));
    }
  }

  /** The store never takes it: trying again would hold up the others. */
  #refused({ it, key }: Write, problem: string): void {
    this.#options.log.error({ key, problem }, "the store refuses an object");
    it.state.writeFailed(key);
    it.underWay.delete(key);
    it.problems.set(key, problem);
  }

  #giveUpUnseen(): void {
    const { clock, isCurrent, kinds } = this.#options;
    if (!isCurrent()) return; // it could not have been seen
    const before = clock.now() - UNSEEN;
    for (const it of kinds) {
      for (const [key, at] of it.written) {
        if (at > before) break;
        it.written.delete(key);
        if (it.state.givenUp(key) === "due") this.due(it, key);
      }
    }
  }
}
