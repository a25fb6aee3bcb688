import { setImmediate as nextTurn } from "node:timers/promises";
import { parseIp } from "../../../base/ip/address.ts";
import {
  type Connection,
  type ConnectionJudge,
  ConnectionScope,
  type Rejudgement,
  type RejudgeScope,
} from "../../../policy/api.ts";
import type { FlowSocket } from "../conntrack/ending.ts";
import type { Flow } from "../conntrack/flow.ts";
import { containment } from "../conntrack/local.ts";
import { flowDump, flowMark } from "../conntrack/requests.ts";
import { isNotFound } from "../netlink/errors.ts";
import { AddressFamily } from "../netlink/ip.ts";
import { DENIED_MARK } from "./names.ts";

/** Marks between two turns of the event loop. */
const SLICE = 256;

const FAMILIES = [AddressFamily.INET, AddressFamily.INET6] as const;

/** A flow that policies may be about. */
interface PodFlow extends Connection {
  readonly flow: Pick<Flow, "id" | "original" | "zone">;
  readonly denied: boolean;
}

/**
 * Judges established flows by the policies of now. A flow that is denied keeps its entry in the tracking table, with a bit
 * in its mark by which all its packets are dropped, both ways: without the entry its next packet would begin another one,
 * from whichever side it comes (nf_conntrack_tcp_loose). A flow that is allowed again loses the bit, and goes on.
 */
export class FlowJudge {
  readonly #open: () => Promise<FlowSocket>;
  readonly #localPrefixes: (family: number) => Promise<readonly string[]>;
  #socket: FlowSocket | undefined;

  /** `localPrefixes` yields what the kernel takes for its own: the destinations of `ip route show table local type local`. */
  constructor(open: () => Promise<FlowSocket>, localPrefixes: (family: number) => Promise<readonly string[]>) {
    this.#open = open;
    this.#localPrefixes = localPrefixes;
  }

  async rejudge(asked: RejudgeScope, judge: ConnectionJudge): Promise<Rejudgement> {
    const scope = new ConnectionScope(asked, judge);
    const total = { judged: 0, stopped: 0, resumed: 0 };
    this.#socket ??= await this.#open();
    for (const family of FAMILIES) {
      const concerned = (flow: Flow): PodFlow | undefined => {
        const found = podFlow(flow);
        return found && scope.isConcerned(found) ? found : undefined;
      };
      const found = await this.#socket.dump(flowDump({ family, original: {} }, concerned));
      if (found.length === 0) continue;
      const isOwnNode = containment(await this.#localPrefixes(family));
      const wrong = found.filter((flow) => scope.isAllowed(flow, isOwnNode) === flow.denied);
      total.judged += found.length;
      for (let at = 0; at < wrong.length; at += SLICE) {
        const slice = wrong.slice(at, at + SLICE);
        const outcomes = await this.#socket.burst(
          slice.map(({ flow, denied }) => flowMark({ ...flow, mark: denied ? 0 : DENIED_MARK, markMask: DENIED_MARK })),
        );
        // One that has ended meanwhile needs no mark.
        for (const outcome of outcomes) if (!outcome.ok && !isNotFound(outcome.error)) throw outcome.error;
        await nextTurn();
      }
      total.resumed += wrong.filter(({ denied }) => denied).length;
      total.stopped += wrong.filter(({ denied }) => !denied).length;
    }
    return total;
  }

  async close(): Promise<void> {
    await this.#socket?.close();
  }
}

/** Who answers is the source of the reply: the pod, where the destination was a service or a host port. */
function podFlow({ original, reply, mark = 0, id, zone }: Flow): PodFlow | undefined {
  const source = original.source;
  const destination = reply?.source ?? original.destination;
  if (source === undefined || destination === undefined) return undefined;
  return {
    flow: { original, ...(id === undefined ? {} : { id }), ...(zone === undefined ? {} : { zone }) },
    denied: (mark & DENIED_MARK) !== 0,
    source: parseIp(source),
    destination: parseIp(destination),
    protocol: original.protocol,
    port: reply?.sourcePort ?? original.destinationPort ?? 0,
  };
}
