import type { NetlinkSocket } from "../../../src/dataplane/linux/namespace/namespaces.ts";
import { AddressMsg, decodeAddress } from "../../../src/dataplane/linux/netlink/address.ts";
import { NetlinkError } from "../../../src/dataplane/linux/netlink/errors.ts";
import { decodeFilter, FilterMsg } from "../../../src/dataplane/linux/netlink/filter.ts";
import { encodeLink, type LinkMessage, LinkMsg } from "../../../src/dataplane/linux/netlink/link.ts";
import { decodeNeighbour, NeighbourMsg } from "../../../src/dataplane/linux/netlink/neighbour.ts";
import type { NetlinkMessage } from "../../../src/dataplane/linux/netlink/nlmsg.ts";
import { decodeQdisc, QdiscMsg } from "../../../src/dataplane/linux/netlink/qdisc.ts";
import type { NetlinkDump, NetlinkRequest } from "../../../src/dataplane/linux/netlink/request.ts";
import { decodeRoute, encodeRoute, RouteMsg, RouteType } from "../../../src/dataplane/linux/netlink/route.ts";

/** Errno numbers of asm-generic/errno-base.h and errno.h. */
const ENOENT = 2;
const ESRCH = 3;
const ENODEV = 19;
const EADDRNOTAVAIL = 99;

/** One kind of thing that lies on links: what tells two of them apart, on which link it is, and its absence. */
interface Kind {
  readonly newType: number;
  readonly delType: number;
  readonly getType: number;
  readonly key: (body: Uint8Array) => string;
  readonly link: (body: Uint8Array) => number | undefined;
  readonly errno: number;
  /** What the kernel adds. */
  readonly stored?: (body: Uint8Array) => Uint8Array;
}

const KINDS: readonly Kind[] = [
  {
    newType: RouteMsg.NEW,
    delType: RouteMsg.DEL,
    getType: RouteMsg.GET,
    key(body) {
      const r = decodeRoute(body);
      return `${r.table ?? 254} ${r.dst} ${r.priority || (r.dst.includes(":") ? 1024 : 0)}`;
    },
    link: (body) => decodeRoute(body).oif,
    errno: ESRCH,
    // IP6_RT_PRIO_USER: what an IPv6 route without a metric gets.
    stored(body) {
      const r = decodeRoute(body);
      return r.dst.includes(":") ? encodeRoute({ ...r, priority: r.priority || 1024 }) : body;
    },
  },
  {
    newType: AddressMsg.NEW,
    delType: AddressMsg.DEL,
    getType: AddressMsg.GET,
    key: (body) => `${decodeAddress(body).index} ${decodeAddress(body).address}`,
    link: (body) => decodeAddress(body).index,
    errno: EADDRNOTAVAIL,
  },
  {
    // Neighbours and forwarding entries share a message; the family tells them apart.
    newType: NeighbourMsg.NEW,
    delType: NeighbourMsg.DEL,
    getType: NeighbourMsg.GET,
    key(body) {
      const n = decodeNeighbour(body);
      return `${body[0]} ${n.index} ${body[0] === 7 ? n.address : n.dst}`;
    },
    link: (body) => decodeNeighbour(body).index,
    errno: ENOENT,
  },
  {
    newType: QdiscMsg.NEW,
    delType: QdiscMsg.DEL,
    getType: QdiscMsg.GET,
    key: (body) => `${decodeQdisc(body).index} ${decodeQdisc(body).parent}`,
    link: (body) => decodeQdisc(body).index,
    errno: ENOENT,
  },
  {
    newType: FilterMsg.NEW,
    delType: FilterMsg.DEL,
    getType: FilterMsg.GET,
    key: (body) => `${decodeFilter(body).index} ${decodeFilter(body).priority}`,
    link: (body) => decodeFilter(body).index,
    errno: ENOENT,
  },
];

/**
 * What lies on the links of one namespace, for requests that replace and delete. Links are the test's to add and to take
 * away; what lies on one goes with it, as in the kernel.
 */
export class FakeNamespace implements NetlinkSocket {
  /** The requests that changed something, in words. */
  readonly changes: string[] = [];
  /** How often something was read, and how often the socket was closed. */
  readonly counts = { dumps: 0, closed: 0 };
  /** The next request in these words fails so. */
  readonly failures = new Map<string, Error>();
  readonly #links = new Map<number, LinkMessage>();
  readonly #stored = new Map<Kind, Map<string, Uint8Array>>(KINDS.map((kind) => [kind, new Map()]));

  addLink(link: LinkMessage & { readonly index: number; readonly name: string }): void {
    this.#links.set(link.index, { flags: 1, ...link });
  }

  removeLink(index: number): void {
    this.#links.delete(index);
    for (const [kind, stored] of this.#stored) {
      for (const [key, body] of stored) if (kind.link(body) === index) stored.delete(key);
    }
  }

  async request<T>(request: NetlinkRequest<T>): Promise<T> {
    await Promise.resolve();
    const failure = this.failures.get(request.words);
    if (failure) {
      this.failures.delete(request.words);
      throw failure;
    }
    if (request.type === RouteMsg.GET) return request.decode([this.#lookUp(request.body)]);
    const kind = KINDS.find((k) => k.newType === request.type || k.delType === request.type);
    const stored = kind && this.#stored.get(kind);
    if (!kind || !stored) throw new Error(`the double knows no message ${request.type} (${request.words})`);
    const key = kind.key(request.body);
    if (request.type === kind.newType) {
      const link = kind.link(request.body);
      if (link !== undefined && !this.#links.has(link)) throw new NetlinkError(request.words, ENODEV);
      stored.set(key, kind.stored?.(request.body) ?? request.body);
    } else if (stored.delete(key)) {
      this.#dropFilters(kind, key);
    } else {
      throw new NetlinkError(request.words, kind.errno);
    }
    this.changes.push(request.words);
    return request.decode([]);
  }

  async dump<T>(dump: NetlinkDump<T>): Promise<T[]> {
    await Promise.resolve();
    this.counts.dumps++;
    const header = { flags: 0, seq: 0, portId: 0 };
    const found = (type: number, bodies: Iterable<Uint8Array>): T[] =>
      [...bodies].flatMap((body) => dump.decode({ ...header, type, body }) ?? []);
    if (dump.type === LinkMsg.GET) return found(LinkMsg.NEW, [...this.#links.values()].map(encodeLink));
    const kind = KINDS.find((k) => k.getType === dump.type);
    if (!kind) throw new Error(`the double knows no dump ${dump.type} (${dump.words})`);
    const bodies = [...(this.#stored.get(kind)?.values() ?? [])];
    if (kind.getType !== FilterMsg.GET) return found(kind.newType, bodies);
    // struct tcmsg: the link's index is at 4.
    const index = Buffer.from(dump.body).readInt32LE(4);
    return found(
      kind.newType,
      bodies.filter((body) => kind.link(body) === index),
    );
  }

  close(): void {
    this.counts.closed++;
  }

  /** Whose address it is, and nothing else: the local route of an address is there as soon as the address is. */
  #lookUp(body: Uint8Array): NetlinkMessage {
    const { dst } = decodeRoute(body);
    const addresses = this.#stored.get(KINDS.find((k) => k.newType === AddressMsg.NEW) as Kind)?.values() ?? [];
    const held = [...addresses].some((a) => decodeAddress(a).address === dst);
    const found = encodeRoute({ dst, type: held ? RouteType.LOCAL : RouteType.UNREACHABLE });
    return { type: RouteMsg.NEW, flags: 0, seq: 0, portId: 0, body: found };
  }

  /** A discipline's filters go with it. */
  #dropFilters(kind: Kind, key: string): void {
    if (kind.newType !== QdiscMsg.NEW) return;
    for (const [other, stored] of this.#stored) {
      if (other.newType !== FilterMsg.NEW) continue;
      for (const [filter] of stored) if (filter.split(" ")[0] === key.split(" ")[0]) stored.delete(filter);
    }
  }
}

/** The namespaces of a node. */
export class FakeKernel {
  readonly node = new FakeNamespace();
  readonly pods = new Map<string, FakeNamespace>();

  readonly open = async (netns: string): Promise<FakeNamespace> => {
    const found = this.pods.get(netns);
    if (found) return found;
    throw Object.assign(new Error(`open ${netns}: ENOENT`), { code: "ENOENT" });
  };

  pod(netns: string): FakeNamespace {
    let found = this.pods.get(netns);
    if (!found) this.pods.set(netns, (found = new FakeNamespace()));
    return found;
  }
}
