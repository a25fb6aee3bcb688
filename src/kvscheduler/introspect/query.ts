import { HeddleError } from "../../base/errors/errors.ts";

/** A request that cannot be answered as it was put; the message says what was wrong and what is allowed. */
export class BadQueryError extends HeddleError<"BAD_QUERY"> {
  constructor(message: string) {
    super("BAD_QUERY", message);
  }
}

/** One parameter of a query. */
export interface Param<T> {
  /** What may stand there, for the index and for errors: `"TIME"`, `"json|text"`. */
  readonly form: string;
  readonly help: string;
  /** @throws BadQueryError */
  parse(text: string): T;
}

export type Params = Readonly<Record<string, Param<unknown>>>;

/** What a query said: absent parameters are absent. */
export type Parsed<P extends Params> = { readonly [K in keyof P]?: P[K] extends Param<infer T> ? T : never };

/** Checks a query against what a route takes. @throws BadQueryError naming every parameter that is allowed */
export function parseQuery<P extends Params>(params: P, query: URLSearchParams): Parsed<P> {
  const parsed: Record<string, unknown> = {};
  for (const [name, text] of query) {
    const param = Object.hasOwn(params, name) ? params[name] : undefined;
    if (param === undefined) {
      throw new BadQueryError(`there is no parameter ${quote(name)} here; allowed: ${allowed(params)}`);
    }
    if (Object.hasOwn(parsed, name)) throw new BadQueryError(`the parameter ${name} is given twice`);
    try {
      parsed[name] = param.parse(text);
    } catch (e) {
      if (!(e instanceof BadQueryError)) throw e;
      throw new BadQueryError(`${name}=${shorten(text)}: ${e.message}`);
    }
  }
  return parsed as Parsed<P>;
}

/** `key=KEY, format=json|text` */
function allowed(params: Params): string {
  const all = Object.entries(params).map(([name, { form }]) => `${name}=${form}`);
  return all.length === 0 ? "none" : all.join(", ");
}

export function text(form: string, help: string): Param<string> {
  return {
    form,
    help,
    parse: (given) => {
      if (given === "") throw new BadQueryError(`is empty; ${form} is wanted`);
      return given;
    },
  };
}

export function choice<const C extends string>(choices: readonly C[], help: string): Param<C> {
  const form = choices.join("|");
  return {
    form,
    help,
    parse: (given) => {
      const found = choices.find((c) => c === given);
      if (found === undefined) throw new BadQueryError(`is none of ${choices.join(", ")}`);
      return found;
    },
  };
}

/** Several of them, with commas in between. */
export function choices<const C extends string>(all: readonly C[], help: string): Param<readonly C[]> {
  const one = choice(all, help);
  return {
    form: `${one.form} (several with commas)`,
    help,
    parse: (given) => given.split(",").map((name) => one.parse(name)),
  };
}

export function whole(min: number, max: number, help: string): Param<number> {
  const form = `${min}..${max}`;
  return {
    form: "N",
    help,
    parse: (given) => {
      const n = Number(given);
      if (!/^\d+$/.test(given) || n < min || n > max) throw new BadQueryError(`is no whole number in ${form}`);
      return n;
    },
  };
}

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A moment, in wall-clock milliseconds. `wall` says what time it is, for moments that are counted back from now. */
export function moment(wall: () => number, help: string): Param<number> {
  return {
    form: "TIME",
    help: `${help} (RFC 3339, milliseconds since 1970, or how long ago: 90s, 10m, 2h, 1d)`,
    parse: (given) => {
      const ago = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(given);
      if (ago !== null) return wall() - Number(ago[1]) * UNITS[ago[2]!]!;
      if (/^\d{10,16}$/.test(given)) return Number(given);
      // A "+" that was not encoded in a URL arrives as a blank: "2026-01-01T00:00:00 02:00".
      const at = /^\d{4}-\d\d-\d\d/.test(given) ? Date.parse(given.replace(/ (?=\d\d:\d\d$)/, "+")) : Number.NaN;
      if (Number.isNaN(at)) {
        throw new BadQueryError(
          "is no time: RFC 3339 (2026-01-31T12:00:00Z), milliseconds since 1970, or how long ago (90s, 10m, 2h, 1d)",
        );
      }
      return at;
    },
  };
}

/** Refuses combinations. @throws BadQueryError if more than one of `names` was given */
export function atMostOne(parsed: Readonly<Record<string, unknown>>, ...names: readonly string[]): void {
  const given = names.filter((name) => parsed[name] !== undefined);
  if (given.length > 1) throw new BadQueryError(`${given.join(" and ")} exclude each other`);
}

function shorten(given: string): string {
  return given.length > 60 ? `${given.slice(0, 60)}…` : given;
}

const quote = (name: string): string => JSON.stringify(shorten(name));
