import type { MessageValue } from "../codec/codecs.ts";

/** Shorter answers are as quickly decoded. */
const MIN_ELEMENTS = 16;
/** Bytes of a longer one would cost more memory than time. */
const MAX_BYTES = 1 << 20;
const FIRST_BYTES = 4096;
/** The byte that tells most elements apart: most begin with a number of 32 bits. */
const LOW = 3;
/** So many elements in a row may be gone, or be others. */
const AHEAD = 32;

/** A whole answer: the elements' bytes one behind the other, where each of them ends, and what they were decoded to. */
interface Answer {
  readonly bytes: Buffer;
  readonly ends: readonly number[];
  readonly elements: readonly MessageValue[];
}

const NOTHING: Answer = { bytes: Buffer.alloc(0), ends: [], elements: [] };

/**
 * What dumps were answered with the last time. VPP lists its objects in one order: an element that is as it was is not decoded
 * again, and the same object again, so that others see quickly what has changed as well.
 */
export class DumpMemory {
  readonly #answers = new Map<string, Answer>();

  /** For one dump; `what` names it and what it asks for. */
  recall(what: string): Recollection {
    return new Recollection(this.#answers.get(what) ?? NOTHING, (answer) => {
      if (answer) this.#answers.set(what, answer);
      else this.#answers.delete(what);
    });
  }
}

/** Goes along the last answer while the next one comes in. */
export class Recollection {
  readonly #last: Answer;
  readonly #keep: (answer: Answer | undefined) => void;
  readonly #elements: MessageValue[] = [];
  /** Of the last answer: the one that is expected next. */
  #next = 0;
  /** Of this one, from where on it differs from the last one; until then it has no bytes of its own. */
  #bytes: Buffer | undefined;
  #ends: number[] = [];
  #used = 0;

  constructor(last: Answer, keep: (answer: Answer | undefined) => void) {
    this.#last = last;
    this.#keep = keep;
  }

  /** Whether the element that came in as these bytes is as it was, and so is taken. */
  same(b: Buffer, from: number, until: number): boolean {
    const at = this.#find(b, from, until);
    if (at < 0) return false;
    if (this.#bytes === undefined && at !== this.#elements.length) this.#differ();
    this.#elements.push(this.#last.elements[at]!);
    this.#next = at + 1;
    if (this.#bytes) this.#append(b, from, until);
    return true;
  }

  /** The element that came in as these bytes, which is another one. */
  other(b: Buffer, from: number, until: number, element: MessageValue): void {
    if (this.#bytes === undefined) this.#differ();
    this.#elements.push(element);
    this.#append(b, from, until);
  }

  /** All elements, of an answer that has come to its end. */
  end(): readonly MessageValue[] {
    const { elements } = this.#last;
    if (this.#bytes === undefined && this.#elements.length === elements.length) return elements;
    const bytes = this.#bytes ?? this.#differ();
    const isWorth = this.#elements.length >= MIN_ELEMENTS && this.#used <= MAX_BYTES;
    const own = Buffer.from(bytes.subarray(0, this.#used));
    this.#keep(isWorth ? { bytes: own, ends: this.#ends, elements: this.#elements } : undefined);
    return this.#elements;
  }

  /** As the next one of the last time, or one of those behind it: some may have been removed, or changed. */
  #find(b: Buffer, from: number, until: number): number {
    const { bytes, ends } = this.#last;
    for (let at = this.#next; at < Math.min(this.#next + 1 + AHEAD, ends.length); at++) {
      const begin = at === 0 ? 0 : ends[at - 1]!;
      const end = ends[at]!;
      if (end - begin !== until - from || bytes[begin + LOW] !== b[from + LOW]) continue;
      if (bytes.compare(b, from, until, begin, end) === 0) return at;
    }
    return -1;
  }

  /** From here on: so far it was the last one's beginning. */
  #differ(): Buffer {
    const same = this.#elements.length;
    this.#ends = this.#last.ends.slice(0, same);
    this.#used = this.#ends.at(-1) ?? 0;
    this.#bytes = Buffer.allocUnsafe(Math.max(FIRST_BYTES, this.#last.bytes.length, 2 * this.#used));
    this.#last.bytes.copy(this.#bytes, 0, 0, this.#used);
    return this.#bytes;
  }

  #append(b: Buffer, from: number, until: number): void {
    const end = this.#used + until - from;
    if (this.#bytes!.length < end && this.#used <= MAX_BYTES) {
      const larger = Buffer.allocUnsafe(Math.max(2 * this.#bytes!.length, end));
      this.#bytes!.copy(larger, 0, 0, this.#used);
      this.#bytes = larger;
    }
    // Of an answer that is too long, only that it is.
    if (end <= this.#bytes!.length) b.copy(this.#bytes!, this.#used, from, until);
    this.#ends.push(end);
    this.#used = end;
  }
}
