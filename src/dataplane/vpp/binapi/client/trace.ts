import type { Codecs, MessageValue } from "../codec/codecs.ts";
import { cursorOf } from "../codec/codecs.ts";

export type Direction = "to VPP" | "from VPP";

/** One message as it crossed the socket. */
export interface TraceEntry {
  /** Milliseconds of the client's clock. */
  readonly at: number;
  readonly direction: Direction;
  readonly message: string;
  /** Bytes of the message; `bytes` may hold fewer. */
  readonly length: number;
  readonly bytes: Uint8Array;
}

/** Sees messages as they pass: `b` from `start` to `end`, memory that is used again afterwards. */
export type TraceTap = (
  direction: Direction,
  message: string,
  b: Buffer,
  start: number,
  end: number,
  at: number,
) => void;

interface Slot {
  at: number;
  direction: Direction;
  message: string;
  length: number;
  kept: number;
  /** Where its bytes begin, counted from the first byte ever recorded. */
  position: number;
}

const MAX_KEPT = 4096;

/**
 * The last messages, in memory that is allocated once: recording one costs a copy of its bytes (some 50 ns), so it is
 * always on, and what led to a failure can be printed afterwards.
 */
export class TraceRing {
  readonly #bytes: Buffer;
  readonly #slots: Slot[];
  readonly #tap: TraceTap | undefined;
  #next = 0;
  #recorded = 0;
  #position = 0;

  constructor(tap?: TraceTap, messages = 512, bytes = 256 << 10) {
    this.#tap = tap;
    this.#bytes = Buffer.alloc(bytes);
    this.#slots = Array.from({ length: messages }, () => ({
      at: 0,
      direction: "to VPP" as const,
      message: "",
      length: 0,
      kept: 0,
      position: 0,
    }));
  }

  /** Remembers `b` from `start` to `end`. Longer messages than 4 KiB keep their beginning. */
  record(direction: Direction, message: string, b: Buffer, start: number, end: number, at: number): void {
    this.#tap?.(direction, message, b, start, end, at);
    const slot = this.#slots[this.#next];
    if (!slot) return;
    const size = this.#bytes.length;
    const kept = Math.min(end - start, MAX_KEPT, size);
    // A message is never split at the end of the memory.
    if ((this.#position % size) + kept > size) this.#position += size - (this.#position % size);
    b.copy(this.#bytes, this.#position % size, start, start + kept);
    slot.at = at;
    slot.direction = direction;
    slot.message = message;
    slot.length = end - start;
    slot.kept = kept;
    slot.position = this.#position;
    this.#position += kept;
    this.#next = (this.#next + 1) % this.#slots.length;
    this.#recorded++;
  }

  /** What is still remembered, oldest first. */
  entries(): TraceEntry[] {
    const count = Math.min(this.#recorded, this.#slots.length);
    const size = this.#bytes.length;
    const entries: TraceEntry[] = [];
    for (let i = 0; i < count; i++) {
      const slot = this.#slots[(this.#next - count + i + this.#slots.length) % this.#slots.length];
      if (!slot || slot.position + size < this.#position) continue; // overwritten by longer messages
      const { at, direction, message, length, kept, position } = slot;
      const bytes = Uint8Array.from(this.#bytes.subarray(position % size, (position % size) + kept));
      entries.push({ at, direction, message, length, bytes });
    }
    return entries;
  }
}

/**
 * One line per message, such as `12.345 → ip_table_add_del {"is_add":true,…}`. Keys and secrets are replaced by `***`.
 */
export function formatTrace(entries: readonly TraceEntry[], codecs: Codecs): string {
  return entries.map((e) => `${(e.at / 1000).toFixed(6)} ${line(e, codecs)}\n`).join("");
}

function line(entry: TraceEntry, codecs: Codecs): string {
  const head = `${entry.direction === "to VPP" ? "→" : "←"} ${entry.message}`;
  if (entry.bytes.length < entry.length) return `${head} (${entry.length} bytes)`;
  try {
    return `${head}${contextOf(entry, codecs)} ${formatMessage(codecs.decode(entry.message, entry.bytes))}`;
  } catch {
    return `${head} (${entry.length} bytes that can't be read: ${Buffer.from(entry.bytes).toString("hex")})`;
  }
}

function contextOf(entry: TraceEntry, codecs: Codecs): string {
  const { contextAt } = codecs.get(entry.message).header;
  return contextAt < 0 ? "" : ` #${cursorOf(entry.bytes).w.getUint32(contextAt).toString(16)}`;
}

/** A message's value as one line of JSON for people: bytes in hex, secrets hidden. */
export const formatMessage = (value: MessageValue): string => JSON.stringify(value, readable);

// private_key, preshared_key, and `key` of ipsec_sad_entry, bfd_auth_set_key; `secret` of memif, app_namespace_add_del.
const SECRET = /^(private_key|preshared_key|key|secret|crypto_key|integrity_key|password)$/;

function readable(name: string, value: unknown): unknown {
  if (SECRET.test(name) && value !== "") return "***";
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  return typeof value === "bigint" ? value.toString() : value;
}
