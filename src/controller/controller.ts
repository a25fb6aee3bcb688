import type { Clock, Timer } from "../base/clock/clock.ts";
import { millis, seconds } from "../base/clock/clock.ts";
import { toError } from "../base/errors/errors.ts";
import { type FaultPoint, faultPoint } from "../base/faults/fault-point.ts";
import type { Log } from "../infra/log/log.ts";
import { Counter, Gauge, Histogram, LATENCY_BUCKETS, type Registry } from "../infra/metrics/metrics.ts";
import type { Key } from "../kvscheduler/api/descriptor.ts";
import type { RetryOptions, Scheduler, Txn, TxnResult } from "../kvscheduler/api/scheduler.ts";
import {
  type ControllerEvent,
  type EventOutcome,
  type EventOutput,
  type EventQueue,
  type Handler,
  type HealingEvent,
  isHealing,
  isResync,
  type ResyncEvent,
} from "./api.ts";
import { EventHistory } from "./history.ts";
import { resyncEvent } from "./store-watcher.ts";

/** The part of the local database that the loop needs. */
export interface Memory {
  /** Durable when it resolves. */
  commit(writes: readonly (readonly [string, string | undefined])[]): Promise<void>;
}

export interface ControllerOptions {
  readonly handlers: readonly Handler[];
  readonly scheduler: Scheduler;
  readonly memory: Memory;
  readonly clock: Clock;
  readonly log: Log;
  readonly registry: Registry;
  /** Called after every resync. */
  readonly onSynced?: () => void;
  readonly healing: { readonly afterErrorSeconds: number; readonly periodSeconds: number };
}

const RETRY: RetryOptions = { first: seconds(1), max: seconds(30), attempts: 0 };

/**
 * The agent's event loop: one FIFO, every event through the handlers in order, one scheduler transaction and one commit of
 * the local database per event. Events are handled strictly one after another, so handlers need no locks.
 */
export class Controller implements EventQueue {
  readonly #options: ControllerOptions;
  readonly #queue: ControllerEvent[] = [];
  readonly #history = new EventHistory(500);
  readonly #metrics: ReturnType<typeof createMetrics>;
  #running: Promise<void> | undefined;
  #closed = false;
  #healingDue: Timer | undefined;
  /** A handler failed: what it did not do is found by asking all of them again, not by comparing with the dataplane. */
  #recompute = false;
  #lastResync: ResyncEvent | undefined;
  /** What the local database has refused so far. */
  #owed: ReadonlyMap<string, string | undefined> = new Map();
  #periodic: Timer | undefined;

  constructor(options: ControllerOptions) {
    this.#options = options;
    this.#metrics = createMetrics(options.registry, () => this.#queue.length);
    this.#schedulePeriodicHealing();
  }

  push(event: ControllerEvent): void {
    if (this.#closed) {
      event.dropped?.();
      return;
    }
    this.#queue.push(event);
    this.#wake();
  }

  followUp(event: ControllerEvent): void {
    if (this.#closed) {
      event.dropped?.();
      return;
    }
    this.#queue.unshift(event);
    this.#wake();
  }

  /** The last events, oldest first. */
  history(): ReturnType<EventHistory["list"]> {
    return this.#history.list();
  }

  /** Events that wait. */
  get waiting(): number {
    return this.#queue.length;
  }

  /** Finishes the event in hand and drops those that wait, and whatever comes later. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#healingDue?.cancel();
    this.#periodic?.cancel();
    for (const event of this.#queue.splice(0)) event.dropped?.();
    await this.#running;
  }

  #wake(): void {
    this.#running ??= this.#drain().finally(() => {
      this.#running = undefined;
      if (this.#queue.length > 0) this.#wake();
    });
  }

  async #drain(): Promise<void> {
    // One turn of the event loop between two events: requests that arrived meanwhile can join the next batch.
    for (;;) {
      await new Promise<void>((resolve) => setImmediate(resolve));
      const event = this.#queue.shift();
      if (!event) return;
      while (this.#queue[0] && event.absorb?.(this.#queue[0])) this.#queue.shift();
      await this.#process(event);
    }
  }

  /** Never rejects: whatever goes wrong with an event is the event's outcome. */
  async #process(event: ControllerEvent): Promise<void> {
    const { clock, log } = this.#options;
    const start = clock.now();
    const record = this.#history.begin(event, clock.wall());
    let outcome = "ok";
    try {
      const result = await this.#apply(event);
      const failed = result.txn?.errors.size ?? 0;
      if (result.rememberError) {
        outcome = "not remembered";
        log.error({ err: result.rememberError, event: event.kind }, "local database refused a commit");
      } else if (failed > 0) {
        outcome = `${failed} key(s) failed`;
      }
      if ((failed > 0 || result.rememberError) && event.onFailure !== "own") this.#healAfterError(event);
      record.txn = result.txn?.seq;
    } catch (e) {
      outcome = toError(e).message;
      log.error({ err: e, event: event.describe() }, "event failed");
      this.#recompute = true;
      this.#healAfterError(event);
    }
    const ms = clock.now() - start;
    this.#history.end(record, outcome, ms);
    this.#metrics.events.inc({ kind: event.kind, outcome: outcome === "ok" ? "ok" : "failed" });
    this.#metrics.duration.observe({ kind: event.kind }, ms / 1000);
    log.debug({ event: event.describe(), outcome, ms }, "event handled");
  }

  async #apply(event: ControllerEvent): Promise<EventOutcome> {
    if (isHealing(event)) {
      const txn = await this.#options.scheduler.transact({
        resync: "downstream",
        retry: RETRY,
        description: event.describe(),
      });
      if (txn.record.executed.length > 0) {
        this.#options.log.warn({ ops: txn.record.executed.length, reason: event.reason }, "repaired the dataplane");
      }
      return { txn, rememberError: await this.#remember(new Map()) };
    }
    if (isResync(event)) this.#lastResync = event;
    faultPoint("loop.taken");
    const handlers = this.#options.handlers.filter((h) => isResync(event) || h.handles(event));
    let outcome: EventOutcome;
    try {
      const output = new Output();
      for (const handler of handlers) {
        if (isResync(event)) await handler.resync(event, output);
        else await handler.update(event, output);
      }
      faultPoint("loop.planned");
      outcome = await this.#commit(event, output);
    } catch (e) {
      for (const handler of handlers) handler.failed?.(event, toError(e));
      throw e;
    }
    faultPoint("loop.committed");
    for (const handler of handlers) await handler.finish?.(event, outcome);
    if (isResync(event)) this.#options.onSynced?.();
    return outcome;
  }

  /** The transaction and the local commit run side by side: a crash between them is repaired by the next resync. */
  async #commit(event: ControllerEvent, output: Output): Promise<EventOutcome> {
    const retry = event.retry === undefined ? RETRY : event.retry;
    const txn: Txn = {
      changes: output.items,
      description: event.describe(),
      ...(isResync(event) ? { resync: "full" as const } : {}),
      ...(retry ? { retry } : {}),
    };
    const applied: Promise<TxnResult | undefined> =
      output.items.size > 0 || isResync(event)
        ? this.#options.scheduler.transact(txn).then(after("loop.applied"))
        : Promise.resolve(undefined);
    const [txnEnd, rememberEnd] = await Promise.allSettled([applied, this.#remember(output.memory)]);
    if (txnEnd.status === "rejected") throw txnEnd.reason;
    return { txn: txnEnd.value, rememberError: rememberEnd.status === "fulfilled" ? rememberEnd.value : undefined };
  }

  /** With what was refused before; resolves to the error. */
  async #remember(writes: ReadonlyMap<string, string | undefined>): Promise<Error | undefined> {
    const all = new Map([...this.#owed, ...writes]);
    if (all.size === 0) return undefined;
    try {
      await this.#options.memory.commit([...all]);
      this.#owed = new Map();
      faultPoint("loop.remembered");
      return undefined;
    } catch (e) {
      this.#owed = all;
      return toError(e);
    }
  }

  #healAfterError(event: ControllerEvent): void {
    if (this.#healingDue || this.#closed) return;
    const { clock, healing } = this.#options;
    this.#healingDue = clock.schedule(seconds(healing.afterErrorSeconds), () => {
      this.#healingDue = undefined;
      const reason = `after "${event.describe()}" failed`;
      const again = this.#recompute ? this.#lastResync : undefined;
      this.#recompute = false;
      this.push(again ? resyncEvent(reason, again.entries) : healingEvent(reason));
    });
  }

  #schedulePeriodicHealing(): void {
    const { clock, healing } = this.#options;
    if (healing.periodSeconds <= 0) return;
    this.#periodic = clock.schedule(millis(healing.periodSeconds * 1000), () => {
      if (this.#closed) return;
      this.push(healingEvent("periodic comparison"));
      this.#schedulePeriodicHealing();
    });
  }
}

function after(point: FaultPoint) {
  return <T>(value: T): T => {
    faultPoint(point);
    return value;
  };
}

export function healingEvent(reason: string): HealingEvent {
  return {
    kind: "healing",
    reason,
    describe: () => `healing: ${reason}`,
    // Two comparisons in a row find no more than one.
    absorb: isHealing,
  };
}

class Output implements EventOutput {
  readonly items = new Map<Key, unknown>();
  readonly memory = new Map<string, string | undefined>();

  put(key: Key, value: unknown): void {
    this.items.set(key, value);
  }

  delete(key: Key): void {
    this.items.set(key, undefined);
  }

  remember(key: string, value: string | undefined): void {
    this.memory.set(key, value);
  }
}

function createMetrics(registry: Registry, waiting: () => number) {
  const registers = [registry];
  new Gauge({
    name: "heddle_controller_queue_length",
    help: "Events that wait in the loop",
    registers,
    collect() {
      this.set(waiting());
    },
  });
  return {
    events: new Counter({
      name: "heddle_controller_events_total",
      help: "Events handled",
      labelNames: ["kind", "outcome"],
      registers,
    }),
    duration: new Histogram({
      name: "heddle_controller_event_seconds",
      help: "Time from taking an event to the end of its transaction",
      labelNames: ["kind"],
      buckets: LATENCY_BUCKETS,
      registers,
    }),
  };
}
