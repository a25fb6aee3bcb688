import type { OpContext } from "../../../kvscheduler/api/descriptor.ts";
import { HEDDLE_PROTOCOL } from "../../../models/linux.ts";
import { type AddressMessage, addressDump } from "../netlink/address.ts";
import type { Link } from "../netlink/link.ts";
import { linkDump } from "../netlink/link-requests.ts";
import { fdbDump, type Neighbour, neighbourDump } from "../netlink/neighbour.ts";
import type { RouteMessage } from "../netlink/route.ts";
import { routeDump } from "../netlink/route-requests.ts";
import type { Namespaces, Netlink } from "./namespaces.ts";

/** What a namespace held when it was read. Routes are those of ours. */
export interface Snapshot {
  readonly links: readonly Link[];
  readonly addresses: readonly AddressMessage[];
  readonly routes: readonly RouteMessage[];
  readonly neighbours: readonly Neighbour[];
  readonly fdb: readonly Neighbour[];
  readonly nameOf: (index: number) => string | undefined;
}

/**
 * Namespaces read once for all descriptors of one refresh: a node with 100 pods is 101 readings and not 500. A snapshot
 * serves one transaction, and no longer than until something was changed.
 */
export class Snapshots {
  readonly #namespaces: Namespaces;
  #txn = -1;
  #cache = new Map<string, Promise<Snapshot | undefined>>();

  constructor(namespaces: Namespaces) {
    this.#namespaces = namespaces;
  }

  /** To be called by whatever changes a namespace. */
  changed(): void {
    if (this.#cache.size > 0) this.#cache = new Map();
  }

  node(ctx: Pick<OpContext, "txn">): Promise<Snapshot> {
    return this.#cached(ctx, "", () => read(this.#namespaces.node, true)) as Promise<Snapshot>;
  }

  /** `undefined` when the path names no namespace any more. */
  pod(ctx: Pick<OpContext, "txn">, netns: string): Promise<Snapshot | undefined> {
    return this.#cached(ctx, netns, async () => {
      try {
        return await this.#namespaces.in(netns, (netlink) => read(netlink, false));
      } catch (e) {
        const { code } = e as { code?: unknown };
        // The path is free, or was taken by something else: either way the pod is not there.
        if (code === "ENOENT" || code === "NOT_A_NETNS") return undefined;
        throw e;
      }
    });
  }

  #cached(
    ctx: Pick<OpContext, "txn">,
    netns: string,
    load: () => Promise<Snapshot | undefined>,
  ): Promise<Snapshot | undefined> {
    if (ctx.txn !== this.#txn) {
      this.#txn = ctx.txn;
      this.#cache = new Map();
    }
    let snapshot = this.#cache.get(netns);
    if (!snapshot) this.#cache.set(netns, (snapshot = load()));
    return snapshot;
  }
}

async function read(netlink: Netlink, withFdb: boolean): Promise<Snapshot> {
  const [links, addresses, routes, neighbours, fdb] = await Promise.all([
    netlink.dump(linkDump()),
    netlink.dump(addressDump()),
    netlink.dump(routeDump({ protocol: HEDDLE_PROTOCOL })),
    netlink.dump(neighbourDump()),
    withFdb ? netlink.dump(fdbDump()) : [],
  ]);
  const names = new Map(links.map((link) => [link.index, link.name]));
  return {
    links,
    addresses,
    routes,
    neighbours,
    fdb,
    nameOf: (index) => names.get(index),
  };
}
