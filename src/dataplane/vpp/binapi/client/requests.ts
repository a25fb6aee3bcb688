import type { Clock, Duration } from "../../../../base/clock/clock.ts";
import { DeadlineError, OverloadedError, toError } from "../../../../base/errors/errors.ts";
import type { MessageValue } from "../codec/codecs.ts";
import { VppDisconnectedError } from "../errors.ts";
import { Abandoned } from "./abandoned.ts";
import type { BoundRequest } from "./bindings.ts";
import { Deadlines } from "./deadlines.ts";
import { type Pending, PendingTable } from "./pending.ts";
import { Fifo } from "./queue.ts";

export interface ConnectionLimits {
  /** Requests that VPP has and has not answered; the next ones wait here. Bounds what VPP buffers for us. */
  readonly window: number;
  /** Requests that may wait; one more is refused with `OverloadedError`. */
  readonly queue: number;
}

/** What a request needs besides its value. */
export interface StartOptions {
  /** Receives a dump's elements. */
  readonly element?: Pending["element"] | undefined;
  readonly timeout: Duration;
  readonly signal?: AbortSignal | undefined;
  /** Does not wait for its turn. */
  readonly urgent?: boolean;
}

/** How requests get out. */
export interface RequestSink {
  /** Whether the socket takes more. */
  readonly ready: boolean;
  /** Writes the request, its context set by {@link Requests.issue}. Throws when its value does not fit. */
  send(p: Pending): void;
}

/** All requests of a connection, from the call to the end: waiting for a turn, then for VPP. */
export class Requests {
  readonly #clock: Clock;
  readonly #limits: ConnectionLimits;
  readonly #sink: RequestSink;
  readonly #pending = new PendingTable();
  readonly #waiting = new Fifo<Pending>();
  readonly #deadlines: Deadlines;
  readonly #abandoned = new Abandoned((pending, reason) => {
    for (const p of pending) this.fail(p, reason);
    this.pump();
  });
  #error: Error | undefined;

  constructor(clock: Clock, limits: ConnectionLimits, sink: RequestSink) {
    this.#clock = clock;
    this.#limits = limits;
    this.#sink = sink;
    this.#deadlines = new Deadlines(clock, (now) => this.#expire(now));
  }

  /** Resolves with the final reply. */
  start(request: BoundRequest, value: MessageValue, options: StartOptions): Promise<MessageValue> {
    return new Promise((resolve, reject) => {
      const { element, timeout, signal, urgent } = options;
      if (signal?.aborted) throw toError(signal.reason);
      if (this.#error) throw new VppDisconnectedError(request.name, false, { cause: this.#error });
      const deadline = this.#clock.now() + timeout;
      const p: Pending = {
        request,
        value,
        element,
        deadline,
        timeout,
        resolve,
        reject,
        signal,
        context: 0,
        ended: false,
      };
      if (urgent || (this.#waiting.length === 0 && this.#maySend())) this.#send(p);
      else if (this.#waiting.length < this.#limits.queue) this.#waiting.push(p);
      else throw new OverloadedError(`the queue of requests to VPP (${request.name})`, this.#limits.queue);
      if (signal && !p.ended) this.#abandoned.watch(p, signal);
      this.#deadlines.arm(deadline);
    });
  }

  /** The request that an answer belongs to. */
  get(context: number): Pending | undefined {
    return this.#pending.get(context);
  }

  /** Whether an answer without a request comes late, rather than to something that was never asked. */
  wasUsed(context: number): boolean {
    return this.#pending.wasUsed(context);
  }

  /** Gives a request its context, once it is sure to be sent. */
  issue(p: Pending): void {
    this.#pending.add(p);
  }

  succeed(p: Pending, reply: MessageValue): void {
    if (this.#end(p)) p.resolve(reply);
  }

  fail(p: Pending, error: Error): void {
    if (this.#end(p)) p.reject(error);
  }

  /** Sends what waits, as far as it may be sent. */
  pump(): void {
    while (this.#waiting.length > 0 && this.#maySend()) {
      const p = this.#waiting.shift();
      if (p && !p.ended) this.#send(p);
    }
  }

  /** The connection is gone: everything fails, now and from now on. */
  close(error: Error): void {
    this.#error = error;
    this.#deadlines.cancel();
    for (const list of [this.#pending, this.#waiting]) {
      for (const p of list) this.fail(p, new VppDisconnectedError(p.request.name, p.context !== 0, { cause: error }));
    }
  }

  #maySend(): boolean {
    return this.#pending.size < this.#limits.window && this.#sink.ready && !this.#pending.full;
  }

  #send(p: Pending): void {
    try {
      this.#sink.send(p);
    } catch (e) {
      this.fail(p, toError(e));
    }
  }

  #expire(now: number): number {
    let next = Number.POSITIVE_INFINITY;
    for (const list of [this.#pending, this.#waiting]) {
      for (const p of list) {
        if (p.ended) continue;
        if (p.deadline > now) next = Math.min(next, p.deadline);
        else this.fail(p, new DeadlineError(`VPP's answer to ${p.request.name}`, p.timeout));
      }
    }
    this.pump();
    return next;
  }

  /** Every request ends here, once. */
  #end(p: Pending): boolean {
    if (p.ended) return false;
    p.ended = true;
    this.#pending.delete(p);
    this.#abandoned.forget(p);
    return true;
  }
}
