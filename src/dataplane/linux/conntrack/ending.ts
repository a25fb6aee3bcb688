import { setImmediate as nextTurn } from "node:timers/promises";
import type { RtNetlink } from "../netlink/client.ts";
import { isNotFound } from "../netlink/errors.ts";
import { AddressFamily } from "../netlink/ip.ts";
import type { Flow } from "./flow.ts";
import { flowDelete } from "./requests.ts";

/** What is needed of a netfilter socket. */
export type FlowSocket = Pick<RtNetlink, "burst" | "close" | "dump">;

/** Of a flow, what its deletion needs: there may be 100,000. */
export type FlowHandle = Pick<Flow, "id" | "original" | "zone">;

export const FLOW_FAMILIES = { 4: AddressFamily.INET, 6: AddressFamily.INET6 } as const;

/** Deletions between two turns of the event loop: about 2 ms. */
const SLICE = 256;

export const flowHandle = ({ original, zone, id }: Flow): FlowHandle => ({
  original,
  ...(zone === undefined ? {} : { zone }),
  ...(id === undefined ? {} : { id }),
});

/** Ends the tracking of flows; one that has ended meanwhile is no failure. `asked`: called when the kernel has answered for some. */
export async function endFlows(
  socket: FlowSocket,
  flows: readonly FlowHandle[],
  asked: () => void = () => {},
): Promise<void> {
  for (let at = 0; at < flows.length; at += SLICE) {
    const outcomes = await socket.burst(flows.slice(at, at + SLICE).map(flowDelete));
    asked();
    for (const outcome of outcomes) if (!outcome.ok && !isNotFound(outcome.error)) throw outcome.error;
    await nextTurn();
  }
}
