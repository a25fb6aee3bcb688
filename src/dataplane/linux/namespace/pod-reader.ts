import { isDeepStrictEqual } from "node:util";
import { NetlinkSocketError } from "../netlink/errors.ts";
import { blankCounters } from "../netlink/link-counters.ts";
import { type DumpAnswers, decodeDumpIn, dumpStep, type FeatureQuestion, readIn } from "../netlink/netns.ts";
import type { NetlinkDump } from "../netlink/request.ts";
import { DUMPS, type PodReading, type Snapshot, snapshotOf } from "./snapshots.ts";

/** Each repetition meets another change only in a namespace that changes all the time. */
const ATTEMPTS = 10;

interface Reading {
  readonly answers: readonly DumpAnswers[];
  readonly snapshot: Snapshot;
}

const ORDER = [DUMPS.links, DUMPS.addresses, DUMPS.routes, DUMPS.neighbours] as const;
const STEPS = ORDER.map(dumpStep);
/** Of those before it the kernel tells in the same bytes what has not changed; with neighbours it tells their age. */
const NEIGHBOURS = ORDER.indexOf(DUMPS.neighbours);
const LINKS = ORDER.indexOf(DUMPS.links);

/**
 * Reads namespaces of pods, each in one hop to a worker thread. What answers in the same bytes as the last time is not decoded
 * again: of hundreds of pods nearly all are as they were. Where nothing has changed, the snapshot is the very same one.
 */
export class PodReader implements PodReading {
  readonly #last = new Map<string, Reading>();

  /** @throws NetlinkSocketError ENOENT or NOT_A_NETNS where there is no namespace, and what dumps do. */
  async read(netns: string, asked?: FeatureQuestion): Promise<Snapshot> {
    try {
      const reading = await this.#read(netns, asked, this.#last.get(netns));
      this.#last.set(netns, reading);
      return reading.snapshot;
    } catch (e) {
      this.#last.delete(netns);
      throw e;
    }
  }

  forget(netns: string): void {
    this.#last.delete(netns);
  }

  async #read(netns: string, asked: FeatureQuestion | undefined, last: Reading | undefined): Promise<Reading> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const { answers, features } = await readIn(netns, STEPS, asked);
      if (answers[LINKS]) blankCounters(answers[LINKS]);
      const decode = async <T>(dump: NetlinkDump<T>, i: number) => decodeDumpIn(dump, answers[i] ?? EMPTY, netns);
      const neighbours = await decode(DUMPS.neighbours, NEIGHBOURS);
      if (!neighbours) continue;
      const now = { neighbours, ...(features && asked && { features: { link: asked.link, on: features } }) };
      if (last?.answers.every((before, i) => answers[i]?.equals(before))) {
        const { features: _asked, ...before } = last.snapshot;
        const snapshot = { ...before, ...now };
        return isDeepStrictEqual(last.snapshot, snapshot) ? last : { ...last, snapshot };
      }
      const links = await decode(DUMPS.links, 0);
      const addresses = await decode(DUMPS.addresses, 1);
      const routes = await decode(DUMPS.routes, 2);
      if (!links || !addresses || !routes) continue;
      const kept = answers.slice(0, NEIGHBOURS);
      return { answers: kept, snapshot: snapshotOf({ links, addresses, routes, fdb: [], ...now }) };
    }
    const text = `the state changed during each of ${ATTEMPTS} attempts`;
    throw new NetlinkSocketError(`read [${netns}]`, "DUMP_INTERRUPTED", text);
  }
}

const EMPTY = Buffer.alloc(0);
