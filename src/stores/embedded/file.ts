import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Entry } from "../api/store.ts";
import { LocalDb, LocalDbError, type LocalDbOptions } from "../local/local-db.ts";
import { EmbeddedState } from "./state.ts";

/** Keys in the file: `k<key>` entries, `l<lease id>` leases, `m` what the store knows of itself. */
const ENTRY = "k";
const LEASE = "l";
const META = "m";

interface Meta {
  readonly id: string;
  readonly revision: number;
}

/** The embedded store's file. Each write is the whole record of one key; a commit of them is atomic and durable. */
export class EmbeddedFile implements AsyncDisposable {
  readonly #db: LocalDb<Uint8Array>;

  private constructor(db: LocalDb<Uint8Array>) {
    this.#db = db;
  }

  /** @throws LocalDbError when the file in `dir` is damaged, newer than this code or in use. */
  static async open(dir: string, options: LocalDbOptions): Promise<{ file: EmbeddedFile; state: EmbeddedState }> {
    await mkdir(dir, { recursive: true, mode: 0o700 });
    const path = join(dir, "store.db");
    const db = await LocalDb.openBytes(path, options);
    try {
      const meta = (await db.load(META)).get(META);
      const entries = await db.load(ENTRY);
      const leases = await db.load(LEASE);
      if (!meta) {
        if (entries.size > 0) throw new LocalDbError("CORRUPT", `embedded store ${path} has entries but no revision`);
        const state = new EmbeddedState();
        await db.commit([metaRecord(state)]);
        return { file: new EmbeddedFile(db), state };
      }
      const state = new EmbeddedState({
        ...(JSON.parse(text(meta)) as Meta),
        entries: [...entries].map(([k, record]) => decodeEntry(path, k.slice(ENTRY.length), record)),
        leases: [...leases].map(([k, ttl]) => ({ id: k.slice(LEASE.length), ttl: Number(text(ttl)) })),
      });
      return { file: new EmbeddedFile(db), state };
    } catch (e) {
      await db.close();
      throw e;
    }
  }

  /** Writes the present state of the named keys and leases. */
  commit(state: EmbeddedState, keys: ReadonlySet<string>, leases: ReadonlySet<string>): Promise<void> {
    const writes: [string, Uint8Array | undefined][] = [metaRecord(state)];
    for (const key of keys) {
      const entry = state.get(key);
      writes.push([ENTRY + key, entry && encodeEntry(entry, state.leaseOf(key))]);
    }
    for (const id of leases) {
      const lease = state.leases.get(id);
      writes.push([LEASE + id, lease && Buffer.from(String(lease.ttl))]);
    }
    return this.#db.commit(writes);
  }

  async close(): Promise<void> {
    await this.#db.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

function metaRecord(state: EmbeddedState): [string, Uint8Array] {
  const meta: Meta = { id: state.id, revision: state.revision };
  return [META, Buffer.from(JSON.stringify(meta))];
}

/** u64 revision, u8 length of the lease's id, the id, the value. */
function encodeEntry(entry: Entry, lease = ""): Uint8Array {
  const head = Buffer.alloc(9);
  head.writeBigUInt64BE(BigInt(entry.revision));
  head.writeUInt8(lease.length, 8);
  return Buffer.concat([head, Buffer.from(lease, "latin1"), entry.value]);
}

function decodeEntry(path: string, key: string, record: Uint8Array): { entry: Entry; lease: string | undefined } {
  const bytes = Buffer.from(record.buffer, record.byteOffset, record.byteLength);
  const length = bytes.length < 9 ? Number.POSITIVE_INFINITY : bytes.readUInt8(8);
  if (bytes.length < 9 + length) throw new LocalDbError("CORRUPT", `embedded store ${path}: record of ${key} is short`);
  const lease = bytes.toString("latin1", 9, 9 + length);
  const entry = { key, value: bytes.subarray(9 + length), revision: String(bytes.readBigUInt64BE()) };
  return { entry, lease: lease === "" ? undefined : lease };
}
