import { once } from "node:events";
import type { Socket } from "node:net";
import { fullMessage, toError } from "../../base/errors/errors.ts";
import { Tasks } from "../../base/tasks/tasks.ts";
import { type Position, StoreError } from "../api/store.ts";
import { checkTtl, checkTxn } from "../common/checks.ts";
import type { FeedEvent } from "../common/feed.ts";
import { checkKey } from "../common/keys.ts";
import type { EmbeddedEngine, Subscription } from "./engine.ts";
import { encodeFrame, FrameDecoder } from "./frames.ts";
import { eventToWire, parseRequest, type Request, type Response, type Results, slices, toWire } from "./protocol.ts";
import type { StateWrite } from "./state.ts";

/** Requests of one connection under way at once; more are left in the socket. */
const MAX_REQUESTS = 256;

/** One client's connection, on the server's side. Ends with its socket; whatever its client held stays until it expires. */
export class Session {
  readonly #socket: Socket;
  readonly #engine: EmbeddedEngine;
  readonly #tasks: Tasks;
  readonly #watches = new Map<number, () => void>();
  #error: Error | undefined;
  #underWay = 0;

  constructor(socket: Socket, engine: EmbeddedEngine) {
    this.#socket = socket;
    this.#engine = engine;
    this.#tasks = new Tasks((e) => this.destroy(e));
  }

  /** Rejects if the connection had to be closed for what its client sent. */
  async run(): Promise<void> {
    const decoder = new FrameDecoder();
    this.#socket.on("data", (chunk: Buffer) => {
      try {
        for (const message of decoder.push(chunk)) this.#accept(parseRequest(message));
      } catch (e) {
        this.destroy(toError(e));
      }
    });
    this.#socket.on("error", () => undefined); // the peer went away: "close" follows
    if (!this.#socket.closed) await new Promise<void>((resolve) => this.#socket.once("close", () => resolve()));
    for (const cancel of this.#watches.values()) cancel();
    await this.#tasks.close();
    if (this.#error) throw this.#error;
  }

  destroy(error?: Error): void {
    this.#error ??= error;
    this.#socket.destroy();
  }

  #accept(request: Request): void {
    const counted = request.op === "watch" ? 0 : 1; // watches last, and cost no more than their prefix holds
    this.#underWay += counted;
    if (this.#underWay >= MAX_REQUESTS) this.#socket.pause();
    this.#tasks.run(request.op, async () => {
      try {
        const result = await this.#perform(request);
        await this.#send({ id: request.id, kind: "done", result });
      } catch (e) {
        const code = e instanceof StoreError ? e.code : "UNAVAILABLE";
        await this.#send({ id: request.id, kind: "failed", code, message: fullMessage(e) });
      } finally {
        this.#underWay -= counted;
        if (this.#underWay < MAX_REQUESTS) this.#socket.resume();
      }
    });
  }

  async #perform(request: Request): Promise<Results[keyof Results]> {
    switch (request.op) {
      case "get": {
        checkKey(request.key);
        const entry = await this.#engine.get(request.key);
        return entry ? { entry: toWire(entry) } : {};
      }
      case "list":
        for (const entries of slices((await this.#engine.list(request.prefix)).map(toWire))) {
          await this.#send({ id: request.id, kind: "part", entries });
        }
        return {};
      case "txn":
        return this.#txn(request);
      case "grant":
        return { lease: await this.#engine.grant(checkTtl(request.ttl)) };
      case "renew":
        return { alive: await this.#engine.renew(request.lease) };
      case "revoke":
        await this.#engine.revoke(request.lease);
        return {};
      case "watch":
        await this.#watch(request);
        return {};
      case "unwatch":
        this.#watches.get(request.watch)?.();
        return {};
      case "ping":
        await this.#engine.ping();
        return {};
    }
  }

  #txn(request: Request & { op: "txn" }): Promise<Results["txn"]> {
    const compare = request.compare.map(([key, revision]) => ({ key, revision: revision ?? undefined }));
    const writes = request.writes.map(
      ([key, value, lease]): StateWrite => ({
        key,
        value: value === null ? undefined : Buffer.from(value, "base64"),
        lease,
      }),
    );
    checkTxn(
      compare,
      writes.map(({ key, value }) => (value ? { op: "put", key, value } : { op: "delete", key })),
    );
    return this.#engine.txn(compare, writes);
  }

  /** Sends until the client unwatches or is gone. A slow client gets changes merged per key. */
  async #watch(request: Request & { op: "watch" }): Promise<void> {
    const { id, prefix, resume, seen } = request;
    const outbox = new Outbox();
    const cancelled = new AbortController();
    const cancel = () => {
      cancelled.abort();
      outbox.wake();
    };
    this.#watches.set(id, cancel);
    let subscription: Subscription | undefined;
    try {
      subscription = await this.#engine.subscribe(prefix, { resume, seen }, ({ events }, at) => outbox.put(events, at));
      const { start } = subscription;
      if (start.kind === "snapshot") {
        for (const entries of slices(start.entries.map(toWire))) await this.#send({ id, kind: "part", entries });
        await this.#send({ id, kind: "snapshot", position: start.position, rewound: start.rewound });
      } else {
        outbox.putFirst(start.commits.flatMap((c) => c.events));
        await this.#send({ id, kind: "resumed", position: resume ?? start.position });
        outbox.position ??= start.position;
      }
      while (!cancelled.signal.aborted && !this.#socket.destroyed) {
        const { events, position } = await outbox.take();
        // Only the last part has a position: the client applies and resumes whole steps.
        const parts = [...slices(events.map(eventToWire))];
        for (const [i, part] of parts.entries()) {
          const last = i === parts.length - 1 && position !== undefined;
          await this.#send({ id, kind: "events", events: part, ...(last && { position }) });
        }
      }
    } finally {
      subscription?.cancel();
      this.#watches.delete(id);
    }
  }

  /** Resolves when the socket takes more. */
  async #send(response: Response): Promise<void> {
    if (this.#socket.destroyed) return;
    if (this.#socket.write(encodeFrame(response))) return;
    const ended = new AbortController();
    const onClose = () => ended.abort();
    this.#socket.once("close", onClose);
    try {
      await once(this.#socket, "drain", { signal: ended.signal });
    } catch {
      // closed meanwhile
    } finally {
      this.#socket.off("close", onClose);
    }
  }
}

/** What waits for a client: one state per key, in the order of the last change. */
class Outbox {
  #events = new Map<string, FeedEvent>();
  position: Position | undefined;
  #wake: (() => void) | undefined;

  put(events: Iterable<FeedEvent>, position: Position): void {
    this.#merge(events);
    this.position = position; // alone it is not worth a frame: it goes with the next events
    if (this.#events.size > 0) this.wake();
  }

  /** Events older than all that wait. */
  putFirst(events: Iterable<FeedEvent>): void {
    const later = [...this.#events.values()];
    this.#events.clear();
    this.#merge(events);
    this.#merge(later);
  }

  wake(): void {
    this.#wake?.();
    this.#wake = undefined;
  }

  async take(): Promise<{ events: FeedEvent[]; position: Position | undefined }> {
    if (this.#events.size === 0) await new Promise<void>((resolve) => (this.#wake = resolve));
    const events = [...this.#events.values()];
    const position = this.position;
    this.#events = new Map();
    this.position = undefined;
    return { events, position };
  }

  #merge(events: Iterable<FeedEvent>): void {
    for (const event of events) {
      this.#events.delete(event[0]);
      this.#events.set(event[0], event);
    }
  }
}
