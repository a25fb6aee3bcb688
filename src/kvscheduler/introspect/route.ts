import { ClosedError, fullMessage, HeddleError, OverloadedError } from "../../base/errors/errors.ts";
import type { Scheduler } from "../api/scheduler.ts";
import { toJson } from "./plain.ts";
import { BadQueryError, choice, type Params, type Parsed, parseQuery } from "./query.ts";

/** What a route needs to know of a request: no framework's type, but most fit. */
export interface RestRequest {
  readonly query: URLSearchParams;
  readonly headers: { readonly [name: string]: string | readonly string[] | undefined };
  readonly body: Uint8Array;
  /** Aborts when the client goes away. */
  readonly signal: AbortSignal;
}

/** `body` is a finished text, or its pieces in order. */
export interface RestAnswer {
  readonly status: number;
  readonly body: string | AsyncIterable<string>;
  readonly contentType: string;
}

export type RestRoute = (request: RestRequest) => Promise<RestAnswer>;

/** A route as its author writes it; {@link defineRoute} adds what all have in common. */
export interface RouteSpec<P extends Params> {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly help: string;
  readonly params: P;
  /** Formats that it can answer in, the default first. `json` and `text` can also be asked for by `Accept`. */
  readonly formats: readonly Format[];
  answer(context: RouteContext<P>): Promise<RestAnswer> | RestAnswer;
}

export type Format = "json" | "text" | "dot" | "svg";

export interface RouteContext<P extends Params> {
  readonly scheduler: Scheduler;
  readonly query: Parsed<P>;
  readonly format: Format;
  readonly body: Uint8Array;
  readonly signal: AbortSignal;
}

export interface DefinedRoute {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly help: string;
  /** `{key: "KEY: which value"}` */
  readonly params: Readonly<Record<string, string>>;
  readonly handle: (scheduler: Scheduler | undefined, request: RestRequest) => Promise<RestAnswer>;
}

/** Something that was asked for and is not there. */
export class NotFoundError extends HeddleError<"NOT_FOUND"> {
  constructor(message: string) {
    super("NOT_FOUND", message);
  }
}

/** A body that is larger than it may be. */
export class TooLargeError extends HeddleError<"TOO_LARGE"> {
  constructor(message: string) {
    super("TOO_LARGE", message);
  }
}

export function defineRoute<P extends Params>(spec: RouteSpec<P>): DefinedRoute {
  const { method, path, help, formats } = spec;
  const params = { ...spec.params, ...(formats.length > 1 && { format: choice(formats, "how to answer") }) };
  return {
    method,
    path,
    help,
    params: Object.fromEntries(Object.entries(params).map(([name, p]) => [name, `${p.form}: ${p.help}`])),
    handle: async (scheduler, request) => {
      try {
        if (method === "POST") refuseBrowsers(request);
        const { format, ...query } = parseQuery(params, request.query) as Parsed<P> & { readonly format?: Format };
        if (scheduler === undefined) return failure(503, "the scheduler has not been started yet; try again later");
        return await spec.answer({
          scheduler,
          query: query as unknown as Parsed<P>,
          format: format ?? accepted(request, formats),
          body: request.body,
          signal: request.signal,
        });
      } catch (e) {
        return failure(statusOf(e), fullMessage(e));
      }
    },
  };
}

/** What the client accepts, of what there is; the default if it says nothing that we know. */
function accepted({ headers }: RestRequest, formats: readonly Format[]): Format {
  const accept = String(headers["accept"] ?? "");
  const wanted = Object.entries(CONTENT_TYPES)
    .map(([format, type]) => ({ format: format as Format, at: accept.indexOf(type.split(";")[0]!) }))
    .filter(({ format, at }) => at >= 0 && formats.includes(format))
    .sort((a, b) => a.at - b.at);
  return wanted[0]?.format ?? formats[0]!;
}

export const CONTENT_TYPES = {
  json: "application/json",
  text: "text/plain; charset=utf-8",
  svg: "image/svg+xml",
  dot: "text/vnd.graphviz; charset=utf-8",
} as const satisfies Record<Format, string>;

/** A page in somebody's browser must not be able to act on an agent that listens on the loopback only. */
function refuseBrowsers({ headers }: RestRequest): void {
  if (headers["origin"] !== undefined) throw new ForbiddenError();
}

class ForbiddenError extends HeddleError<"FORBIDDEN"> {
  constructor() {
    super("FORBIDDEN", "requests of web pages (with an Origin header) are refused");
  }
}

/** A wrong request is the client's fault; what the scheduler refuses for now can be repeated; the rest is ours. */
function statusOf(e: unknown): number {
  if (e instanceof NotFoundError) return 404;
  if (e instanceof TooLargeError) return 413;
  if (e instanceof ForbiddenError) return 403;
  if (e instanceof ClosedError || e instanceof OverloadedError) return 503;
  if (e instanceof BadQueryError) return 400;
  return e instanceof HeddleError && BAD_REQUESTS.has(e.code) ? 400 : 500;
}

const BAD_REQUESTS = new Set(["BAD_TRANSACTION", "TOO_DENSE"]);

export function failure(status: number, error: string): RestAnswer {
  return { status, body: `${toJson({ error })}\n`, contentType: CONTENT_TYPES.json };
}

export function ok(format: Format, body: RestAnswer["body"]): RestAnswer {
  return { status: 200, body, contentType: CONTENT_TYPES[format] };
}

/** One JSON value, or the text that `toText` makes of it. */
export function answerOf<T>(format: Format, value: T, toText: (value: T) => string): RestAnswer {
  return ok(format, format === "json" ? `${toJson(value)}\n` : `${toText(value)}\n`);
}
