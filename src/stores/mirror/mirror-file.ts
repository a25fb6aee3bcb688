import { rename } from "node:fs/promises";
import type { Clock } from "../../base/clock/clock.ts";
import { errnoOf } from "../../base/errors/errors.ts";
import type { Entry, Position, StoreChange } from "../api/store.ts";
import { isUnreadable, LocalDb, type LocalDbError, type LocalDbOptions } from "../local/local-db.ts";

/** Keys in the file: `e<key>` entries, `p<prefix>` how far the store's history is known for a prefix. */
const ENTRY = "e";
const POSITION = "p";

/** Writes per commit: handing one to the database's thread takes well under a few milliseconds. */
const CHUNK = 500;

export interface MirrorFileOptions extends LocalDbOptions {
  readonly path: string;
  readonly clock: Clock;
  /** The file was unusable and is now at `movedTo`; an empty one took its place. */
  readonly onDamage: (error: LocalDbError, movedTo: string) => void;
}

/** The mirror's file. A copy that can be made again: one that is damaged is set aside, not fatal. */
export class MirrorFile {
  readonly #db: LocalDb<Uint8Array>;

  private constructor(db: LocalDb<Uint8Array>) {
    this.#db = db;
  }

  static async open(options: MirrorFileOptions): Promise<MirrorFile> {
    const { path, clock, onDamage, ...rest } = options;
    const local: LocalDbOptions = { synchronous: "normal", ...rest };
    try {
      return new MirrorFile(await LocalDb.openBytes(path, local));
    } catch (e) {
      if (!isUnreadable(e)) throw e;
      const movedTo = `${path}.damaged-${clock.wall()}`;
      for (const suffix of ["", "-wal", "-journal"]) await renameIfThere(path + suffix, movedTo + suffix);
      onDamage(e as LocalDbError, movedTo);
      return new MirrorFile(await LocalDb.openBytes(path, local));
    }
  }

  /** What is known of a prefix; undefined if the store was never read for it. */
  async load(prefix: string): Promise<{ entries: Entry[]; position: Position } | undefined> {
    const position = (await this.#db.load(POSITION + prefix)).get(POSITION + prefix);
    if (!position) return undefined;
    const records = await this.#db.load(ENTRY + prefix);
    const entries = [...records].map(([key, record]) => decode(key.slice(ENTRY.length), record));
    return { entries, position: Buffer.from(position).toString() };
  }

  /** The position is written last, so that it never promises more than is there. */
  async apply(prefix: string, changes: readonly StoreChange[], position: Position): Promise<void> {
    const writes: [string, Uint8Array | undefined][] = changes.map((c) => [ENTRY + c.key, c.new && encode(c.new)]);
    writes.push([POSITION + prefix, Buffer.from(position)]);
    for (let i = 0; i < writes.length; i += CHUNK) await this.#db.commit(writes.slice(i, i + CHUNK));
  }

  close(): Promise<void> {
    return this.#db.close();
  }
}

async function renameIfThere(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (e) {
    if (errnoOf(e) !== "ENOENT") throw e;
  }
}

/** u8 length of the revision, the revision, the value. */
function encode({ revision, value }: Entry): Uint8Array {
  const head = Buffer.from(revision, "latin1");
  return Buffer.concat([Uint8Array.of(head.length), head, value]);
}

function decode(key: string, record: Uint8Array): Entry {
  const bytes = Buffer.from(record.buffer, record.byteOffset, record.byteLength);
  const end = 1 + (bytes[0] ?? 0);
  return { key, revision: bytes.toString("latin1", 1, end), value: bytes.subarray(end) };
}
