import { Codecs } from "../codec/codecs.ts";
import type { ExpectedApi } from "../schema/describe.ts";
import { loadSchema } from "../schema/load.ts";
import { type MessageDifference, verifyApi, verifyOptional } from "../schema/verify.ts";
import type { Registration } from "../wire/handshake.ts";

/** The codecs for the VPP that runs now, kept across connections. */
export class ApiCache {
  readonly #directory: string;
  readonly #expected: ExpectedApi;
  readonly #optional: readonly ExpectedApi[];
  readonly #onProblem: (error: Error) => void;
  #codecs: Codecs | undefined;
  #ids: ReadonlyMap<string, number> = new Map();

  constructor(options: {
    readonly directory: string;
    readonly expected: ExpectedApi;
    /** Of plugins that not every VPP has. */
    readonly optional: readonly ExpectedApi[];
    readonly onProblem: (error: Error) => void;
  }) {
    this.#directory = options.directory;
    this.#expected = options.expected;
    this.#optional = options.optional;
    this.#onProblem = options.onProblem;
  }

  /** Of the last connection. */
  get codecs(): Codecs | undefined {
    return this.#codecs;
  }

  /** Reads the API files the first time, and again when another VPP runs: one with other messages or CRCs. */
  async for(
    registration: Registration,
    signal: AbortSignal,
  ): Promise<{ codecs: Codecs; differences: readonly MessageDifference[]; without: readonly string[] }> {
    let codecs = this.#codecs;
    if (!codecs || !sameMessages(this.#ids, registration.ids)) {
      const schema = await loadSchema(this.#directory, signal);
      for (const problem of schema.problems) this.#onProblem(new Error(problem));
      codecs = new Codecs(schema);
      this.#codecs = codecs;
      this.#ids = registration.ids;
    }
    const differences = verifyApi(this.#expected, codecs.schema, registration.ids);
    const optional = verifyOptional(this.#optional, codecs.schema, registration.ids);
    return { codecs, differences: [...differences, ...optional.differences], without: optional.without };
  }
}

/** VPP gives its messages other numbers at every start, but their names and CRCs change with the program only. */
function sameMessages(a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>): boolean {
  return a.size === b.size && [...a.keys()].every((key) => b.has(key));
}
