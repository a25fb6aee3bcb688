import { StatsError } from "./errors.ts";

/** The mapped segment, or a test's imitation of one. `read` throws for what lies outside. */
export interface StatsMemory {
  readonly size: number;
  read(offset: number, length: number, target: Uint8Array): void;
  close(): void;
}

/** `vlib_stats_shared_header_t` of vlib/stats/shared.h: five 64-bit fields at the segment's beginning. */
export interface SegmentHeader {
  readonly version: number;
  /** Address of the segment in VPP; every pointer inside is relative to it. */
  readonly base: bigint;
  /** Grows whenever the directory or a vector's place was changed. */
  readonly epoch: bigint;
  /** VPP is changing it now. */
  readonly inProgress: boolean;
  readonly directory: bigint;
}

const HEADER_BYTES = 40;
/** `vec_header_t` of vppinfra/vec_bootstrap.h: the length is the first field of the 8 bytes before the elements. */
const VECTOR_HEADER_BYTES = 8;

/** A vector's elements inside the segment. */
export interface VectorPlace {
  readonly offset: number;
  readonly length: number;
}

export const NO_VECTOR: VectorPlace = { offset: 0, length: 0 };

/**
 * Pointers and vectors of one segment. Lengths and places are what VPP's memory says at that moment, so everything is
 * checked against the segment's size before it is used.
 */
export class SegmentView {
  readonly memory: StatsMemory;
  readonly #word = new Uint8Array(HEADER_BYTES);
  readonly #view = new DataView(this.#word.buffer);
  #base = 0n;
  #scratch = new Uint8Array(1 << 16);

  constructor(memory: StatsMemory) {
    this.memory = memory;
  }

  header(): SegmentHeader {
    if (this.memory.size < HEADER_BYTES) throw new StatsError("CORRUPT", `a segment of ${this.memory.size} bytes`);
    this.memory.read(0, HEADER_BYTES, this.#word);
    const base = this.#view.getBigUint64(8, true);
    this.#base = base;
    return {
      version: Number(this.#view.getBigUint64(0, true)),
      base,
      epoch: this.#view.getBigUint64(16, true),
      inProgress: this.#view.getBigUint64(24, true) !== 0n,
      directory: this.#view.getBigUint64(32, true),
    };
  }

  /** Where the vector at `pointer` is; a null pointer is an empty one. */
  vector(pointer: bigint, elementBytes: number): VectorPlace {
    if (pointer === 0n) return NO_VECTOR;
    const offset = Number(pointer - this.#base);
    if (offset < HEADER_BYTES + VECTOR_HEADER_BYTES || offset > this.memory.size) {
      throw new StatsError("CORRUPT", `a pointer to byte ${offset} of ${this.memory.size}`);
    }
    this.memory.read(offset - VECTOR_HEADER_BYTES, VECTOR_HEADER_BYTES, this.#word);
    const length = this.#view.getUint32(0, true);
    if (length * elementBytes > this.memory.size - offset) {
      throw new StatsError("CORRUPT", `a vector of ${length} times ${elementBytes} bytes at byte ${offset}`);
    }
    return { offset, length };
  }

  /** Copies to memory that the next call uses again. */
  copy(offset: number, bytes: number): Uint8Array {
    if (bytes > this.#scratch.length) this.#scratch = new Uint8Array(2 ** Math.ceil(Math.log2(bytes)));
    this.memory.read(offset, bytes, this.#scratch);
    return this.#scratch.subarray(0, bytes);
  }

  /** A vector of pointers, `max` at most. */
  pointers(pointer: bigint, max: number): bigint[] {
    const { offset, length } = this.vector(pointer, 8);
    if (length === 0) return [];
    if (length > max) throw new StatsError("CORRUPT", `a vector of ${length} pointers, ${max} at most are meant`);
    const bytes = this.copy(offset, length * 8);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return Array.from({ length }, (_, i) => view.getBigUint64(i * 8, true));
  }
}
