import { isDeepStrictEqual } from "node:util";
import { OWN_NETNS } from "../../../models/linux.ts";
import { NetlinkSocketError } from "../netlink/errors.ts";
import { fdbDump } from "../netlink/neighbour.ts";
import { dumpStep, type FeatureQuestion, NetnsReader } from "../netlink/netns-reader.ts";
import { DUMPS, type NamespaceReading, type Snapshot, snapshotOf } from "./snapshots.ts";

/** Each repetition meets another change only in a namespace that changes all the time. */
const ATTEMPTS = 10;

const FDB = fdbDump();
const OF_ALL = [DUMPS.links, DUMPS.addresses, DUMPS.routes, DUMPS.neighbours].map(dumpStep);
const OF_NODE = [...OF_ALL, dumpStep(FDB)];

/**
 * Reads namespaces, each in one hop to a worker thread. What answers in the same bytes as the last time does not even get here: of
 * hundreds of pods nearly all are as they were. Where nothing has changed, the snapshot is the very same one.
 */
export class NamespaceReader implements NamespaceReading {
  readonly #pods = new Map<string, Reading[]>();
  readonly #node = new Reading(OWN_NETNS, { withFdb: true });

  node(): Promise<Snapshot> {
    return this.#node.read();
  }

  /** @throws NetlinkSocketError ENOENT or NOT_A_NETNS where there is no namespace, and what dumps do. */
  async read(netns: string, asked?: FeatureQuestion): Promise<Snapshot> {
    const known = this.#pods.get(netns) ?? [];
    let reading = known.find((one) => one.answers(asked));
    if (!reading) {
      reading = new Reading(netns, { asked });
      this.#pods.set(netns, [...known.filter((one) => !one.isOf(asked)), reading]);
    }
    try {
      return await reading.read();
    } catch (e) {
      this.#pods.delete(netns);
      throw e;
    }
  }

  forget(netns: string): void {
    this.#pods.delete(netns);
  }
}

/** A namespace, and what was found there last. */
class Reading {
  readonly #netns: string;
  readonly #asked: FeatureQuestion | undefined;
  readonly #withFdb: boolean;
  readonly #reader: NetnsReader;
  #snapshot: Snapshot | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(netns: string, options: { readonly asked?: FeatureQuestion | undefined; readonly withFdb?: boolean }) {
    const { asked, withFdb = false } = options;
    this.#netns = netns;
    this.#asked = asked;
    this.#withFdb = withFdb;
    this.#reader = new NetnsReader(netns, withFdb ? OF_NODE : OF_ALL, asked);
  }

  /** Who asks for nothing gets what others ask for, too. */
  answers(asked: FeatureQuestion | undefined): boolean {
    return asked === undefined || isDeepStrictEqual(asked, this.#asked);
  }

  isOf(asked: FeatureQuestion | undefined): boolean {
    return this.#asked?.link === asked?.link;
  }

  read(): Promise<Snapshot> {
    const turn = this.#turn.then(() => this.#read());
    this.#turn = turn.catch(() => {});
    return turn;
  }

  async #read(): Promise<Snapshot> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const found = await this.#reader.read();
      if (!found && this.#snapshot) return this.#snapshot;
      const links = await found?.decode(DUMPS.links, 0);
      const addresses = await found?.decode(DUMPS.addresses, 1);
      const routes = await found?.decode(DUMPS.routes, 2);
      const neighbours = await found?.decode(DUMPS.neighbours, 3);
      const fdb = this.#withFdb ? await found?.decode(FDB, 4) : [];
      if (!links || !addresses || !routes || !neighbours || !fdb) {
        this.#reader.forget();
        continue;
      }
      const on = found?.features;
      const features = on && this.#asked && { features: { link: this.#asked.link, on } };
      return (this.#snapshot = snapshotOf({ links, addresses, routes, neighbours, fdb, ...features }));
    }
    const text = `the state changed during each of ${ATTEMPTS} attempts`;
    throw new NetlinkSocketError(`read [${this.#netns}]`, "DUMP_INTERRUPTED", text);
  }
}
