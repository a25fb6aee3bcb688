/**
 * The root of Heddle's errors. `code` is stable and is what callers test; `message` is for people: what was wrong,
 * where, and what to do about it. `cause` keeps the error below.
 */
export class HeddleError<Code extends string = string> extends Error {
  readonly code: Code;

  constructor(code: Code, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** What was asked of something that has been closed. Callers that see it during shutdown can ignore it. */
export class ClosedError extends HeddleError<"CLOSED"> {
  constructor(what: string) {
    super("CLOSED", `${what} is closed`);
  }
}

/** An operation that did not end by its deadline. Whether it took effect is unknown. */
export class DeadlineError extends HeddleError<"DEADLINE"> {
  constructor(what: string, afterMs: number) {
    super("DEADLINE", `${what} did not finish within ${Math.round(afterMs)} ms`);
  }
}

/** A queue at its bound; try again later. */
export class OverloadedError extends HeddleError<"OVERLOADED"> {
  constructor(what: string, bound: number) {
    super("OVERLOADED", `${what} is full (${bound} waiting); try again later`);
  }
}

/** Wraps whatever was thrown so that it has a message and a stack. */
export function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(typeof thrown === "string" ? thrown : textOf(thrown));
}

function textOf(thrown: unknown): string {
  try {
    return JSON.stringify(thrown) ?? String(thrown);
  } catch {
    return String(thrown); // a circle, a bigint
  }
}

/** The message with those of its causes: "cannot create veth hd0: EEXIST: File exists". */
export function fullMessage(thrown: unknown): string {
  const parts: string[] = [];
  for (let e: unknown = thrown; e != null && parts.length < 8; e = e instanceof Error ? e.cause : undefined) {
    const text = toError(e).message;
    if (text && !parts.some((p) => p.includes(text))) parts.push(text);
  }
  return parts.join(": ");
}

/** The errno name of a Node.js system error (`"ENOENT"`), or undefined. */
export function errnoOf(thrown: unknown): string | undefined {
  const code = (thrown as { code?: unknown } | null | undefined)?.code;
  return typeof code === "string" ? code : undefined;
}
