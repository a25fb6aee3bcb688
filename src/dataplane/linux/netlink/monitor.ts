import { type AddressMessage, AddressMsg, decodeAddress } from "./address.ts";
import { describeNetns, socketError } from "./client.ts";
import { decodeLink, type Link, LinkMsg } from "./link.ts";
import { type NativeNetlinkSocket, NetlinkProtocol, type NetnsTarget, native } from "./native.ts";
import { decodeNeighbour, type Neighbour, NeighbourMsg } from "./neighbour.ts";
import { decodeEach, type NetlinkMessage } from "./nlmsg.ts";
import { decodeRoute, type RouteMessage, RouteMsg } from "./route.ts";
import { decodeRule, type RuleMessage, RuleMsg } from "./rule.ts";

/** RTNLGRP_* of linux/rtnetlink.h. */
export const RtGroup = {
  LINK: 1,
  NEIGH: 3,
  IPV4_IFADDR: 5,
  IPV4_ROUTE: 7,
  IPV4_RULE: 8,
  IPV6_IFADDR: 9,
  IPV6_ROUTE: 11,
  IPV6_RULE: 19,
} as const;

/** What a monitor can follow. Neighbours include forwarding entries (family bridge). */
export type MonitorSubject = "link" | "address" | "route" | "neighbour" | "rule";

const GROUPS: Readonly<Record<MonitorSubject, readonly number[]>> = {
  link: [RtGroup.LINK],
  address: [RtGroup.IPV4_IFADDR, RtGroup.IPV6_IFADDR],
  route: [RtGroup.IPV4_ROUTE, RtGroup.IPV6_ROUTE],
  neighbour: [RtGroup.NEIGH],
  rule: [RtGroup.IPV4_RULE, RtGroup.IPV6_RULE],
};

/** A change that the kernel announced. `gone` says that the object was removed. */
export type MonitorEvent =
  | { readonly subject: "link"; readonly gone: boolean; readonly object: Link }
  | { readonly subject: "address"; readonly gone: boolean; readonly object: AddressMessage }
  | { readonly subject: "route"; readonly gone: boolean; readonly object: RouteMessage }
  | { readonly subject: "neighbour"; readonly gone: boolean; readonly object: Neighbour }
  | { readonly subject: "rule"; readonly gone: boolean; readonly object: RuleMessage };

/**
 * Receives events in the kernel's order. After `overrun` (the kernel dropped messages, or one could not be read) nothing
 * that was derived from events holds: read the state with dumps; events that come meanwhile may be older than it.
 */
export interface MonitorListener {
  events(events: readonly MonitorEvent[]): void;
  overrun(): void;
}

/** Follows changes in a namespace by multicast. Open it before the first dump, so that nothing falls in between. */
export class NetlinkMonitor implements Disposable {
  readonly #socket: NativeNetlinkSocket;

  private constructor(socket: NativeNetlinkSocket) {
    this.#socket = socket;
  }

  /** Rejects as `RtNetlink.open` does. The listener is called from the event loop; it must not throw. */
  static async open(
    options: {
      readonly netns?: NetnsTarget;
      readonly subjects: readonly MonitorSubject[];
      readonly receiveBuffer?: number;
    },
    listener: MonitorListener,
  ): Promise<NetlinkMonitor> {
    const { netns, subjects, receiveBuffer } = options;
    try {
      const socket = await native().openNetlink({
        netns,
        protocol: NetlinkProtocol.ROUTE,
        groups: subjects.flatMap((subject) => GROUPS[subject]),
        ...(receiveBuffer === undefined ? {} : { receiveBuffer }),
      });
      socket.listen((bytes, overrun) => deliver(listener, bytes, overrun));
      return new NetlinkMonitor(socket);
    } catch (e) {
      throw socketError(`open a netlink monitor${describeNetns(netns)}`, e);
    }
  }

  /** No call of the listener follows. */
  close(): void {
    this.#socket.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function deliver(listener: MonitorListener, bytes: Uint8Array, overrun: boolean): void {
  const { events, lost } = decodeEvents(bytes);
  if (events.length > 0) listener.events(events);
  if (overrun || lost) listener.overrun();
}

/** The events that `bytes` announce; `lost` says that something among them could not be read. */
export function decodeEvents(bytes: Uint8Array): { events: MonitorEvent[]; lost: boolean } {
  const { decoded, lost } = decodeEach(bytes, decodeEvent);
  return { events: decoded, lost };
}

function decodeEvent({ type, body }: NetlinkMessage): MonitorEvent | undefined {
  switch (type) {
    case LinkMsg.NEW:
    case LinkMsg.DEL:
      // Bridges announce their ports' state under their own family; the link itself has an announcement of its own.
      return body[0] === 0 ? { subject: "link", gone: type === LinkMsg.DEL, object: decodeLink(body) } : undefined;
    case AddressMsg.NEW:
    case AddressMsg.DEL:
      return { subject: "address", gone: type === AddressMsg.DEL, object: decodeAddress(body) };
    case RouteMsg.NEW:
    case RouteMsg.DEL:
      return { subject: "route", gone: type === RouteMsg.DEL, object: decodeRoute(body) };
    case NeighbourMsg.NEW:
    case NeighbourMsg.DEL:
      return { subject: "neighbour", gone: type === NeighbourMsg.DEL, object: decodeNeighbour(body) };
    case RuleMsg.NEW:
    case RuleMsg.DEL:
      return { subject: "rule", gone: type === RuleMsg.DEL, object: decodeRule(body) };
    default:
      return undefined;
  }
}
