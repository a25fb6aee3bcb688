import { chmodSync, closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { fullMessage } from "../../base/errors/errors.ts";
import { LocalDbError } from "./errors.ts";
import type { DbOpenOptions, DbValue, DbWrite } from "./protocol.ts";

/** `PRAGMA user_version` of the files this code writes. Raise it with every change an older Heddle can't read. */
export const SCHEMA_VERSION = 1;

/** `PRAGMA application_id`: "HDDL". Tells our files from any other SQLite database. */
const APPLICATION_ID = 0x4844444c;

// Primary result codes (sqlite3.h); extended ones carry them in the low byte.
const SQLITE_BUSY = 5;
const SQLITE_CORRUPT = 11;
const SQLITE_NOTADB = 26;

/**
 * A file of keys and values, opened by one process at a time. Every method blocks on the disk: for the database's own
 * thread only, see {@link LocalDb}.
 */
export class Database {
  readonly #path: string;
  readonly #db: DatabaseSync;
  readonly #put: StatementSync;
  readonly #delete: StatementSync;
  readonly #from: StatementSync;

  private constructor(path: string, db: DatabaseSync) {
    this.#path = path;
    this.#db = db;
    this.#put = db.prepare("INSERT INTO kv VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value");
    this.#delete = db.prepare("DELETE FROM kv WHERE key = ?");
    this.#from = db.prepare("SELECT key, value FROM kv WHERE key >= ? ORDER BY key");
  }

  /** Creates the file if it isn't there (mode 0600; its directory must exist). */
  static open(options: DbOpenOptions): Database {
    const { path, values, synchronous } = options;
    let db: DatabaseSync | undefined;
    try {
      if (!existsSync(path)) create(options);
      db = new DatabaseSync(path, { timeout: 0 });
      // Exclusive: a second process is refused instead of interleaved, and the WAL index stays in memory (no -shm file).
      db.exec("PRAGMA locking_mode = EXCLUSIVE");
      check(path, db, values);
      db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = ${synchronous}; BEGIN IMMEDIATE; COMMIT`);
      return new Database(path, db);
    } catch (e) {
      if (db?.isOpen) db.close();
      throw describe(path, "open", e);
    }
  }

  /** Entries whose key starts with `prefix`, in key order (of the keys' UTF-8 bytes). */
  *load(prefix: string): Generator<[string, DbValue]> {
    try {
      for (const row of this.#from.iterate(prefix)) {
        const key = row["key"] as string;
        if (!key.startsWith(prefix)) return; // keys with one prefix are neighbours
        yield [key, row["value"] as DbValue];
      }
    } catch (e) {
      throw describe(this.#path, "read", e);
    }
  }

  /** All writes or none. */
  commit(writes: Iterable<DbWrite>): void {
    try {
      this.#db.exec("BEGIN IMMEDIATE");
      for (const [key, value] of writes) {
        if (value === undefined) this.#delete.run(key);
        else this.#put.run(key, value);
      }
      this.#db.exec("COMMIT");
    } catch (e) {
      if (this.#db.isTransaction) this.#db.exec("ROLLBACK");
      throw describe(this.#path, "write", e);
    }
  }

  close(): void {
    this.#db.close(); // moves the WAL into the file and removes it
  }
}

/**
 * Under another name first: a crash in here leaves no file, and so a file at `path` that has no content was damaged
 * later and is reported, not taken for a new one.
 */
function create(options: DbOpenOptions): void {
  const { path, values } = options;
  for (const leftover of [`${path}-wal`, `${path}-journal`]) {
    if (existsSync(leftover)) {
      throw new LocalDbError("CORRUPT", `local database ${path} is missing, but its journal ${leftover} is there`);
    }
  }
  const draft = `${path}.new`;
  rmSync(draft, { force: true });
  const db = new DatabaseSync(draft);
  db.exec(`
    PRAGMA application_id = ${APPLICATION_ID};
    PRAGMA user_version = ${SCHEMA_VERSION};
    CREATE TABLE kv (key TEXT PRIMARY KEY NOT NULL, value ${values === "text" ? "TEXT" : "BLOB"} NOT NULL) STRICT`);
  db.close();
  chmodSync(draft, 0o600);
  renameSync(draft, path);
  const dir = openSync(dirname(path), "r");
  fsyncSync(dir);
  closeSync(dir);
}

function check(path: string, db: DatabaseSync, values: DbOpenOptions["values"]): void {
  const corrupt = (what: string) => new LocalDbError("CORRUPT", `local database ${path} ${what}`);
  if (pragma(db, "application_id") !== APPLICATION_ID) throw corrupt("is empty or not a Heddle database");
  const version = Number(pragma(db, "user_version"));
  if (version > SCHEMA_VERSION) {
    throw new LocalDbError(
      "NEWER_VERSION",
      `local database ${path} has version ${version}; this Heddle reads up to ${SCHEMA_VERSION}`,
    );
  }
  const verdict = pragma(db, "quick_check(1)");
  if (verdict !== "ok") throw corrupt(`is damaged: ${String(verdict)}`);
  const column = db.prepare("SELECT type FROM pragma_table_info('kv') WHERE name = 'value'").get()?.["type"];
  if (column !== (values === "text" ? "TEXT" : "BLOB")) throw corrupt(`does not hold ${values} values`);
}

const pragma = (db: DatabaseSync, name: string): unknown => Object.values(db.prepare(`PRAGMA ${name}`).get() ?? {})[0];

function describe(path: string, verb: string, e: unknown): LocalDbError {
  if (e instanceof LocalDbError) return e;
  const result = ((e as { errcode?: number }).errcode ?? 0) & 0xff;
  const text = `cannot ${verb} local database ${path}: ${fullMessage(e)}`;
  if (result === SQLITE_BUSY) return new LocalDbError("IN_USE", `${text} (another process has it open)`, { cause: e });
  if (result === SQLITE_CORRUPT || result === SQLITE_NOTADB) return new LocalDbError("CORRUPT", text, { cause: e });
  return new LocalDbError("IO", text, { cause: e });
}
