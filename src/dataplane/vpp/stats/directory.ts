import { StatsError } from "./errors.ts";
import { NO_VECTOR, type SegmentView } from "./memory.ts";

/** `stat_directory_type_t` of vlib/stats/shared.h. */
export const EntryType = {
  ILLEGAL: 0,
  SCALAR: 1,
  SIMPLE: 2,
  COMBINED: 3,
  NAMES: 4,
  EMPTY: 5,
  SYMLINK: 6,
  HISTOGRAM_LOG2: 7,
  RING_BUFFER: 8,
  GAUGE: 9,
} as const;
export type EntryType = (typeof EntryType)[keyof typeof EntryType];

/** `vlib_stats_entry_t`: type, padding, 8 bytes of value or pointer, name. */
const ENTRY_BYTES = 144;
const VALUE_AT = 8;
const NAME_AT = 16;
const NAME_BYTES = 128;

export interface Entry {
  readonly index: number;
  readonly type: number;
  readonly name: string;
}

/** One counter of a vector, by its own name: `/err/NODE/COUNTER` is a column of `/node/errors`. */
export interface ErrorLink {
  /** Of this link in the directory. */
  readonly index: number;
  /** Directory index of the vector. */
  readonly vector: number;
  readonly column: number;
}

/** Bounds for what VPP's memory claims, so that a corrupt segment costs no more than a large one. */
const MAX_THREADS = 1024;
const MAX_NAMES = 1 << 17;
const MAX_NAME_LENGTH = 4096;

/** "/err" as a little-endian number. */
const ERR = 0x72_72_65_2f;
const SLASH = 0x2f;

/**
 * The segment's directory as of one epoch. Most entries are symbolic links (17 for each interface, 4 for each node):
 * they repeat what the vectors have by index, so only those of errors are kept, as numbers; names are made when asked for.
 */
export class Directory {
  readonly epoch: bigint;
  /** Everything but links. */
  readonly entries = new Map<string, Entry>();
  readonly errors: readonly ErrorLink[];
  readonly #bytes: Buffer;
  readonly #offset: number;
  readonly #names = new Map<string, readonly (string | undefined)[]>();

  private constructor(epoch: bigint, offset: number, bytes: Buffer) {
    this.epoch = epoch;
    this.#offset = offset;
    this.#bytes = bytes;
    const errors: ErrorLink[] = [];
    const count = bytes.length / ENTRY_BYTES;
    for (let index = 0; index < count; index++) {
      const at = index * ENTRY_BYTES;
      const type = bytes.readUInt32LE(at);
      if (type === EntryType.SYMLINK) {
        if (bytes.readUInt32LE(at + NAME_AT) !== ERR || bytes[at + NAME_AT + 4] !== SLASH) continue;
        const vector = bytes.readUInt32LE(at + VALUE_AT);
        errors.push({ index, vector, column: bytes.readUInt32LE(at + VALUE_AT + 4) });
      } else if (type !== EntryType.EMPTY && type !== EntryType.ILLEGAL) {
        const name = this.nameOf(index);
        this.entries.set(name, { index, type, name });
      }
    }
    this.errors = errors;
  }

  static read(view: SegmentView, pointer: bigint, epoch: bigint): Directory {
    const { offset, length } = view.vector(pointer, ENTRY_BYTES);
    const bytes = length === 0 ? Buffer.alloc(0) : Buffer.from(view.copy(offset, length * ENTRY_BYTES));
    return new Directory(epoch, offset, bytes);
  }

  /** Cut at the first NUL; VPP writes ASCII. */
  nameOf(index: number): string {
    const start = index * ENTRY_BYTES + NAME_AT;
    const end = this.#bytes.indexOf(0, start);
    return this.#bytes.toString("latin1", start, end === -1 || end > start + NAME_BYTES ? start + NAME_BYTES : end);
  }

  /** The entry's 8 bytes as they are now: a value, or a pointer. The directory was checked when it was read. */
  value(view: SegmentView, entry: Entry): bigint {
    const bytes = view.copy(this.#offset + entry.index * ENTRY_BYTES + VALUE_AT, 8);
    return new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true);
  }

  /** A scalar or gauge by name; 0 if this VPP has none. Both hold whole numbers. */
  scalar(view: SegmentView, name: string): number {
    const entry = this.entries.get(name);
    const scalar = entry?.type === EntryType.SCALAR || entry?.type === EntryType.GAUGE;
    return entry && scalar ? Number(this.value(view, entry)) : 0;
  }

  /** The sums over all threads of a vector of counters (2 numbers for each element of a combined one: packets, bytes). */
  sums(view: SegmentView, entry: Entry | undefined): Float64Array {
    if (!entry) return new Float64Array();
    let sums = new Float64Array();
    for (const row of this.rows(view, entry)) {
      if (row.length > sums.length) {
        const longer = new Float64Array(row.length);
        longer.set(sums);
        sums = longer;
      }
      for (let i = 0; i < row.length; i++) sums[i] = (sums[i] ?? 0) + (row[i] ?? 0);
    }
    return sums;
  }

  /** The same thread by thread, main thread first. */
  rows(view: SegmentView, entry: Entry | undefined): Float64Array[] {
    if (entry?.type !== EntryType.SIMPLE && entry?.type !== EntryType.COMBINED) return [];
    const words = entry.type === EntryType.COMBINED ? 2 : 1;
    return view.pointers(this.value(view, entry), MAX_THREADS).map((pointer) => {
      const place = pointer === 0n ? NO_VECTOR : view.vector(pointer, 8 * words);
      const row = new Float64Array(place.length * words);
      if (row.length === 0) return row;
      const bytes = view.copy(place.offset, row.length * 8);
      const halves = new Uint32Array(bytes.buffer, bytes.byteOffset, row.length * 2);
      for (let i = 0; i < row.length; i++) row[i] = (halves[2 * i + 1] ?? 0) * 2 ** 32 + (halves[2 * i] ?? 0);
      return row;
    });
  }

  /** A vector of texts; one that is not set is undefined. Read once an epoch: VPP sets names under its lock. */
  names(view: SegmentView, name: string): readonly (string | undefined)[] {
    let names = this.#names.get(name);
    if (!names) this.#names.set(name, (names = this.#readNames(view, name)));
    return names;
  }

  #readNames(view: SegmentView, name: string): (string | undefined)[] {
    const entry = this.entries.get(name);
    if (entry?.type !== EntryType.NAMES) return [];
    return view.pointers(this.value(view, entry), MAX_NAMES).map((pointer) => {
      const { offset, length } = view.vector(pointer, 1);
      if (length > MAX_NAME_LENGTH) throw new StatsError("CORRUPT", `a name of ${length} bytes in ${name}`);
      if (length === 0) return undefined;
      const text = Buffer.from(view.copy(offset, length)).toString("latin1");
      return text.endsWith("\0") ? text.slice(0, -1) : text;
    });
  }
}
