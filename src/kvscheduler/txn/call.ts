import type { Clock, Duration } from "../../base/clock/clock.ts";
import { ClosedError, DeadlineError, toError } from "../../base/errors/errors.ts";
import type { Key, OpContext } from "../api/descriptor.ts";
import { Deadlines, type Timed } from "./deadlines.ts";

/** Knows the metadata of what is in place. */
export interface MetadataSource {
  metadata(key: Key): unknown;
}

/** How a call ended. `late` is set if the call itself goes on: it settles when that ends. */
export interface CallEnd {
  readonly error?: Error;
  readonly value?: unknown;
  readonly late?: Promise<unknown>;
}

/** One call into a descriptor: the context that it gets, and its place on the deadline wheel. */
class Call implements OpContext, Timed {
  readonly txn: number;
  readonly #source: MetadataSource;
  dueAt = 0;
  previous: Timed | undefined = undefined;
  next: Timed | undefined = undefined;
  /** Set while somebody waits for the end. */
  onExpire: ((error: Error) => void) | undefined = undefined;
  what: (() => string) | undefined = undefined;
  duration = 0 as Duration;
  #controller: AbortController | undefined;
  #aborted: Error | undefined;

  constructor(source: MetadataSource, txn: number) {
    this.#source = source;
    this.txn = txn;
  }

  /** Made when a descriptor first asks for it: most never do. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#aborted !== undefined) this.#controller.abort(this.#aborted);
    }
    return this.#controller.signal;
  }

  metadata<M>(key: Key): M | undefined {
    return this.#source.metadata(key) as M | undefined;
  }

  abort(error: Error): void {
    this.#aborted = error;
    this.#controller?.abort(error);
  }

  expire(): void {
    const error = new DeadlineError(this.what?.() ?? "operation", this.duration);
    this.abort(error);
    this.onExpire?.(error);
  }
}

/** Calls into descriptors: catches what they throw, and stops waiting at the deadline. */
export class Caller {
  readonly #metadata: MetadataSource;
  readonly #clock: Clock;
  readonly #deadlines: Deadlines;
  readonly #running = new Set<Call>();
  #closed = false;

  constructor(metadata: MetadataSource, clock: Clock) {
    this.#metadata = metadata;
    this.#clock = clock;
    this.#deadlines = new Deadlines(clock);
  }

  /**
   * Runs `body`; `done` is called exactly once: at once if `body` does not return a promise.
   */
  start(
    what: () => string,
    txn: number,
    deadline: Duration,
    body: (ctx: OpContext) => unknown,
    done: (end: CallEnd) => void,
    metadata: MetadataSource = this.#metadata,
  ): void {
    const call = new Call(metadata, txn);
    if (this.#closed) {
      done({ error: new ClosedError("scheduler") });
      return;
    }
    let result: unknown;
    let waits: boolean;
    try {
      result = body(call);
      waits = isThenable(result);
    } catch (e) {
      done({ error: toError(e) });
      return;
    }
    if (!waits) {
      done({ value: result });
      return;
    }
    const end = (outcome: CallEnd): void => {
      if (call.onExpire === undefined) return; // ended by its deadline
      call.onExpire = undefined;
      this.#running.delete(call);
      this.#deadlines.remove(call, deadline);
      done(outcome);
    };
    const promise = Promise.resolve(result); // a foreign thenable may do anything; a promise of it cannot
    call.duration = deadline;
    call.onExpire = (error) => {
      call.onExpire = undefined;
      this.#running.delete(call);
      done({ error, late: promise });
    };
    call.what = what;
    this.#running.add(call);
    this.#deadlines.add(call, deadline, this.#clock.now());
    promise.then(
      (value) => end({ value }),
      (e: unknown) => end({ error: toError(e) }),
    );
  }

  /** {@link start} as a promise that never rejects. */
  call(
    what: () => string,
    txn: number,
    deadline: Duration,
    body: (ctx: OpContext) => unknown,
    metadata?: MetadataSource,
  ): Promise<CallEnd> {
    return new Promise((resolve) => this.start(what, txn, deadline, body, resolve, metadata));
  }

  /** Aborts what runs. Calls that ignore their signal end at their deadline. */
  abort(): void {
    this.#closed = true;
    for (const call of this.#running) call.abort(new ClosedError("scheduler"));
  }

  close(): void {
    this.#deadlines.close();
  }
}

function isThenable(x: unknown): x is PromiseLike<unknown> {
  if (typeof x !== "object" || x === null) return false;
  return x instanceof Promise || typeof (x as { then?: unknown }).then === "function";
}
