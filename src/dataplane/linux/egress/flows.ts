import { setImmediate as nextTurn } from "node:timers/promises";
import { fullMessage } from "../../../base/errors/errors.ts";
import { type IpAddress, parseIp } from "../../../base/ip/address.ts";
import type { EgressSources } from "../../../egress/api.ts";
import type { Flow } from "../conntrack/flow.ts";
import type { FlowSocket } from "../conntrack/flusher.ts";
import { flowDelete, flowDump } from "../conntrack/requests.ts";
import { isNotFound } from "../netlink/errors.ts";
import { AddressFamily } from "../netlink/ip.ts";

/** Deletions between two turns of the event loop: about 2 ms. */
const SLICE = 256;
const FAMILIES = { 4: AddressFamily.INET, 6: AddressFamily.INET6 } as const;

type Stale = Pick<Flow, "id" | "original" | "zone">;

/**
 * Ends the tracking of flows of pods to the outside that have another source than they should: the kernel keeps to the source
 * that a flow began with. The next packet of UDP gets the right one; a connection of TCP is refused by who does not know it.
 */
export class EgressFlows {
  readonly #open: () => Promise<FlowSocket>;
  #socket: FlowSocket | undefined;
  #problem: string | undefined;

  /** The socket is opened when it is first needed. */
  constructor(open: () => Promise<FlowSocket>) {
    this.#open = open;
  }

  /** Why flows of the last call may be stuck; undefined when all is well. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Never rejects. */
  async end(sources: EgressSources, isOutside: (destination: IpAddress) => boolean): Promise<void> {
    try {
      this.#socket ??= await this.#open();
      for (const family of [4, 6] as const) {
        if (![...sources.keys()].some((pod) => pod.includes(":") === (family === 6))) continue;
        const pick = (flow: Flow) => (isStale(flow, sources, isOutside) ? handle(flow) : undefined);
        await this.#delete(
          this.#socket,
          await this.#socket.dump(flowDump({ family: FAMILIES[family], original: {} }, pick)),
        );
      }
      this.#problem = undefined;
    } catch (e) {
      this.#problem = `connection tracking: flows that began with another egress address may be stuck: ${fullMessage(e)}`;
    }
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

function isStale({ original, reply }: Flow, sources: EgressSources, isOutside: (ip: IpAddress) => boolean): boolean {
  if (original.source === undefined || reply?.source === undefined) return false;
  const pod = parseIp(original.source);
  return sources.has(pod) && sources.get(pod) !== reply.destination && isOutside(parseIp(reply.source));
}

const handle = ({ original, zone, id }: Flow): Stale => ({
  original,
  ...(zone === undefined ? {} : { zone }),
  ...(id === undefined ? {} : { id }),
});
