import { EntryType } from "../../../../../src/dataplane/vpp/stats/directory.ts";
import type { StatsMemory } from "../../../../../src/dataplane/vpp/stats/memory.ts";

const BASE = 0x1_3000_0000n;

/** A statistics segment laid out as VPP does, byte by byte; `onRead` sees every access, before it. */
export class FakeSegment implements StatsMemory {
  readonly bytes: Buffer;
  onRead: (offset: number) => void = () => {};
  closed = false;
  #next = 4096;
  readonly #entries: { type: number; value: bigint; name: string }[] = [];

  constructor(size = 1 << 18) {
    this.bytes = Buffer.alloc(size);
    this.bytes.writeBigUInt64LE(2n, 0);
    this.bytes.writeBigUInt64LE(BASE, 8);
    this.epoch = 1n;
  }

  get size(): number {
    return this.bytes.length;
  }

  get epoch(): bigint {
    return this.bytes.readBigUInt64LE(16);
  }
  set epoch(epoch: bigint) {
    this.bytes.writeBigUInt64LE(epoch, 16);
  }
  set inProgress(on: boolean) {
    this.bytes.writeBigUInt64LE(on ? 1n : 0n, 24);
  }

  read(offset: number, length: number, target: Uint8Array): void {
    this.onRead(offset);
    if (offset < 0 || length < 0 || offset + length > this.size || length > target.length) {
      throw new RangeError(`read ${offset} + ${length}`);
    }
    target.set(this.bytes.subarray(offset, offset + length));
  }

  close(): void {
    this.closed = true;
  }

  /** A vector of 64-bit words; its pointer. */
  words(values: readonly bigint[]): bigint {
    const at = this.#place(values.length, values.length * 8);
    values.forEach((v, i) => this.bytes.writeBigUInt64LE(v, at + 8 * i));
    return BASE + BigInt(at);
  }

  text(text: string): bigint {
    const at = this.#place(text.length + 1, text.length + 1);
    this.bytes.write(text, at, "latin1");
    return BASE + BigInt(at);
  }

  add(type: number, name: string, value: bigint): number {
    return this.#entries.push({ type, value, name }) - 1;
  }

  gauge(name: string, value: number): void {
    this.add(EntryType.GAUGE, name, BigInt(value));
  }

  /** `rows[thread][index]`, pairs in a row for a combined one. */
  counters(type: number, name: string, rows: readonly (readonly number[])[]): number {
    const words = type === EntryType.COMBINED ? 2 : 1;
    const pointers = rows.map((row) => {
      const pointer = this.words(row.map(BigInt));
      this.bytes.writeUInt32LE(row.length / words, Number(pointer - BASE) - 8);
      return pointer;
    });
    return this.add(type, name, this.words(pointers));
  }

  names(name: string, names: readonly (string | undefined)[]): void {
    this.add(EntryType.NAMES, name, this.words(names.map((n) => (n === undefined ? 0n : this.text(n)))));
  }

  link(name: string, vector: number, column: number): void {
    this.add(EntryType.SYMLINK, name, (BigInt(column) << 32n) | BigInt(vector));
  }

  /** Writes the directory, as VPP does at each change. */
  publish(): this {
    const at = this.#place(this.#entries.length, this.#entries.length * 144);
    for (const [i, { type, value, name }] of this.#entries.entries()) {
      this.bytes.writeUInt32LE(type, at + 144 * i);
      this.bytes.writeBigUInt64LE(value, at + 144 * i + 8);
      this.bytes.write(name.slice(0, 127), at + 144 * i + 16, "latin1");
    }
    this.bytes.writeBigUInt64LE(BASE + BigInt(at), 32);
    this.epoch += 1n;
    return this;
  }

  #place(length: number, bytes: number): number {
    const at = this.#next + 8;
    this.bytes.writeUInt32LE(length, this.#next);
    this.#next = at + Math.ceil(bytes / 8) * 8;
    return at;
  }
}

/** Two interfaces, a deleted one, errors, a node, a heap and a pool; two threads. */
export function smallSegment(): FakeSegment {
  const s = new FakeSegment();
  s.gauge("/sys/heartbeat", 3);
  s.add(EntryType.SCALAR, "/sys/boottime", 1_700_000_000n);
  s.gauge("/sys/vector_rate", 12);
  s.gauge("/cnat/sessions/total", 90);
  s.counters(EntryType.SIMPLE, "/sys/loops_per_worker", [[100, 200]]);
  s.names("/if/names", ["local0", "deleted", "host-hd1", undefined]);
  const rx = [0, 0, 9, 9, 5, 500];
  s.counters(EntryType.COMBINED, "/if/rx", [rx, [0, 0, 0, 0, 2 ** 32, 1]]);
  s.counters(EntryType.COMBINED, "/if/tx", [[0, 0, 0, 0, 7, 700], []]);
  s.counters(EntryType.SIMPLE, "/if/drops", [
    [1, 2, 3],
    [0, 0],
  ]);
  s.link("/interfaces/host-hd1/rx", 5, 2);
  const errors = s.counters(EntryType.SIMPLE, "/node/errors", [
    [0, 4, 0],
    [0, 1, 0],
  ]);
  s.link("/err/ip4-input/no error", errors, 0);
  s.link("/err/ip4-input/ip4 ttl <= 1", errors, 1);
  s.add(EntryType.EMPTY, "", 0xffff_ffffn);
  s.names("/sys/node/names", ["null-node", "ip4-lookup"]);
  for (const [i, name] of ["calls", "vectors", "suspends", "clocks"].entries()) {
    s.counters(EntryType.SIMPLE, `/sys/node/${name}`, [[0, i + 1]]);
  }
  s.counters(EntryType.SIMPLE, "/mem/main heap", [[1000, 600, 400, 0, 0, 0, 0]]);
  s.gauge("/buffer-pools/default-numa-0/available", 90);
  s.gauge("/buffer-pools/default-numa-0/used", 8);
  s.gauge("/buffer-pools/default-numa-0/cached", 2);
  return s.publish();
}
