import { fullMessage } from "../../../base/errors/errors.ts";
import { familyOf, type IpAddress, parseIp } from "../../../base/ip/address.ts";
import type { EgressSources } from "../../../egress/api.ts";
import { endFlows, FLOW_FAMILIES, type FlowSocket, flowHandle } from "../conntrack/ending.ts";
import type { Flow } from "../conntrack/flow.ts";
import { flowDump } from "../conntrack/requests.ts";

/**
 * Ends the tracking of flows of pods to the outside that have another source than they should: the kernel keeps to the source
 * that a flow began with. The next packet of UDP gets the right one; a connection of TCP is refused by who does not know it.
 */
export class EgressFlows {
  readonly #open: () => Promise<FlowSocket>;
  #socket: FlowSocket | undefined;
  /** Of earlier calls that failed. */
  #left: EgressSources = new Map();
  #problem: string | undefined;

  /** The socket is opened when it is first needed. */
  constructor(open: () => Promise<FlowSocket>) {
    this.#open = open;
  }

  /** Why flows of earlier calls may be stuck; undefined when all is well. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Never rejects. What could not be done is named in {@link problem} and done again with the next call. */
  async end(sources: EgressSources, isOutside: (destination: IpAddress) => boolean): Promise<void> {
    const all = new Map([...this.#left, ...sources]);
    try {
      this.#socket ??= await this.#open();
      for (const family of [4, 6] as const) {
        if (![...all.keys()].some((pod) => familyOf(pod) === family)) continue;
        const pick = (flow: Flow) => (isStale(flow, all, isOutside) ? flowHandle(flow) : undefined);
        const dump = flowDump({ family: FLOW_FAMILIES[family], original: {} }, pick);
        await endFlows(this.#socket, await this.#socket.dump(dump));
      }
      this.#left = new Map();
      this.#problem = undefined;
    } catch (e) {
      this.#left = all;
      this.#problem = `connection tracking: flows that began with another egress address may be stuck: ${fullMessage(e)}`;
    }
  }

  async close(): Promise<void> {
    await this.#socket?.close();
  }
}

function isStale({ original, reply }: Flow, sources: EgressSources, isOutside: (ip: IpAddress) => boolean): boolean {
  if (original.source === undefined || reply?.source === undefined) return false;
  const pod = parseIp(original.source);
  return sources.has(pod) && sources.get(pod) !== reply.destination && isOutside(parseIp(reply.source));
}
