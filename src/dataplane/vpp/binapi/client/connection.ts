import type { Clock, Duration } from "../../../../base/clock/clock.ts";
import { toError } from "../../../../base/errors/errors.ts";
import type { MessageCodec, MessageValue } from "../codec/codecs.ts";
import type { Cursor } from "../codec/runtime.ts";
import { VppApiError, VppDecodeError, VppProtocolError } from "../errors.ts";
import { retvalOf } from "../retval.ts";
import type { FrameReader } from "../wire/frame.ts";
import type { WireHandlers, WireSocket } from "../wire/socket.ts";
import type { Bindings, BoundMessage, BoundRequest } from "./bindings.ts";
import { DumpMemory, Recollection } from "./dump-memory.ts";
import type { ElementSink, Pending } from "./pending.ts";
import { type ConnectionLimits, Requests, type StartOptions } from "./requests.ts";
import type { TraceRing } from "./trace.ts";

/** What an owner of a connection hears. */
export interface ConnectionEvents {
  event(name: string, value: MessageValue): void;
  /** An event could not be read. The connection goes on. */
  problem(error: Error): void;
  /** Called once; nothing is pending any more. */
  closed(error: Error): void;
}

/** What went over a connection. Only ever grows. */
export interface ConnectionCounters {
  sent: number;
  received: number;
  /** Answers whose request had been given up. */
  late: number;
  /** Messages with a context that this connection never used, or of another type than its request's. */
  foreign: number;
  /** Messages that the API files don't have. */
  unknown: number;
}

const MAX_CURSOR_ROUNDS = 100_000;
/** Of a message: a u32. */
const CONTEXT_SIZE = 4;

const AGAIN = retvalOf("EAGAIN");
const INVALID = retvalOf("INVALID_VALUE");
const NO_CURSOR = 0xffff_ffff;

/**
 * Streams with a cursor (api_helper_macros.h): EAGAIN means that VPP interrupted itself, INVALID_VALUE with the cursor ~0
 * that there is nothing, or nothing any more, to list.
 */
const isInterrupted = (reply: MessageValue): boolean => reply["retval"] === AGAIN;
const isExhausted = (reply: MessageValue): boolean => reply["retval"] === INVALID && reply["cursor"] === NO_CURSOR;

/** Requests and answers over one registered socket. It ends for good; who wants another one opens another one. */
export class VppConnection implements WireHandlers {
  readonly bindings: Bindings;
  readonly counters: ConnectionCounters = { sent: 0, received: 0, late: 0, foreign: 0, unknown: 0 };
  readonly #wire: WireSocket;
  readonly #clock: Clock;
  readonly #events: ConnectionEvents;
  readonly #trace: TraceRing;
  readonly #requests: Requests;
  readonly #memory = new DumpMemory();
  readonly #cursor: Cursor = { b: Buffer.alloc(0), w: new DataView(new ArrayBuffer(0)), o: 0, end: 0 };
  #ended = false;
  #lastReceived: number;

  constructor(
    wire: WireSocket,
    bindings: Bindings,
    deps: { clock: Clock; limits: ConnectionLimits; events: ConnectionEvents; trace: TraceRing },
  ) {
    this.#wire = wire;
    this.bindings = bindings;
    this.#clock = deps.clock;
    this.#events = deps.events;
    this.#trace = deps.trace;
    this.#lastReceived = deps.clock.now();
    this.#requests = new Requests(deps.clock, deps.limits, {
      get ready() {
        return !wire.congested;
      },
      send: (p) => this.#send(p),
    });
  }

  /** Monotonic milliseconds of the last message from VPP. */
  get lastReceived(): number {
    return this.#lastReceived;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** A `control_ping` that does not queue behind other requests. */
  ping(timeout: Duration): Promise<MessageValue> {
    return this.#requests.start(this.bindings.request("control_ping"), {}, { timeout, urgent: true });
  }

  /** One request, one reply. Rejects with `VppApiError` when the retval is not 0. */
  call(request: BoundRequest, value: MessageValue, options: StartOptions): Promise<MessageValue> {
    return this.#requests.start(request, value, options);
  }

  /** A dump: `options.element` gets each one as it arrives. A stream that VPP interrupts is continued from its cursor. */
  async dump(request: BoundRequest, value: MessageValue, options: StartOptions): Promise<void> {
    let cursor: unknown = 0;
    for (let round = 0; round < MAX_CURSOR_ROUNDS; round++) {
      const next = request.needsPing ? value : { ...value, cursor };
      const reply = await this.#requests.start(request, next, options);
      if (request.needsPing || !isInterrupted(reply)) return;
      cursor = reply["cursor"];
    }
    throw new VppProtocolError(`${request.name}: VPP interrupted the stream ${MAX_CURSOR_ROUNDS} times`);
  }

  /** Elements that are as they were are the same objects as the last time that the same was asked for over this connection. */
  async dumpAgain(request: BoundRequest, value: MessageValue, options: StartOptions): Promise<readonly MessageValue[]> {
    const element = this.#memory.recall(`${request.name} ${JSON.stringify(value, textOf)}`);
    await this.dump(request, value, { ...options, element });
    return element.end();
  }

  /** Rejects everything that is pending and closes the socket. Idempotent. */
  close(error: Error): void {
    this.#wire.close(error);
  }

  /** {@link WireHandlers.message}. What it throws ends the connection. */
  message(reader: FrameReader): void {
    const { at, until, w } = reader;
    this.counters.received++;
    const id = w.getUint16(at);
    const bound = this.bindings.byId(id);
    if (!bound) throw new VppProtocolError(`a message of the number ${id}, which VPP never announced`);
    this.#trace.record("from VPP", bound.name, reader.b, at, until, this.#lastReceived);
    const { codec } = bound;
    if (!codec) {
      this.counters.unknown++;
      return;
    }
    const { contextAt, size } = codec.header;
    if (at + size > until) throw new VppProtocolError(`${bound.name} ends inside its header`);
    if (contextAt < 0) this.#event(bound.name, codec, reader);
    else if (bound.name === "memclnt_keepalive") this.#answerKeepalive(w.getUint32(at + contextAt));
    else this.#answer(bound, codec, reader, w.getUint32(at + contextAt));
  }

  /** {@link WireHandlers.batchStart} */
  batchStart(): void {
    this.#lastReceived = this.#clock.now();
  }

  /** {@link WireHandlers.batchEnd} */
  batchEnd(): void {
    this.#requests.pump();
  }

  /** {@link WireHandlers.drained} */
  drained(): void {
    this.#requests.pump();
  }

  /** {@link WireHandlers.closed} */
  closed(error: Error): void {
    this.#ended = true;
    this.#requests.close(error);
    this.#events.closed(error);
  }

  #send(p: Pending): void {
    const { request } = p;
    request.guard?.(p.value);
    const o = this.#wire.writer.begin(request.codec.size(p.value));
    const { b, w } = this.#wire.writer;
    const end = request.codec.encode(b, w, o, p.value);
    this.#requests.issue(p);
    const now = p.deadline - p.timeout;
    this.#complete(request.codec, request.id, o, end, p.context, now);
    if (request.needsPing) this.#sendPing(p.context, now);
    this.#wire.flushSoon();
  }

  /** Under the dump's own context, so that whatever belongs to the dump is found by it. */
  #sendPing(context: number, now: number): void {
    const { id, codec } = this.bindings.request("control_ping");
    const o = this.#wire.writer.begin(codec.header.size);
    this.#complete(codec, id, o, o + codec.header.size, context, now);
  }

  /** Fills the transport's fields in and lets the message go with the next flush. */
  #complete(codec: MessageCodec, id: number, o: number, end: number, context: number, now: number): void {
    const { writer } = this.#wire;
    const { header } = codec;
    writer.w.setUint16(o, id);
    if (header.clientIndexAt >= 0) writer.w.setUint32(o + header.clientIndexAt, this.bindings.clientIndex);
    if (header.contextAt >= 0) writer.w.setUint32(o + header.contextAt, context);
    writer.end(end);
    this.counters.sent++;
    this.#trace.record("to VPP", codec.message.name, writer.b, o, end, now);
  }

  /** With one cursor for all messages. */
  #decode(codec: MessageCodec, reader: FrameReader): MessageValue {
    const cursor = this.#cursor;
    cursor.b = reader.b;
    cursor.w = reader.w;
    cursor.o = reader.at;
    cursor.end = reader.until;
    return codec.decode(cursor);
  }

  #event(name: string, codec: MessageCodec, reader: FrameReader): void {
    try {
      this.#events.event(name, this.#decode(codec, reader));
    } catch (e) {
      if (!(e instanceof VppDecodeError)) throw e;
      this.#events.problem(e);
    }
  }

  #answer(bound: BoundMessage, codec: MessageCodec, reader: FrameReader, context: number): void {
    const p = this.#requests.get(context);
    if (!p) {
      if (this.#requests.wasUsed(context)) this.counters.late++;
      else this.counters.foreign++;
      return;
    }
    const final = bound.id === p.request.replyId;
    if (!final && bound.id !== p.request.elementId) {
      this.counters.foreign++;
      return;
    }
    try {
      if (final) this.#finish(p, this.#decode(codec, reader));
      else this.#element(p.element, codec, reader);
    } catch (e) {
      this.#requests.fail(p, toError(e));
      if (e instanceof VppProtocolError) throw e;
    }
  }

  #element(sink: ElementSink | undefined, codec: MessageCodec, reader: FrameReader): void {
    if (sink instanceof Recollection) {
      const from = reader.at + codec.header.contextAt + CONTEXT_SIZE;
      if (sink.same(reader.b, from, reader.until)) return;
      sink.other(reader.b, from, reader.until, this.#decode(codec, reader));
    } else {
      const value = this.#decode(codec, reader);
      sink?.(value);
    }
  }

  #finish(p: Pending, reply: MessageValue): void {
    const { name, hasRetval, needsPing, elementId } = p.request;
    const retval = hasRetval && !needsPing ? reply["retval"] : 0;
    const ok = retval === 0 || (elementId >= 0 && (isInterrupted(reply) || isExhausted(reply)));
    if (ok) this.#requests.succeed(p, reply);
    else this.#requests.fail(p, new VppApiError(name, Number(retval), reply));
  }

  /** VPP asks clients that it has not heard from for long; one that does not answer is forgotten. */
  #answerKeepalive(context: number): void {
    const id = this.bindings.idOf("memclnt_keepalive_reply");
    if (id === undefined) return;
    const codec = this.bindings.codecs.get("memclnt_keepalive_reply");
    const value = { retval: 0 };
    const o = this.#wire.writer.begin(codec.size(value));
    const { b, w } = this.#wire.writer;
    this.#complete(codec, id, o, codec.encode(b, w, o, value), context, this.#lastReceived);
    this.#wire.flushSoon();
  }
}

/** JSON has no numbers of 64 bits. */
const textOf = (_key: string, value: unknown): unknown => (typeof value === "bigint" ? String(value) : value);
