import { parentPort } from "node:worker_threads";
import { fullMessage } from "../../base/errors/errors.ts";
import { Database } from "./database.ts";
import { LocalDbError } from "./errors.ts";
import type { DbRequest, DbResponse, DbValue } from "./protocol.ts";

// Entry point of the thread that does the databases' blocking work. In a release it is bundled as local-db-worker.js.

/** Rows or bytes per message, whichever comes first: unpacking one takes well under a millisecond or two. */
const MAX_ROWS = 500;
const MAX_BYTES = 1 << 20;

const databases = new Map<number, Database>();
const send = (response: DbResponse) => parentPort?.postMessage(response);

function handle(request: DbRequest): void {
  if (request.op === "open") {
    databases.set(request.db, Database.open(request));
    return;
  }
  const database = databases.get(request.db);
  if (!database) throw new LocalDbError("IO", "the local database is not open");
  switch (request.op) {
    case "load":
      load(database, request.id, request.prefix);
      break;
    case "commit":
      database.commit(request.writes);
      break;
    case "close":
      databases.delete(request.db);
      database.close();
      break;
  }
}

function load(database: Database, id: number, prefix: string): void {
  let rows: [string, DbValue][] = [];
  let bytes = 0;
  for (const row of database.load(prefix)) {
    rows.push(row);
    bytes += row[0].length + row[1].length;
    if (rows.length >= MAX_ROWS || bytes >= MAX_BYTES) {
      send({ kind: "rows", id, rows });
      rows = [];
      bytes = 0;
    }
  }
  send({ kind: "rows", id, rows });
}

parentPort?.on("message", (request: DbRequest) => {
  try {
    handle(request);
    send({ kind: "done", id: request.id });
  } catch (e) {
    const code = e instanceof LocalDbError ? e.code : "IO";
    send({ kind: "failed", id: request.id, code, message: fullMessage(e) });
  }
});
