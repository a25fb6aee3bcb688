import { stat } from "node:fs/promises";
import { type Clock, type Duration, seconds, systemClock } from "../../../base/clock/clock.ts";
import { fullMessage } from "../../../base/errors/errors.ts";
import { native } from "../../linux/netlink/native.ts";
import { StatsError } from "./errors.ts";
import type { StatsMemory } from "./memory.ts";
import { StatsSegment } from "./segment.ts";
import type { StatsSnapshot } from "./snapshot.ts";

export interface StatsReaderOptions {
  /** `statseg { socket-name … }` of VPP. */
  readonly socket: string;
  /** For VPP to hand its memory over; 1 s if absent. */
  readonly timeout?: Duration;
  readonly clock?: Clock;
  /** Maps the segment; the addon's `receiveMemory` if absent. */
  readonly receive?: (socket: string, timeoutMs: number) => Promise<StatsMemory>;
}

/**
 * VPP's statistics, whatever life of VPP it is: the segment is mapped at the first reading and again when VPP's socket is
 * another one. Without a VPP, readings are rejected with `NO_SEGMENT`; they need not be asked for again by a timer.
 *
 * The mapping outlives VPP, so the counters of a VPP that was killed stay readable until its successor is there: whoever
 * knows that VPP died calls {@link reopen}.
 */
export class StatsReader implements Disposable {
  readonly #options: StatsReaderOptions;
  readonly #receive: NonNullable<StatsReaderOptions["receive"]>;
  #open: { readonly segment: StatsSegment; readonly socket: string } | undefined;
  #reading: Promise<StatsSnapshot> | undefined;
  /** How often a segment was mapped. */
  opened = 0;

  constructor(options: StatsReaderOptions) {
    this.#options = options;
    this.#receive = options.receive ?? ((socket, timeout) => native().receiveMemory(socket, timeout));
  }

  /** Rejects with {@link StatsError}. Callers at the same time share one reading. */
  snapshot(): Promise<StatsSnapshot> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  /** The next reading maps the segment anew. */
  reopen(): void {
    this.#open?.segment.close();
    this.#open = undefined;
  }

  [Symbol.dispose](): void {
    this.reopen();
  }

  async #read(): Promise<StatsSnapshot> {
    const segment = await this.#segment();
    try {
      return await segment.snapshot();
    } catch (e) {
      // What can't be read now may belong to a VPP that died in the middle of a change.
      if (this.#open?.segment === segment) this.reopen();
      if (e instanceof StatsError) throw e;
      throw new StatsError("CORRUPT", `VPP's statistics can't be read: ${fullMessage(e)}`, { cause: e });
    }
  }

  async #segment(): Promise<StatsSegment> {
    const { socket: path, timeout = seconds(1), clock = systemClock } = this.#options;
    try {
      const socket = await identityOf(path);
      if (this.#open?.socket === socket) return this.#open.segment;
      this.reopen();
      const segment = new StatsSegment(await this.#receive(path, timeout), clock);
      this.#open = { segment, socket };
      this.opened++;
      return segment;
    } catch (e) {
      if (e instanceof StatsError) throw e;
      this.reopen();
      throw new StatsError("NO_SEGMENT", `no statistics from VPP at ${path}: ${fullMessage(e)}`, { cause: e });
    }
  }
}

/** VPP makes its socket at start: another inode, or the same number at another time. */
async function identityOf(path: string): Promise<string> {
  const { dev, ino, ctimeNs } = await stat(path, { bigint: true });
  return `${dev}:${ino}:${ctimeNs}`;
}
