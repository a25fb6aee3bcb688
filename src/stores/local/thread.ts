import { Worker } from "node:worker_threads";
import { ClosedError, toError } from "../../base/errors/errors.ts";
import { LocalDbError } from "./errors.ts";
import type { DbRequest, DbResponse, DbValue } from "./protocol.ts";

type WithoutId<T> = T extends unknown ? Omit<T, "id"> : never;

interface Pending {
  readonly rows: (readonly [string, DbValue])[];
  readonly resolve: (rows: (readonly [string, DbValue])[]) => void;
  readonly reject: (error: Error) => void;
}

/** Where the worker's code is: beside this file in the sources, beside the bundle in a release. */
function workerUrl(): URL {
  const source = import.meta.url.endsWith(".ts");
  return source ? new URL("./worker.ts", import.meta.url) : new URL("./local-db-worker.js", import.meta.url);
}

/**
 * The thread that does local databases' blocking work; several of them may share one (a thread costs about 12 MB). It
 * keeps the process alive only while a request is under way.
 */
export class DbThread implements AsyncDisposable {
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;
  #nextDb = 1;
  #ended: Error | undefined;

  private constructor(worker: Worker) {
    this.#worker = worker;
  }

  static start(): DbThread {
    // Small young generation: this thread only passes rows on, and the agent's memory has a budget.
    const worker = new Worker(workerUrl(), {
      execArgv: [],
      name: "local-db",
      resourceLimits: { maxYoungGenerationSizeMb: 4 },
    });
    const thread = new DbThread(worker);
    worker.on("message", (response: DbResponse) => thread.#receive(response));
    worker.on("error", (e) => thread.#end(new LocalDbError("IO", "the local database's thread died", { cause: e })));
    worker.on("exit", () => thread.#end(new LocalDbError("IO", "the local database's thread ended")));
    worker.unref();
    return thread;
  }

  /** A number for a database within this thread. */
  allocate(): number {
    return this.#nextDb++;
  }

  /** Requests are carried out and answered in order. Resolves with the rows of a load, else with none. */
  request(request: WithoutId<DbRequest>): Promise<(readonly [string, DbValue])[]> {
    return new Promise((resolve, reject) => {
      if (this.#ended) {
        reject(this.#ended);
        return;
      }
      const id = this.#nextId++;
      this.#worker.postMessage({ ...request, id }); // throws if it can't be cloned: then nothing is pending
      this.#pending.set(id, { rows: [], resolve, reject });
      if (this.#pending.size === 1) this.#worker.ref();
    });
  }

  #receive(response: DbResponse): void {
    const pending = this.#pending.get(response.id);
    if (!pending) return;
    if (response.kind === "rows") {
      for (const row of response.rows) pending.rows.push(row);
      return;
    }
    this.#pending.delete(response.id);
    if (this.#pending.size === 0) this.#worker.unref();
    if (response.kind === "done") pending.resolve(pending.rows);
    else pending.reject(new LocalDbError(response.code, response.message));
  }

  #end(reason: Error): void {
    this.#ended ??= toError(reason);
    for (const { reject } of this.#pending.values()) reject(this.#ended);
    this.#pending.clear();
  }

  /** Ends the thread at once; close its databases first. */
  async close(): Promise<void> {
    this.#end(new ClosedError("the local database's thread"));
    await this.#worker.terminate();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
