import { fullMessage, HeddleError } from "../../base/errors/errors.ts";
import type { HttpAnswer, HttpRequest, Route } from "./http-server.ts";

/** Why a question gets no answer; each has its HTTP status. */
export type QueryErrorCode = "BAD_QUERY" | "NOT_HERE" | "NOT_YET";

export class QueryError extends HeddleError<QueryErrorCode> {}

const STATUS: Readonly<Record<QueryErrorCode, number>> = { BAD_QUERY: 400, NOT_HERE: 404, NOT_YET: 503 };

/** An answer as a value for programs, and as text for people. */
export interface Told {
  readonly value: unknown;
  readonly text: () => string;
}

/** A question that a route answers out of `S`. */
export interface Question<S> {
  readonly help: string;
  /** Those that may be given, each with what it means. */
  readonly params: Readonly<Record<string, string>>;
  readonly answer: (source: S, asked: HttpRequest) => Promise<Told> | Told;
}

export interface QuestionsOptions<S> {
  /** `"/policy"`: `GET` of it lists the questions. */
  readonly at: string;
  /** `"GET /policy/show"` → question. */
  readonly questions: Readonly<Record<string, Question<S>>>;
  /** @throws QueryError NOT_HERE or NOT_YET, where there is none. */
  readonly source: () => S;
  /** The status for an error of the domain's own; undefined for one that is no answer. */
  readonly statusOf: (error: Error) => number | undefined;
}

const FORMAT = { format: "json or text" };

/** Routes that answer in JSON, or in text to whom asks for `format=text` or accepts `text/plain`. */
export function questionRoutes<S>(options: QuestionsOptions<S>): [string, Route][] {
  const questions = Object.entries(options.questions);
  const routes = questions.map(([route, question]): [string, Route] => [
    route,
    (request) => answer(options, question, request),
  ]);
  const listing = questions.map(([route, { help, params }]) => ({ route, help, params: { ...params, ...FORMAT } }));
  return [[`GET ${options.at}`, () => ({ status: 200, body: listing })], ...routes];
}

/** @throws QueryError BAD_QUERY for one that is missing or empty. */
export function need(query: URLSearchParams, name: string): string {
  const value = query.get(name);
  if (value) return value;
  throw new QueryError("BAD_QUERY", `parameter ${name} is missing`);
}

async function answer<S>(options: QuestionsOptions<S>, asked: Question<S>, request: HttpRequest): Promise<HttpAnswer> {
  try {
    const format = formatOf(asked.params, request);
    const { value, text } = await asked.answer(options.source(), request);
    return { status: 200, body: format === "json" ? value : `${text()}\n` };
  } catch (e) {
    const status = e instanceof QueryError ? STATUS[e.code] : e instanceof Error ? options.statusOf(e) : undefined;
    if (status === undefined) throw e;
    return { status, body: { error: fullMessage(e) } };
  }
}

function formatOf(params: Readonly<Record<string, string>>, { query, headers }: HttpRequest): "json" | "text" {
  const allowed = [...Object.keys(params), "format"];
  const unknown = [...query.keys()].find((k) => !allowed.includes(k));
  if (unknown !== undefined) {
    throw new QueryError("BAD_QUERY", `unknown parameter ${unknown}; there are ${allowed.join(", ")}`);
  }
  const wantsText = headers.accept?.startsWith("text/plain") ?? false;
  const format = query.get("format") ?? (wantsText ? "text" : "json");
  if (format === "json" || format === "text") return format;
  throw new QueryError("BAD_QUERY", `format=${format}: it is json or text`);
}
