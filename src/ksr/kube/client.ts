import { type ClientRequest, request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { type Clock, type Duration, seconds, type Timer } from "../../base/clock/clock.ts";
import { HeddleError, toError } from "../../base/errors/errors.ts";
import type { Credentials } from "./credentials.ts";
import { linesOf } from "./lines.ts";

export type KubeErrorCode =
  /** Not reachable, cut off, too slow, or it said that it can't now (429, 5xx). Try again. */
  | "UNAVAILABLE"
  /** What was asked for is too old for the server: list anew. */
  | "GONE"
  /** 401. */
  | "UNAUTHENTICATED"
  /** 403: RBAC; manifests/ksr.yaml has the rules. */
  | "FORBIDDEN"
  /** 404. */
  | "NOT_FOUND"
  /** 409. */
  | "CONFLICT"
  /** It answered what makes no sense, or refused what we sent. */
  | "REFUSED";

/** What came of a request to the API server. */
export class KubeError extends HeddleError<KubeErrorCode> {
  readonly status: number | undefined;
  /** How long the server wants to be left alone. */
  readonly retryAfter: Duration | undefined;

  constructor(
    code: KubeErrorCode,
    message: string,
    options?: ErrorOptions & { status?: number; retryAfter?: Duration },
  ) {
    super(code, message, options);
    this.status = options?.status;
    this.retryAfter = options?.retryAfter;
  }
}

export interface KubeRequest {
  readonly method?: "GET" | "POST" | "PUT";
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly body?: unknown;
  readonly signal: AbortSignal;
  /** Bound of the whole of {@link KubeClient.json}, of the beginning of {@link KubeClient.lines}; 30 s if absent. */
  readonly timeout?: Duration;
}

/** A page of a list or a Lease is far below. */
const MAX_BODY_BYTES = 256 * 1024 * 1024;
const USER_AGENT = "heddle-ksr";

/** Requests to a Kubernetes API server. Every method rejects with {@link KubeError}, or with the signal's reason. */
export class KubeClient {
  readonly #credentials: Credentials;
  readonly #clock: Clock;

  constructor(options: { credentials: Credentials; clock: Clock }) {
    this.#credentials = options.credentials;
    this.#clock = options.clock;
  }

  /** The answer's body. */
  async json(request: KubeRequest): Promise<unknown> {
    return this.#bounded(request, async (signal) => {
      const response = await this.#send(request, signal);
      return parse(request, await textOf(request, response));
    });
  }

  /**
   * Values that keep coming, one a line, until the server ends them. `idle`: it counts as dead when it has sent nothing for
   * so long. `opened` is called when it has begun to answer, which may be long before there is anything to tell.
   */
  async *lines(
    request: KubeRequest,
    idle: Duration,
    opened: () => void = () => {},
  ): AsyncGenerator<unknown, void, undefined> {
    const { signal } = request;
    const own = new AbortController();
    const either = AbortSignal.any([signal, own.signal]);
    let timer: Timer | undefined;
    try {
      const response = await this.#bounded(request, () => this.#send(request, either));
      opened();
      const silent = () => response.destroy(unavailable(request, `nothing was heard of it for ${idle} ms`));
      timer = this.#clock.schedule(idle, silent);
      for await (const line of linesOf(response)) {
        timer.cancel();
        yield parse(request, line);
        timer = this.#clock.schedule(idle, silent);
      }
    } catch (e) {
      signal.throwIfAborted();
      throw e instanceof KubeError ? e : unavailable(request, "the connection broke", e);
    } finally {
      timer?.cancel();
      own.abort(); // ends the connection, which a watch has to itself
    }
  }

  async #bounded<T>(request: KubeRequest, body: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { signal, timeout = seconds(30) } = request;
    signal.throwIfAborted();
    const late = new AbortController();
    const timer = this.#clock.schedule(timeout, () => late.abort());
    const expired = new Promise<never>((_, reject) => {
      late.signal.addEventListener("abort", () => reject(unavailable(request, `no answer within ${timeout} ms`)));
    });
    try {
      return await Promise.race([body(AbortSignal.any([signal, late.signal])), expired]);
    } catch (e) {
      signal.throwIfAborted();
      throw e instanceof KubeError ? e : unavailable(request, toError(e).message, e);
    } finally {
      timer.cancel();
    }
  }

  /** Resolves with a good answer, of which only the head has been read. */
  async #send(request: KubeRequest, signal: AbortSignal): Promise<IncomingMessage> {
    const { method = "GET", path, query = {}, body } = request;
    const options = await this.#credentials.requestOptions();
    const url = new URL(this.#credentials.server.replace(/\/$/, "") + path);
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    const payload = body === undefined ? undefined : JSON.stringify(body);
    const headers = {
      // A token's file may end in a newline, which no header can hold.
      ...Object.fromEntries(Object.entries(options.headers ?? {}).map(([k, v]) => [k, String(v).trim()])),
      accept: "application/json",
      "user-agent": USER_AGENT,
      ...(payload !== undefined && {
        "content-type": "application/json",
        "content-length": Buffer.byteLength(payload),
      }),
    };
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const start = url.protocol === "https:" ? httpsRequest : httpRequest;
      const sent: ClientRequest = start(url, { ...options, method, headers, signal }, resolve);
      sent.on("error", reject);
      // A peer that is gone without a word is noticed within half a minute.
      sent.on("socket", (socket) => socket.setKeepAlive(true, 15_000));
      sent.end(payload);
    });
    const status = response.statusCode ?? 0;
    if (status >= 200 && status < 300) return response;
    const text = await textOf(request, response);
    if (status === 401) this.#credentials.refresh();
    throw errorOf(request, status, text, response.headers["retry-after"]);
  }
}

async function textOf(request: KubeRequest, response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) throw new KubeError("REFUSED", `${nameOf(request)}: more than ${MAX_BODY_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function parse(request: KubeRequest, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (e) {
    throw new KubeError("UNAVAILABLE", `${nameOf(request)}: the answer is no JSON`, { cause: e });
  }
}

const nameOf = ({ method = "GET", path }: KubeRequest): string => `${method} ${path}`;

const unavailable = (request: KubeRequest, what: string, cause?: unknown): KubeError =>
  new KubeError("UNAVAILABLE", `${nameOf(request)}: ${what}`, { cause });

const CODES: Readonly<Record<number, KubeErrorCode>> = {
  401: "UNAUTHENTICATED",
  403: "FORBIDDEN",
  404: "NOT_FOUND",
  409: "CONFLICT",
  410: "GONE",
  429: "UNAVAILABLE",
};

/** Also for the `Status` object of a watch's ERROR event, with its `code` for `status`. */
export function errorOf(request: KubeRequest, status: number, text: string, retryAfter?: string): KubeError {
  const code = CODES[status] ?? (status >= 500 || status < 200 ? "UNAVAILABLE" : "REFUSED");
  const after = Number(retryAfter);
  const message = `${nameOf(request)}: ${status} ${messageOf(text)}`.trimEnd();
  return new KubeError(code, message, { status, ...(after > 0 && { retryAfter: seconds(Math.min(after, 300)) }) });
}

/** The message of a `Status` object, or the beginning of whatever was sent. */
function messageOf(text: string): string {
  try {
    const { message } = JSON.parse(text) as { message?: unknown };
    if (typeof message === "string") return message.slice(0, 500);
  } catch {
    // A proxy's page of HTML.
  }
  return text.slice(0, 200).replaceAll(/\s+/g, " ");
}
