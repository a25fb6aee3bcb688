import { setImmediate as nextTurn } from "node:timers/promises";
import { type IpAddress, parseIp } from "../../../base/ip/address.ts";
import { type Frontend, frontendKey, type PortProtocol, type ServiceView } from "../../../services/api.ts";
import type { Flow } from "../conntrack/flow.ts";
import type { FlowSocket } from "../conntrack/flusher.ts";
import { flowDelete, flowDump } from "../conntrack/requests.ts";
import { IpProtocol } from "../conntrack/tuple.ts";
import { isNotFound } from "../netlink/errors.ts";
import { AddressFamily } from "../netlink/ip.ts";
import { SERVICE_MARK } from "./names.ts";

/** Deletions between two turns of the event loop: about 2 ms. */
const SLICE = 256;

const FAMILIES = [
  [4, AddressFamily.INET],
  [6, AddressFamily.INET6],
] as const;
const PROTOCOLS = [
  ["UDP", IpProtocol.UDP],
  ["SCTP", IpProtocol.SCTP],
] as const satisfies readonly (readonly [PortProtocol, number])[];

type Stale = Pick<Flow, "id" | "original" | "zone">;

/**
 * Ends the tracking of flows to services whose endpoint no longer serves, or never did: their next packet is led anew. A flow of
 * UDP ends only by silence, and an INIT of SCTP leaves an established entry as it is. TCP needs nothing: an endpoint that goes
 * ends its connections, and a SYN behind that is led anew.
 *
 * What is looked at is all that there is, by what is in force when it is seen: nothing need be known of what was before, and
 * an agent that was killed in between does it at its next start.
 */
export class StaleFlows {
  readonly #open: () => Promise<FlowSocket>;
  #socket: FlowSocket | undefined;

  /** The socket is opened when it is first needed. */
  constructor(open: () => Promise<FlowSocket>) {
    this.#open = open;
  }

  /** Resolves with how many there were. */
  async end(view: ServiceView): Promise<number> {
    this.#socket ??= await this.#open();
    let ended = 0;
    for (const [family, number] of FAMILIES) {
      for (const [name, protocol] of PROTOCOLS) {
        const serving = new ServingCache(view, family, name);
        const pick = ({ original, reply, mark, id, zone }: Flow): Stale | undefined => {
          if (!serving.isStale({ original, ...(reply ? { reply } : {}), ...(mark === undefined ? {} : { mark }) })) {
            return undefined;
          }
          return { original, ...(zone === undefined ? {} : { zone }), ...(id === undefined ? {} : { id }) };
        };
        const found = await this.#socket.dump(flowDump({ family: number, original: { protocol } }, pick));
        await this.#delete(this.#socket, found);
        ended += found.length;
      }
    }
    return ended;
  }

  async close(): Promise<void> {
    await this.#socket?.close();
  }

  async #delete(socket: FlowSocket, stale: readonly Stale[]): Promise<void> {
    for (let at = 0; at < stale.length; at += SLICE) {
      const outcomes = await socket.burst(stale.slice(at, at + SLICE).map(flowDelete));
      // One that has ended meanwhile is no failure.
      for (const outcome of outcomes) if (!outcome.ok && !isNotFound(outcome.error)) throw outcome.error;
      await nextTurn();
    }
  }
}

/** What is asked for flow after flow: a service may have 100,000. */
class ServingCache {
  readonly #view: ServiceView;
  readonly #family: 4 | 6;
  readonly #protocol: PortProtocol;
  readonly #nodeAddresses: ReadonlySet<string>;
  readonly #known = new Map<string, boolean>();

  constructor(view: ServiceView, family: 4 | 6, protocol: PortProtocol) {
    this.#view = view;
    this.#family = family;
    this.#protocol = protocol;
    this.#nodeAddresses = new Set(view.base.nodePortAddresses);
  }

  isStale({ original, reply, mark = 0 }: Flow): boolean {
    const { destination, destinationPort } = original;
    const { source: endpoint, sourcePort: port } = reply ?? {};
    if (destination === undefined || destinationPort === undefined) return false;
    const key = `${destination} ${destinationPort} ${endpoint} ${port} ${mark & SERVICE_MARK}`;
    let stale = this.#known.get(key);
    if (stale === undefined) {
      const frontend = this.#frontend(parseIp(destination), destinationPort);
      // Without a frontend it was one of a service if it is marked so; others are nobody's business here.
      if (!frontend) stale = (mark & SERVICE_MARK) !== 0;
      else stale = endpoint === undefined || port === undefined || !this.#serves(frontend, parseIp(endpoint), port);
      this.#known.set(key, stale);
    }
    return stale;
  }

  #frontend(address: IpAddress, port: number): Frontend | undefined {
    const exact = this.#view.frontend(frontendKey(this.#family, this.#protocol, address, port));
    if (exact || !this.#nodeAddresses.has(address)) return exact;
    return this.#view.frontend(frontendKey(this.#family, this.#protocol, undefined, port));
  }

  #serves({ service }: Frontend, endpoint: IpAddress, port: number): boolean {
    return this.#view.serves(service, this.#protocol, endpoint, port);
  }
}
