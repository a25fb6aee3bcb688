import type { IpAddress } from "../base/ip/address.ts";
import { SlotBitmap } from "./slot-bitmap.ts";

interface Release {
  readonly ip: IpAddress;
  /** Wall-clock milliseconds. */
  readonly at: number;
}

/**
 * Which slots of a subnet are in use, and in which order the others are given out: forward from a cursor, round and round,
 * so that an address rests as long as possible; and not before its quarantine is over, unless nothing else is left.
 * A slot is reserved (for good), taken, quarantined or fresh.
 */
export class SlotSpace {
  /** Where the search for the next slot begins. */
  cursor: number;
  /** Every slot that isn't fresh. */
  readonly #busy: SlotBitmap;
  readonly #quarantine = new Map<number, Release>();
  /** Slots in the order of their release. An entry counts only if it is still the slot's latest release. */
  #order: { readonly slot: number; readonly release: Release }[] = [];
  #head = 0;
  #reserved = 0;
  #taken = 0;

  constructor(size: number, cursor: number) {
    this.#busy = new SlotBitmap(size);
    this.cursor = cursor;
  }

  get size(): number {
    return this.#busy.size;
  }

  get capacity(): number {
    return this.size - this.#reserved;
  }

  get taken(): number {
    return this.#taken;
  }

  get quarantined(): number {
    return this.#quarantine.size;
  }

  /** Only before anything else is done. */
  reserve(slot: number): void {
    this.#busy.set(slot);
    this.#reserved++;
  }

  /** Whether it may be taken: fresh or quarantined. */
  isFree(slot: number): boolean {
    return !this.#busy.has(slot) || this.#quarantine.has(slot);
  }

  /** The slot whose turn it is, or -1. Call {@link expire} first. */
  nextFresh(): number {
    const slot = this.#busy.nextClear(Math.min(this.cursor, this.size));
    return slot >= 0 ? slot : this.#busy.nextClear(0);
  }

  /** The slot that has been in quarantine for longest, or -1. */
  longestReleased(): number {
    for (; this.#head < this.#order.length; this.#head++) {
      const entry = this.#order[this.#head];
      if (entry && this.#quarantine.get(entry.slot) === entry.release) return entry.slot;
    }
    return -1;
  }

  releasedAt(slot: number): number | undefined {
    return this.#quarantine.get(slot)?.at;
  }

  /** The slot must be {@link isFree}. Returns the address whose quarantine this ends. */
  take(slot: number): IpAddress | undefined {
    const released = this.#quarantine.get(slot);
    this.#quarantine.delete(slot);
    this.#busy.set(slot);
    this.#taken++;
    return released?.ip;
  }

  /** A taken slot comes back, as of now. */
  release(slot: number, ip: IpAddress, at: number): void {
    this.#taken--;
    this.#enterQuarantine(slot, { ip, at });
  }

  /** Puts back what an earlier process had released. Call in order of time; ignored unless the slot is fresh. */
  restore(slot: number, ip: IpAddress, at: number): boolean {
    if (this.#busy.has(slot)) return false;
    this.#busy.set(slot);
    this.#enterQuarantine(slot, { ip, at });
    return true;
  }

  /** Ends the quarantine of what was released at `until` or before; returns these addresses. */
  expire(until: number): IpAddress[] {
    const expired: IpAddress[] = [];
    for (let slot = this.longestReleased(); slot >= 0; slot = this.longestReleased()) {
      const release = this.#quarantine.get(slot);
      if (!release || release.at > until) break;
      this.#quarantine.delete(slot);
      this.#busy.clear(slot);
      expired.push(release.ip);
    }
    return expired;
  }

  /** What is in quarantine, by time of release. */
  *releases(): Generator<Release> {
    for (const { slot, release } of this.#order.slice(this.#head)) {
      if (this.#quarantine.get(slot) === release) yield release;
    }
  }

  #enterQuarantine(slot: number, release: Release): void {
    this.#quarantine.set(slot, release);
    this.#order.push({ slot, release });
    // Entries behind the head and those overtaken by a later release would pile up.
    if (this.#order.length > 2 * this.#quarantine.size + 64) {
      this.#order = this.#order.slice(this.#head).filter((e) => this.#quarantine.get(e.slot) === e.release);
      this.#head = 0;
    }
  }
}
