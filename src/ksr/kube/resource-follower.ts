import { backoffDelay } from "../../base/backoff/backoff.ts";
import { type Clock, type Duration, millis, minutes, seconds, sleep } from "../../base/clock/clock.ts";
import { HeddleError } from "../../base/errors/errors.ts";
import type { Log } from "../../infra/log/log.ts";
import type { Listing, Sink } from "../api.ts";
import { list as listOf, mapping, text } from "../convert/members.ts";
import { keyOf, reflect } from "../convert/reflect.ts";
import { pathOf, type Resource } from "../resources.ts";
import { errorOf, type KubeClient, KubeError } from "./client.ts";
import { isServed } from "./discovery.ts";
import type { KubeMetrics } from "./metrics.ts";

export interface FollowerOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: KubeMetrics;
  readonly random: () => number;
  /** Objects a page; 250 if absent: 2 MB of large pods, 15 ms of parsing. */
  readonly pageSize?: number | undefined;
}

/** Where a follower is; for people. */
export type FollowerState = "absent" | "listing" | "starting" | "waiting" | "watching";

const RETRY = { first: millis(500), max: seconds(30) };
/** A watch that lived as long was no failure. */
const WELL_AFTER = seconds(5);
const MAX_PAGE = 16_000;
/** client-go's: the server ends a watch after five to ten minutes, so that load spreads over servers again. */
const WATCH_SECONDS = 300;
/** What a server is granted beyond the end that it was told. */
const IDLE_SLACK = seconds(15);
/** An optional resource that was missed is looked for again soon, before its objects are taken for gone, then seldom. */
const CONFIRM_AFTER = seconds(30);
const LOOK_AGAIN = minutes(1);

/**
 * Lists and watches one resource of the API, for as long as it is told to. A connection that ends resumes where it was; a
 * server that no longer has the history is listed anew, which finds what vanished meanwhile.
 */
export class ResourceFollower {
  readonly resource: Resource;
  readonly #options: FollowerOptions;
  #state: FollowerState = "starting";
  #problem: string | undefined;
  /** What has been seen; undefined: to be listed. */
  #version: string | undefined;
  #pageSize: number;
  /** How often in a row the cluster didn't have the resource. */
  #missed = 0;
  #failures = 0;
  /** Whether the watch has brought anything. */
  #heard = false;
  /** The server was away: it may be back with the data of a backup. */
  #wasAway = false;

  constructor(resource: Resource, options: FollowerOptions) {
    this.resource = resource;
    this.#options = options;
    this.#pageSize = options.pageSize ?? 250;
  }

  get state(): FollowerState {
    return this.#state;
  }

  /** Why it isn't watching, if something is wrong. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Until the signal aborts; resolves then. */
  async run(sink: Sink, signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    while (!signal.aborted) {
      try {
        const pause = await this.#step(sink, signal);
        if (pause > 0) await sleep(clock, pause, signal);
      } catch (e) {
        if (signal.aborted) return;
        throw e;
      }
    }
  }

  /** One listing if there must be one, and one watch. Returns how long to wait before the next. */
  async #step(sink: Sink, signal: AbortSignal): Promise<Duration> {
    const { clock, client } = this.#options;
    let watchedSince = Number.POSITIVE_INFINITY;
    const isWell = () => this.#heard || clock.now() - watchedSince >= WELL_AFTER;
    this.#heard = false;
    try {
      if (this.resource.optional && this.#version === undefined && !(await isServed(client, this.resource, signal))) {
        return this.#absent(sink);
      }
      this.#missed = 0;
      if (this.#wasAway) await this.#compareVersion(signal);
      if (this.#version === undefined) await this.#list(sink, signal);
      watchedSince = clock.now();
      await this.#watch(sink, signal);
      this.#problem = undefined;
    } catch (e) {
      signal.throwIfAborted();
      if (!(e instanceof KubeError)) throw e;
      this.#failed(e);
      if (isWell()) this.#failures = 0;
      // The first time that history is gone there is nothing to wait for.
      if (e.code === "GONE" && this.#failures++ === 0) return millis(0);
      return this.#delay(e.retryAfter);
    }
    if (isWell()) this.#failures = 0;
    return clock.now() - watchedSince < WELL_AFTER ? this.#delay() : millis(0);
  }

  #delay(atLeast: Duration = millis(0)): Duration {
    this.#state = "waiting";
    return millis(Math.max(atLeast, backoffDelay(RETRY, this.#failures++, this.#options.random)));
  }

  #failed(e: KubeError): void {
    const { log, metrics } = this.#options;
    const { kind } = this.resource;
    metrics.errors.inc({ kind, reason: e.code.toLowerCase() });
    if (e.code === "GONE" || e.code === "NOT_FOUND") this.#version = undefined;
    // The second failure in a row: a connection that only broke is had again at once.
    if (e.code === "UNAVAILABLE" && !this.#heard && this.#failures > 0) this.#wasAway = true;
    if (e.code === "GONE") {
      log.info({ kind, message: e.message }, "history is gone: listing anew");
      return;
    }
    if (this.#problem === undefined) log.warn({ kind, err: e }, "a resource can't be followed; trying again");
    this.#problem = e.message;
  }

  /** What was there counts as gone only when it was missed twice: a server that starts may not serve it yet. */
  #absent(sink: Sink): Duration {
    this.#state = "absent";
    this.#problem = undefined;
    this.#failures = 0;
    this.#missed++;
    sink.list(this.resource.kind).done({ gaps: this.#missed < 2 });
    return this.#missed < 2 ? CONFIRM_AFTER : LOOK_AGAIN;
  }

  /**
   * A server whose data was restored from before what was seen would keep silent until it has caught up. A leader notices
   * by its Lease, too; this needs none.
   */
  async #compareVersion(signal: AbortSignal): Promise<void> {
    const { client, log } = this.#options;
    if (this.#version !== undefined) {
      const page = await client.json({ path: pathOf(this.resource), query: { limit: "1" }, signal });
      const now = text(mapping(mapping(page)["metadata"])["resourceVersion"]);
      if (isBefore(now, this.#version)) {
        log.warn(
          { kind: this.resource.kind, now, seen: this.#version },
          "the API server's data is older: listing anew",
        );
        this.#version = undefined;
      }
    }
    this.#wasAway = false;
  }

  async #list(sink: Sink, signal: AbortSignal): Promise<void> {
    const { client, metrics } = this.#options;
    const path = pathOf(this.resource);
    this.#state = "listing";
    const listing = sink.list(this.resource.kind);
    for (let token: string | undefined, version: string | undefined; ; ) {
      const query = { limit: String(this.#pageSize), ...(token !== undefined && { continue: token }) };
      let page: unknown;
      try {
        page = await client.json({ path, query, signal });
      } catch (e) {
        // The listing took longer than the server keeps history (five minutes): larger pages make it shorter.
        if (e instanceof KubeError && e.code === "GONE") this.#pageSize = Math.min(MAX_PAGE, this.#pageSize * 4);
        throw e;
      }
      const { metadata, items } = mapping(page);
      if (!Array.isArray(items)) throw new KubeError("REFUSED", `GET ${path}: the answer is no list`);
      for (const item of listOf(items)) this.#put(sink, listing, item);
      version = text(mapping(metadata)["resourceVersion"]) ?? version;
      token = text(mapping(metadata)["continue"]);
      if (token !== undefined) continue;
      if (version === undefined) throw new KubeError("REFUSED", `GET ${path}: the list has no resourceVersion`);
      this.#version = version;
      break;
    }
    listing.done();
    metrics.lists.inc({ kind: this.resource.kind });
  }

  async #watch(sink: Sink, signal: AbortSignal): Promise<void> {
    const { client, metrics, random } = this.#options;
    const { kind } = this.resource;
    const timeout = Math.round(WATCH_SECONDS * (1 + random()));
    const query = {
      watch: "true",
      allowWatchBookmarks: "true",
      resourceVersion: this.#version ?? "",
      timeoutSeconds: String(timeout),
    };
    const request = { path: pathOf(this.resource), query, signal };
    metrics.watches.inc({ kind });
    const opened = () => {
      this.#state = "watching";
      this.#problem = undefined;
    };
    const events = client.lines(request, millis(seconds(timeout) + IDLE_SLACK), opened);
    for await (const event of events) {
      const { type, object } = mapping(event);
      metrics.events.inc({ kind, type: EVENT_TYPES.has(String(type)) ? String(type) : "other" });
      if (type === "ERROR") {
        const { code } = mapping(object);
        throw errorOf(request, typeof code === "number" ? code : 500, JSON.stringify(object));
      }
      this.#heard = true;
      if (type === "ADDED" || type === "MODIFIED") this.#put(sink, sink, object);
      if (type === "DELETED") this.#remove(sink, object);
      this.#version = text(mapping(mapping(object)["metadata"])["resourceVersion"]) ?? this.#version;
    }
  }

  #put(sink: Sink, to: Pick<Listing, "put">, object: unknown): void {
    const { kind, id } = this.resource;
    const made = reflect(object, id);
    switch (made.is) {
      case "wish":
        to.put(made.wish);
        sink.problem(kind, made.wish.key, made.problem);
        break;
      case "ignored":
        if (made.key !== undefined) sink.remove(kind, made.key);
        break;
      case "problem":
        sink.problem(kind, subjectOf(object), made.problem);
        break;
    }
  }

  #remove(sink: Sink, object: unknown): void {
    const { kind } = this.resource;
    try {
      sink.remove(kind, keyOf(kind, object));
    } catch (e) {
      if (!(e instanceof HeddleError)) throw e;
      sink.problem(kind, subjectOf(object), undefined); // it was never reflected
    }
  }
}

/** Versions are opaque, but all servers count. */
const isBefore = (a: string | undefined, b: string): boolean =>
  a !== undefined && /^\d+$/.test(a) && /^\d+$/.test(b) && BigInt(a) < BigInt(b);

const EVENT_TYPES = new Set(["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]);

/** What people know an object by that no key can hold. */
function subjectOf(object: unknown): string {
  const { namespace, name } = mapping(mapping(object)["metadata"]);
  return JSON.stringify([namespace, name]);
}
