import type { IEvent, IRangeResponse, IWatchRequest, IWatchResponse } from "etcd3";
import { backoffDelay } from "../../base/backoff/backoff.ts";
import { type Duration, millis, sleep, type Timer } from "../../base/clock/clock.ts";
import { toError } from "../../base/errors/errors.ts";
import { type Position, StoreError } from "../api/store.ts";
import type { Feed, FeedEvent } from "../common/feed.ts";
import type { EtcdCaller } from "./caller.ts";
import type { EtcdConnection, RawStream } from "./connection.ts";
import { outOfRange, toStoreError } from "./errors.ts";
import type { KeyMapper } from "./keys.ts";
import { type EtcdPosition, formatPosition, isBehind, parsePosition, readSnapshot } from "./snapshot.ts";

const BACKOFF = { first: millis(50), max: millis(2000), jitter: 0.3 };

/** The watch can't go on from where it was. */
class HistoryLost extends Error {
  readonly rewound: boolean;

  constructor(why: string, rewound: boolean) {
    super(why);
    this.rewound = rewound;
  }
}

export interface EtcdWatchOptions {
  readonly caller: EtcdCaller;
  readonly keys: KeyMapper;
  readonly prefix: string;
  readonly feed: Feed;
  readonly heartbeat: Duration;
  readonly seen?: Position | undefined;
}

type WatchStream = RawStream<IWatchRequest, IWatchResponse>;

/**
 * Feeds one watch: a snapshot, then a stream from the revision after it, taken up again at the revision after the last
 * complete one whenever the stream ends. When that revision is compacted, or the store turns out to have another history,
 * the next snapshot supplies the differences.
 */
export class EtcdWatch {
  readonly #options: EtcdWatchOptions;
  /** Everything up to here is in the feed. */
  #position: EtcdPosition | undefined;
  /** The latest written entry known, as a sample of the history. */
  #newest: { readonly key: string; readonly revision: string } | undefined;

  #seen: EtcdPosition | undefined;
  /** Whether the store took the watch since it was last tried. */
  #established = false;

  constructor(options: EtcdWatchOptions) {
    this.#options = options;
    this.#seen = options.seen === undefined ? undefined : parsePosition(options.seen);
  }

  /** Runs until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { caller, feed, prefix } = this.#options;
    let rewound = false;
    for (let attempt = 0; !signal.aborted; attempt++) {
      this.#established = false;
      try {
        if (!this.#position) await this.#snapshot(rewound, signal);
        else await this.#verify(this.#position, signal);
        rewound = false;
        await this.#stream(signal);
      } catch (e) {
        if (signal.aborted) return;
        feed.disconnected();
        if (this.#established) attempt = 0;
        if (e instanceof HistoryLost) {
          caller.options.log.warn({ prefix, err: e }, "etcd watch reads a new snapshot");
          this.#position = undefined;
          rewound ||= e.rewound;
          continue;
        }
        // Told once; until it is back the same again and again is for those who look closely.
        caller.options.log[attempt === 0 ? "warn" : "debug"]({ prefix, err: toError(e) }, "etcd watch interrupted");
      }
      await sleep(caller.options.clock, backoffDelay(BACKOFF, attempt), signal).catch(() => undefined);
    }
  }

  async #snapshot(lost: boolean, signal: AbortSignal): Promise<void> {
    const { caller, keys, prefix, feed } = this.#options;
    const { kvs, position } = await readSnapshot(caller, keys, prefix, { signal });
    const rewound = lost || isBehind(position, this.#seen);
    this.#seen = undefined;
    let newest = kvs[0];
    for (const kv of kvs) if (newest && BigInt(kv.mod_revision) > BigInt(newest.mod_revision)) newest = kv;
    this.#newest = newest && { key: keys.fromEtcd(newest.key), revision: newest.mod_revision };
    this.#position = position;
    feed.snapshot(
      kvs.map((kv) => keys.entry(kv)),
      formatPosition(position),
      { rewound },
    );
  }

  /**
   * Whether the store's history is still the one that was seen. A data directory restored from a backup may have grown
   * past our revision again, with other content; then a sample of what we know will not be in it.
   */
  async #verify(position: EtcdPosition, signal: AbortSignal): Promise<void> {
    const { caller, keys, feed } = this.#options;
    const newest = this.#newest;
    if (!newest) return;
    const request = { key: keys.toEtcd(newest.key), revision: String(position.revision) };
    let response: IRangeResponse;
    try {
      response = await caller.unary<IRangeResponse>("KV", "range", request, `get ${newest.key}`, { signal });
    } catch (e) {
      const why = outOfRange(e);
      if (why === undefined) throw e;
      throw new HistoryLost(`revision ${position.revision} is ${why}`, why === "future");
    }
    const kv = response.kvs[0];
    const known = feed.known(newest.key);
    if (kv?.mod_revision !== newest.revision || (known && !kv.value.equals(known.value))) {
      throw new HistoryLost(`the store has another ${newest.key} at revision ${position.revision}`, true);
    }
  }

  /** Never resolves but when the signal aborts. */
  async #stream(signal: AbortSignal): Promise<void> {
    const { caller, prefix } = this.#options;
    const since = caller.options.clock.now();
    const connection = await caller.connection();
    const ended = AbortSignal.any([signal, connection.retired]);
    ended.throwIfAborted();
    const stream = await connection.stream<IWatchRequest, IWatchResponse>("Watch", "watch", ended);
    try {
      ended.throwIfAborted();
      await this.#consume(connection, stream, ended);
    } catch (e) {
      const error = toStoreError(e, `etcd ${connection.endpoint}: watch ${prefix}`);
      if (!signal.aborted) caller.report(connection, since, error);
      throw error;
    } finally {
      stream.cancel();
    }
  }

  #consume(connection: EtcdConnection, stream: WatchStream, ended: AbortSignal): Promise<never> {
    const { caller, keys, prefix, heartbeat } = this.#options;
    const { clock, requestTimeout } = caller.options;
    const { promise, reject } = Promise.withResolvers<never>();
    let timer: Timer | undefined;
    const expectAnswer = (what: string) => {
      const since = clock.now();
      timer = clock.schedule(requestTimeout, () => {
        const error = new StoreError("UNAVAILABLE", `etcd: watch ${prefix}: ${what} within ${requestTimeout} ms`);
        caller.report(connection, since, error);
        reject(error);
      });
    };
    const ask = () => {
      stream.write({ progress_request: {} });
      expectAnswer("no sign of life");
    };
    const onEnded = () => reject(ended.reason);
    ended.addEventListener("abort", onEnded, { once: true });
    stream.on("error", reject);
    stream.on("end", () => reject(new StoreError("UNAVAILABLE", `etcd: watch ${prefix}: the stream ended`)));
    const fragments: IEvent[] = [];
    stream.on("data", (response) => {
      if (ended.aborted) return;
      try {
        this.#receive(response, fragments);
      } catch (e) {
        reject(toError(e));
        return;
      }
      timer?.cancel();
      if (response.created) ask();
      else timer = clock.schedule(heartbeat, ask);
    });
    const start = (this.#position as EtcdPosition).revision + 1n;
    stream.write({ create_request: { ...keys.range(prefix), start_revision: String(start), fragment: true } });
    expectAnswer("not created");
    return promise.finally(() => {
      timer?.cancel();
      ended.removeEventListener("abort", onEnded);
    });
  }

  #receive(response: IWatchResponse, fragments: IEvent[]): void {
    const { keys, feed } = this.#options;
    const position = this.#position as EtcdPosition;
    const { header } = response;
    if (response.created) {
      const now = { cluster: header.cluster_id, revision: BigInt(header.revision) };
      if (isBehind(now, position)) throw new HistoryLost(`the store is at revision ${header.revision}`, true);
      this.#established = true;
      return; // what was missed comes now: not yet current
    }
    if (BigInt(response.compact_revision) > 0n) {
      throw new HistoryLost(`revision ${position.revision + 1n} is compacted`, false);
    }
    if (response.canceled) {
      throw new StoreError(
        "UNAVAILABLE",
        `etcd cancelled the watch of ${this.#options.prefix}: ${response.cancel_reason}`,
      );
    }
    // A fragment may end amid a revision; only whole ones are delivered, and resumed after.
    fragments.push(...response.events);
    if (response.fragment) return;
    const events = fragments.splice(0);
    const last = events.at(-1);
    if (last) {
      // Not the header's revision: while a watch catches up that is the store's, with events before it still to come.
      this.#position = { cluster: header.cluster_id, revision: BigInt(last.kv.mod_revision) };
      this.#sample(events);
      const changes = events.map(
        ({ type, kv }): FeedEvent => [keys.fromEtcd(kv.key), type === "Put" ? keys.entry(kv) : undefined],
      );
      feed.changes(changes, formatPosition(this.#position));
    }
    feed.confirm();
  }

  #sample(events: readonly IEvent[]): void {
    const { keys } = this.#options;
    for (const { type, kv } of events) {
      const key = keys.fromEtcd(kv.key);
      if (type === "Put") this.#newest = { key, revision: kv.mod_revision };
      else if (this.#newest?.key === key) this.#newest = undefined;
    }
  }
}
