import { describeNetns, socketError } from "./client.ts";
import { decodeDump, encodeDump } from "./exchange.ts";
import { type LinkFeature, type NativeReader, NetlinkProtocol, native } from "./native.ts";
import type { NetlinkDump } from "./request.ts";

/** The same for all dumps: what has not changed is answered in the same bytes. */
const DUMP_SEQ = 1;

/** A dump, ready to be made in many namespaces. */
export interface DumpStep {
  readonly protocol: NetlinkProtocol;
  readonly request: Uint8Array;
  readonly words: string;
}

export const dumpStep = (dump: NetlinkDump<unknown>): DumpStep => ({
  protocol: NetlinkProtocol.ROUTE,
  request: encodeDump(dump, DUMP_SEQ),
  words: dump.words,
});

/** Which of a link's features are asked for. */
export interface FeatureQuestion {
  readonly link: string;
  readonly features: readonly LinkFeature[];
}

/** What a {@link NetnsReader} has found. */
export interface ReadInNetns {
  /** Of each dump, in their order; undefined if the state changed while it was made. */
  decode<T>(dump: NetlinkDump<T>, index: number): Promise<T[] | undefined>;
  /** Those asked for that are on; undefined where there is no such link, or none was asked for. */
  readonly features: readonly LinkFeature[] | undefined;
}

/**
 * Makes dumps in a namespace, and asks for features of one of its links, in one hop to a worker thread; again and again, and
 * tells only what has changed.
 */
export class NetnsReader {
  readonly #netns: string;
  readonly #dumps: readonly DumpStep[];
  readonly #asked: FeatureQuestion | undefined;
  readonly #native: NativeReader;

  constructor(netns: string, dumps: readonly DumpStep[], asked?: FeatureQuestion) {
    this.#netns = netns;
    this.#dumps = dumps;
    this.#asked = asked;
    const features = asked?.features.map((feature) => ({ link: asked.link, feature })) ?? [];
    this.#native = new (native().Reader)(netns, [...dumps, ...features]);
  }

  /**
   * Undefined: all is as it was the last time, but for counters of links and ages of neighbours. One call at a time.
   * @throws NetlinkSocketError when the namespace can't be entered, or the kernel not be asked.
   */
  async read(): Promise<ReadInNetns | undefined> {
    const where = describeNetns(this.#netns);
    const results = await this.#native.read().catch((e: unknown) => {
      throw socketError(`work${where}`, e);
    });
    if (!results) return undefined;
    const answers = this.#dumps.map(({ words }, i) => {
      const result = results[i];
      if (!(result instanceof Error)) return result ?? NOTHING;
      this.forget();
      throw socketError(`${words}${where}`, result);
    });
    return {
      decode: (dump, i) => decodeDump(dump, DUMP_SEQ, answers[i] ?? NOTHING, where),
      features: this.#featuresOf(results.slice(answers.length)),
    };
  }

  /** The next read tells what it finds in any case. */
  forget(): void {
    this.#native.forget();
  }

  #featuresOf(states: readonly (Buffer | Error)[]): readonly LinkFeature[] | undefined {
    const isKnown = states.every((state) => !(state instanceof Error));
    return isKnown ? this.#asked?.features.filter((_feature, i) => (states[i] as Buffer)[0] === 1) : undefined;
  }
}

const NOTHING = Buffer.alloc(0);
