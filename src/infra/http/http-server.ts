import { chmodSync } from "node:fs";
import { lstat, mkdir, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { connect } from "node:net";
import { dirname } from "node:path";
import { pipeline } from "node:stream/promises";
import { errnoOf, fullMessage, HeddleError, toError } from "../../base/errors/errors.ts";

/** What a route answers. */
export interface HttpAnswer {
  readonly status: number;
  /** Text, bytes, or the pieces of a text in order, as long as they keep coming; anything else is sent as JSON. */
  readonly body?: unknown;
  readonly contentType?: string;
  /** Beside those of the body. */
  readonly headers?: Readonly<Record<string, string>>;
}

export interface HttpRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage["headers"];
  readonly body: Uint8Array;
  /** Aborts when the client goes away before it was answered. */
  readonly signal: AbortSignal;
}

export type Route = (request: HttpRequest) => Promise<HttpAnswer> | HttpAnswer;

/** Where to listen: a Unix socket (only its owner may connect), or an address and port. */
export type ListenOn = { readonly socket: string } | { readonly host: string; readonly port: number };

export interface HttpServerOptions {
  readonly listen: ListenOn;
  /** `"GET /status"` → route. A path ending in `/` also takes what is below it. */
  readonly routes: ReadonlyMap<string, Route>;
  /** Largest body in bytes; 1 MiB if absent. A larger one is answered 413. */
  readonly maxBody?: number;
  /** Requests handled at once; 256 if absent. One more is answered 503. */
  readonly maxConcurrent?: number;
  /** Told of routes that threw. */
  readonly onError: (error: Error, request: string) => void;
}

/** The address is in use by a living process. */
export class ListenError extends HeddleError<"LISTEN_FAILED"> {}

/** A small HTTP/1.1 server for REST and for the CNI socket. */
export class HttpServer {
  readonly #options: Required<HttpServerOptions>;
  readonly #server: Server;
  #active = 0;

  private constructor(options: HttpServerOptions) {
    this.#options = { maxBody: 1 << 20, maxConcurrent: 256, ...options };
    this.#server = createServer({ keepAliveTimeout: 5_000, requestTimeout: 30_000 }, (req, res) => {
      void this.#serve(req, res); // answers every failure itself
    });
  }

  /** @throws ListenError when the address cannot be had; a dead process's socket file is replaced. */
  static async open(options: HttpServerOptions): Promise<HttpServer> {
    const server = new HttpServer(options);
    const { listen } = options;
    if ("socket" in listen) {
      await mkdir(dirname(listen.socket), { recursive: true, mode: 0o755 });
      if (await somebodyListens(listen.socket)) {
        throw new ListenError("LISTEN_FAILED", `another process listens on ${listen.socket}`);
      }
      await removeSocket(listen.socket);
    }
    await new Promise<void>((resolve, reject) => {
      const fail = (e: Error) =>
        reject(new ListenError("LISTEN_FAILED", `cannot listen on ${describeListen(listen)}`, { cause: e }));
      server.#server.once("error", fail);
      const listening = () => {
        server.#server.off("error", fail);
        // One that could not be accepted (out of descriptors) must not end the process.
        server.#server.on("error", (e) => options.onError(e, `accept on ${describeListen(listen)}`));
        resolve();
      };
      if ("socket" in listen) {
        // The mode is set before anyone can connect: bind creates the file with the umask applied.
        const before = process.umask(0o177);
        server.#server.listen(listen.socket, listening);
        process.umask(before);
      } else {
        server.#server.listen(listen.port, listen.host, listening);
      }
    });
    if ("socket" in listen) chmodSync(listen.socket, 0o600);
    return server;
  }

  /** The port, when listening on an address (useful with port 0). */
  get port(): number | undefined {
    const address = this.#server.address();
    return typeof address === "object" && address ? address.port : undefined;
  }

  /** Stops accepting, ends idle connections, and waits for the requests in hand to be answered. */
  async close(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeIdleConnections();
    });
  }

  async #serve(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const label = `${req.method ?? "?"} ${req.url ?? "?"}`;
    if (this.#active >= this.#options.maxConcurrent) {
      req.resume();
      send(res, { status: 503, body: { error: `busy: ${this.#active} requests are in hand; try again later` } });
      return;
    }
    this.#active++;
    const gone = new AbortController();
    res.once("close", () => {
      if (!res.writableFinished) gone.abort(new HeddleError("CLIENT_GONE", `the client of ${label} went away`));
    });
    try {
      const answer = await this.#route(req, gone.signal);
      if (isPieces(answer.body)) await sendPieces(res, answer, answer.body);
      else send(res, answer);
    } catch (e) {
      this.#options.onError(toError(e), label);
      send(res, { status: 500, body: { error: fullMessage(e) } });
    } finally {
      this.#active--;
    }
  }

  async #route(req: IncomingMessage, signal: AbortSignal): Promise<HttpAnswer> {
    const url = new URL(req.url ?? "/", "http://heddle");
    const method = req.method ?? "GET";
    const route = this.#find(method, url.pathname);
    if (!route) {
      req.resume();
      return { status: 404, body: { error: `no ${method} ${url.pathname}`, routes: [...this.#options.routes.keys()] } };
    }
    const body = await readBody(req, this.#options.maxBody);
    if (!body) return { status: 413, body: { error: `the body is larger than ${this.#options.maxBody} bytes` } };
    return route({ method, path: url.pathname, query: url.searchParams, headers: req.headers, body, signal });
  }

  #find(method: string, path: string): Route | undefined {
    const { routes } = this.#options;
    const exact = routes.get(`${method} ${path}`);
    if (exact) return exact;
    for (let at = path.lastIndexOf("/"); at >= 0; at = at === 0 ? -1 : path.lastIndexOf("/", at - 1)) {
      const below = routes.get(`${method} ${path.slice(0, at + 1)}`);
      if (below && at > 0) return below;
    }
    return undefined;
  }
}

/** The whole body, or undefined when it is larger than `max` (the rest is read and dropped so that the client sees the answer). */
async function readBody(req: IncomingMessage, max: number): Promise<Uint8Array | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of req as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size <= max) chunks.push(chunk);
  }
  if (size > max) return undefined;
  return chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks);
}

function send(res: ServerResponse, answer: HttpAnswer): void {
  if (res.headersSent || res.destroyed) return;
  const text = typeof answer.body === "string" || answer.body instanceof Uint8Array;
  const payload = text ? Buffer.from(answer.body as string) : Buffer.from(JSON.stringify(answer.body ?? {}));
  res.writeHead(answer.status, {
    "content-type": answer.contentType ?? (text ? "text/plain; charset=utf-8" : "application/json"),
    "content-length": payload.length,
    ...answer.headers,
  });
  res.end(payload);
}

function isPieces(body: unknown): body is AsyncIterable<string> {
  return typeof body === "object" && body !== null && Symbol.asyncIterator in body;
}

/** As fast as the client takes them. What goes wrong after the first piece breaks the connection off. */
async function sendPieces(res: ServerResponse, answer: HttpAnswer, pieces: AsyncIterable<string>): Promise<void> {
  if (res.destroyed) return;
  res.writeHead(answer.status, { "content-type": answer.contentType ?? "text/plain; charset=utf-8" });
  await pipeline(pieces, res).catch((e: unknown) => {
    if (errnoOf(e) !== "ERR_STREAM_PREMATURE_CLOSE") throw e; // the client has gone away
  });
}

/** What a dead process left behind; anything but a socket was not ours to put there, nor is it to remove. */
async function removeSocket(path: string): Promise<void> {
  const found = await lstat(path).catch((e: unknown) => {
    if (errnoOf(e) === "ENOENT") return undefined;
    throw e;
  });
  if (!found) return;
  if (!found.isSocket()) throw new ListenError("LISTEN_FAILED", `${path} exists and is not a socket`);
  await rm(path, { force: true });
}

function somebodyListens(socket: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const probe = connect(socket);
    probe.once("connect", () => {
      probe.destroy();
      resolve(true);
    });
    probe.once("error", (e) => {
      const code = errnoOf(e);
      if (code === "ENOENT" || code === "ECONNREFUSED" || code === "ENOTSOCK") resolve(false);
      else reject(new ListenError("LISTEN_FAILED", `cannot look at ${socket}`, { cause: e }));
    });
  });
}

const describeListen = (on: ListenOn): string => ("socket" in on ? on.socket : `${on.host}:${on.port}`);
