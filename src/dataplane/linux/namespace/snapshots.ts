import type { OpContext } from "../../../kvscheduler/api/descriptor.ts";
import { HEDDLE_PROTOCOL } from "../../../models/linux.ts";
import { type AddressMessage, addressDump } from "../netlink/address.ts";
import type { Link } from "../netlink/link.ts";
import { linkDump } from "../netlink/link-requests.ts";
import type { LinkFeature } from "../netlink/native.ts";
import { type Neighbour, neighbourDump } from "../netlink/neighbour.ts";
import type { FeatureQuestion } from "../netlink/netns-reader.ts";
import type { RouteMessage } from "../netlink/route.ts";
import { routeDump } from "../netlink/route-requests.ts";

/** What a namespace held when it was read. Routes are those of ours, neighbours those that were set for good. */
export interface Snapshot {
  readonly links: readonly Link[];
  readonly addresses: readonly AddressMessage[];
  readonly routes: readonly RouteMessage[];
  readonly neighbours: readonly Neighbour[];
  readonly fdb: readonly Neighbour[];
  /** Which of the features asked for a link has on; absent where none were asked for, or nobody could tell. */
  readonly features?: { readonly link: string; readonly on: readonly LinkFeature[] };
  readonly nameOf: (index: number) => string | undefined;
}

/** Reads namespaces. */
export interface NamespaceReading {
  /** The node's own. */
  node(): Promise<Snapshot>;
  /** A pod's; rejects as opening one does. */
  read(netns: string, asked?: FeatureQuestion): Promise<Snapshot>;
  forget(netns: string): void;
}

/**
 * Namespaces read once for all descriptors of one refresh: a node with 100 pods is 101 readings and not 500. A snapshot
 * serves one transaction, and no longer than until something was changed.
 */
export class Snapshots {
  readonly #reading: NamespaceReading;
  #txn = -1;
  #round = new Round();

  constructor(reading: NamespaceReading) {
    this.#reading = reading;
  }

  /** To be called by whatever changes a namespace. */
  changed(): void {
    if (this.#round.begun.size > 0) this.#round = new Round();
  }

  /** A pod that had this namespace is gone. */
  gone(netns: string): void {
    this.#reading.forget(netns);
  }

  node(ctx: Pick<OpContext, "txn">): Promise<Snapshot> {
    return this.#of(ctx).read("", () => this.#reading.node()) as Promise<Snapshot>;
  }

  /** `undefined` when the path names no namespace any more. `asked` counts for who is the first to look there. */
  pod(ctx: Pick<OpContext, "txn">, netns: string, asked?: FeatureQuestion): Promise<Snapshot | undefined> {
    return this.#of(ctx).read(netns, () => this.#load(netns, asked));
  }

  /** Of these pods at least, but for those that are gone. */
  async pods(ctx: Pick<OpContext, "txn">, netns: readonly string[]): Promise<ReadonlyMap<string, Snapshot>> {
    const round = this.#of(ctx);
    const unread = netns.filter((path) => !round.there.has(path));
    await Promise.all(unread.map((path) => round.read(path, () => this.#load(path))));
    return round.there;
  }

  async #load(netns: string, asked?: FeatureQuestion): Promise<Snapshot | undefined> {
    try {
      return await this.#reading.read(netns, asked);
    } catch (e) {
      const { code } = e as { code?: unknown };
      // The path is free, or was taken by something else: either way the pod is not there.
      if (code === "ENOENT" || code === "NOT_A_NETNS") return undefined;
      throw e;
    }
  }

  #of({ txn }: Pick<OpContext, "txn">): Round {
    if (txn !== this.#txn) {
      this.#txn = txn;
      this.#round = new Round();
    }
    return this.#round;
  }
}

/** What was read since something was changed, in one transaction. */
class Round {
  readonly begun = new Map<string, Promise<Snapshot | undefined>>();
  readonly there = new Map<string, Snapshot>();

  read(netns: string, load: () => Promise<Snapshot | undefined>): Promise<Snapshot | undefined> {
    const begun = this.begun.get(netns);
    if (begun) return begun;
    const reading = load().then((snapshot) => {
      if (snapshot) this.there.set(netns, snapshot);
      return snapshot;
    });
    this.begun.set(netns, reading);
    return reading;
  }
}

/** What is read of a namespace. */
export const DUMPS = {
  links: linkDump(),
  addresses: addressDump(),
  routes: routeDump({ protocol: HEDDLE_PROTOCOL }),
  neighbours: neighbourDump({ permanent: true }),
} as const;

/** Of what was read. */
export function snapshotOf(found: Omit<Snapshot, "nameOf">): Snapshot {
  const names = new Map(found.links.map((link) => [link.index, link.name]));
  return { ...found, nameOf: (index) => names.get(index) };
}
