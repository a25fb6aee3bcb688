import { rm } from "node:fs/promises";
import { backoffDelay } from "../../base/backoff/backoff.ts";
import { type Clock, type Duration, seconds, sleep } from "../../base/clock/clock.ts";
import { OverloadedError, toError } from "../../base/errors/errors.ts";
import { breathe } from "../../base/slice/slice.ts";
import type { StorableTxn } from "../api/history.ts";
import { encodeTxn } from "./encode.ts";
import { gapLine } from "./line.ts";
import { type Item, WriteQueue } from "./queue.ts";
import { append, openSegments, type Segment, segmentAt } from "./segments.ts";

/** What waits is written in pieces of about this size. */
const CHUNK_BYTES = 64 * 1024;
/** Segments that the bound in bytes is divided into: the oldest one goes as a whole. */
const SEGMENTS = 8;

export interface WriterOptions {
  readonly dir: string;
  readonly clock: Clock;
  /** Bounds of what is on the disk. */
  readonly count: number;
  readonly bytes: number;
  readonly age: number;
  /** Bounds of what waits to be written. */
  readonly buffer: { readonly count: number; readonly bytes: number };
  /** Least time between two writes. */
  readonly linger: Duration;
  readonly onLost: (cause: Error) => void;
}

/** Brings transactions to the disk, one write at a time, as soon as the event loop has a turn for it. */
export class Writer {
  readonly #options: WriterOptions;
  #segments: Segment[];
  readonly #segmentBytes: number;
  readonly #queue: WriteQueue;
  /** Taken from the queue, not on the disk yet. */
  #inHand: Item[] = [];
  #lastSeq: number;
  #problem: string | undefined;
  #running: Promise<void> | undefined;
  readonly #abort = new AbortController();

  constructor(segments: Segment[], lastSeq: number, options: WriterOptions) {
    this.#options = options;
    this.#segments = segments;
    this.#lastSeq = lastSeq;
    this.#segmentBytes = Math.floor(options.bytes / SEGMENTS);
    this.#queue = new WriteQueue(options.buffer);
  }

  get lastSeq(): number {
    return this.#lastSeq;
  }

  get dropped(): number {
    return this.#queue.dropped;
  }

  /** Why the last write failed; `undefined` if it did not. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Oldest first. */
  get segments(): readonly Segment[] {
    return this.#segments;
  }

  /** What is not on the disk yet, oldest first. */
  get unwritten(): readonly Item[] {
    return [...this.#inHand, ...this.#queue.items];
  }

  add(txn: StorableTxn): void {
    this.#lastSeq = txn.seq;
    if (this.#abort.signal.aborted) {
      this.#queue.lose([{ txn }]);
    } else {
      if (!this.#queue.add(txn)) {
        this.#options.onLost(new OverloadedError("the history's buffer", this.#options.buffer.count));
      }
      this.#running ??= this.#run();
    }
  }

  /** Writes what waits, without another attempt if that fails. */
  async close(): Promise<void> {
    this.#abort.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    for (let attempt = 0; this.#queue.length > 0; ) {
      await breathe(); // the transactions of this turn go together
      try {
        // A failed write may have left anything, also no directory.
        if (attempt > 0) this.#segments = (await openSegments(this.#options.dir)).segments;
        await this.#writeSome();
        attempt = 0;
        this.#problem = undefined;
        await this.#pause(this.#options.linger);
      } catch (e) {
        const error = toError(e);
        this.#problem = error.message;
        this.#queue.lose(this.#inHand);
        this.#inHand = [];
        if (attempt === 0) this.#options.onLost(error);
        await this.#pause(backoffDelay({ first: seconds(1), max: seconds(60) }, attempt++));
        if (this.#abort.signal.aborted) break;
      }
    }
    if (this.#queue.length > 0) this.#giveUp();
    this.#running = undefined;
  }

  /** Ends at once when closing. */
  async #pause(delay: Duration): Promise<void> {
    if (delay > 0) await sleep(this.#options.clock, delay, this.#abort.signal).catch(() => undefined);
  }

  #giveUp(): void {
    const left: Item[] = [];
    for (let item = this.#queue.take(); item !== undefined; item = this.#queue.take()) left.push(item);
    this.#queue.lose(left);
  }

  async #writeSome(): Promise<void> {
    const lines: Buffer[] = [];
    let bytes = 0;
    const enough = Math.min(CHUNK_BYTES, this.#segmentBytes / 4);
    while (bytes < enough) {
      const item = this.#queue.take();
      if (item === undefined) break;
      this.#inHand.push(item);
      const line = await this.#lineOf(item);
      lines.push(line);
      bytes += line.length;
    }
    const segment = await this.#segmentFor(this.#inHand[0]!, bytes);
    await append(segment, Buffer.concat(lines, bytes));
    this.#inHand = [];
  }

  async #lineOf(item: Item): Promise<Buffer> {
    if ("gap" in item) return gapLine(item.gap);
    try {
      return await encodeTxn(item.txn, this.#segmentBytes / 2, this.#options.clock);
    } catch {
      // A value without a text is no reason to lose those around it.
      return gapLine({ first: item.txn.seq, last: item.txn.seq, count: 1 });
    }
  }

  /** Where `bytes` more go, after everything has gone that has to go for them. */
  async #segmentFor(first: Item, bytes: number): Promise<Segment> {
    const { dir, age, clock } = this.#options;
    const last = this.#segments.at(-1);
    let segment = last;
    if (last === undefined || last.bytes + bytes > this.#segmentBytes || clock.wall() - last.since > age / SEGMENTS) {
      segment =
        "gap" in first
          ? segmentAt(dir, first.gap.first, clock.wall())
          : segmentAt(dir, first.txn.seq, first.txn.endedAt);
      this.#segments.push(segment);
    }
    await this.trim(bytes);
    return segment!;
  }

  /** Removes segments of which everything is beyond a bound, and the oldest ones until `more` bytes have room. */
  async trim(more = 0): Promise<void> {
    const { count, bytes, age, clock } = this.#options;
    let total = this.#segments.reduce((sum, s) => sum + s.bytes, more);
    for (;;) {
      const [oldest, next] = this.#segments;
      if (oldest === undefined || next === undefined) return;
      const isExpired = next.first <= this.#lastSeq - count + 1 || next.since < clock.wall() - age;
      if (total <= bytes && !isExpired) return;
      await rm(oldest.path, { force: true });
      this.#segments.shift();
      total -= oldest.bytes;
    }
  }
}
