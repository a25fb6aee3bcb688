import { type IpAddress, parseIp } from "../../../base/ip/address.ts";
import { type Frontend, lookUp, type PortProtocol, type ServiceView } from "../../../services/api.ts";
import { endFlows, FLOW_FAMILIES, type FlowHandle, type FlowSocket, flowHandle } from "../conntrack/ending.ts";
import type { Flow } from "../conntrack/flow.ts";
import { flowDump } from "../conntrack/requests.ts";
import { IpProtocol } from "../conntrack/tuple.ts";
import { SERVICE_MARK } from "./names.ts";

const PROTOCOLS = [
  ["UDP", IpProtocol.UDP],
  ["SCTP", IpProtocol.SCTP],
] as const satisfies readonly (readonly [PortProtocol, number])[];

/**
 * Ends the tracking of flows to services and host ports whose endpoint no longer serves, or never did: their next packet is led anew. A flow of
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
    for (const family of Object.values(FLOW_FAMILIES)) {
      for (const [name, protocol] of PROTOCOLS) {
        const serving = new ServingCache(view, name);
        const pick = (flow: Flow): FlowHandle | undefined => (serving.isStale(flow) ? flowHandle(flow) : undefined);
        const found = await this.#socket.dump(flowDump({ family, original: { protocol } }, pick));
        await endFlows(this.#socket, found);
        ended += found.length;
      }
    }
    return ended;
  }

  async close(): Promise<void> {
    await this.#socket?.close();
  }
}

/** What is asked for flow after flow: a service may have 100,000. */
class ServingCache {
  readonly #view: ServiceView;
  readonly #protocol: PortProtocol;
  readonly #known = new Map<string, boolean>();

  constructor(view: ServiceView, protocol: PortProtocol) {
    this.#view = view;
    this.#protocol = protocol;
  }

  isStale({ original, reply, mark = 0 }: Flow): boolean {
    const { destination, destinationPort } = original;
    const { source: endpoint, sourcePort: port } = reply ?? {};
    if (destination === undefined || destinationPort === undefined) return false;
    const isMarked = (mark & SERVICE_MARK) !== 0;
    const key = `${destination} ${destinationPort} ${endpoint} ${port} ${isMarked}`;
    let stale = this.#known.get(key);
    if (stale === undefined) {
      const frontend = this.#frontend(parseIp(destination), destinationPort, isMarked);
      // Without a frontend it was one of a service if it is marked so; others are nobody's business here.
      if (!frontend) stale = isMarked;
      else if (!isMarked && this.#isOlder(frontend)) stale = false;
      else stale = endpoint === undefined || port === undefined || !this.#serves(frontend, parseIp(endpoint), port);
      this.#known.set(key, stale);
    }
    return stale;
  }

  /** What is marked was sent to an address of the node if it was not a service's, and the kernel knows more of those. */
  #frontend(address: IpAddress, port: number, isMarked: boolean): Frontend | undefined {
    const { base, isOwn, frontend } = bound(this.#view);
    return lookUp({ base, frontend, isOwn: isMarked ? () => true : isOwn }, address, this.#protocol, port);
  }

  /** An association with the node itself, from before the port was a pod's, stays as it is; so does a connection of TCP. */
  #isOlder({ kind }: Frontend): boolean {
    return kind === "HostPort" && this.#protocol === "SCTP";
  }

  #serves({ service }: Frontend, endpoint: IpAddress, port: number): boolean {
    return this.#view.serves(service, this.#protocol, endpoint, port);
  }
}

const bound = (view: ServiceView): Pick<ServiceView, "base" | "frontend" | "isOwn"> => ({
  base: view.base,
  frontend: (key) => view.frontend(key),
  isOwn: (address) => view.isOwn(address),
});
