import { Codecs } from "../codec/codecs.ts";
import type { ExpectedApi } from "../schema/describe.ts";
import { loadSchema } from "../schema/load.ts";
import { type MessageDifference, verifyApi } from "../schema/verify.ts";
import type { Registration } from "../wire/handshake.ts";

/** The codecs for the VPP that runs now, kept across connections. */
export class ApiCache {
  readonly #directory: string;
  readonly #expected: ExpectedApi;
  readonly #onProblem: (error: Error) => void;
  #codecs: Codecs | undefined;
  #ids: ReadonlyMap<string, number> = new Map();

  constructor(directory: string, expected: ExpectedApi, onProblem: (error: Error) => void) {
    this.#directory = directory;
    this.#expected = expected;
    this.#onProblem = onProblem;
  }

  /** Of the last connection. */
  get codecs(): Codecs | undefined {
    return this.#codecs;
  }

  /** Reads the API files the first time, and again when another VPP runs: one with other messages or CRCs. */
  async for(
    registration: Registration,
    signal: AbortSignal,
  ): Promise<{ codecs: Codecs; differences: readonly MessageDifference[] }> {
    let codecs = this.#codecs;
    if (!codecs || !sameMessages(this.#ids, registration.ids)) {
      const schema = await loadSchema(this.#directory, signal);
      for (const problem of schema.problems) this.#onProblem(new Error(problem));
      codecs = new Codecs(schema);
      this.#codecs = codecs;
      this.#ids = registration.ids;
    }
    return { codecs, differences: verifyApi(this.#expected, codecs.schema, registration.ids) };
  }
}

/** VPP gives its messages other numbers at every start, but their names and CRCs change with the program only. */
function sameMessages(a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>): boolean {
  return a.size === b.size && [...a.keys()].every((key) => b.has(key));
}
