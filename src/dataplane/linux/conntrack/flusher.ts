import { fullMessage } from "../../../base/errors/errors.ts";
import { faultPoint } from "../../../base/faults/fault-point.ts";
import { endFlows, FLOW_FAMILIES, type FlowHandle, type FlowSocket, flowHandle } from "./ending.ts";
import type { Flow } from "./flow.ts";
import { containment } from "./local.ts";
import { type FlowFilter, flowDump } from "./requests.ts";
import { IpProtocol } from "./tuple.ts";

/** Flows whose tracking is to end: those that began towards a port of this node. */
export interface FlowTarget {
  readonly family: 4 | 6;
  readonly protocol: "sctp" | "tcp" | "udp";
  readonly destinationPort: number;
  /** Canonical text; every address of the node where absent. */
  readonly destination?: string;
}

const PROTOCOLS = { sctp: IpProtocol.SCTP, tcp: IpProtocol.TCP, udp: IpProtocol.UDP } as const;

/**
 * Makes flows forget where they were led. The kernel translates a flow's first packet and keeps to that for as long as
 * packets come, whatever the rules say by then; a client that always uses the same source port never gets elsewhere.
 *
 * The socket is opened when it is first needed. One call reads the table once for each family that it is about, and the
 * kernel shows what its filter lets through, no more.
 */
export class FlowFlusher {
  readonly #open: () => Promise<FlowSocket>;
  readonly #localPrefixes: (family: number) => Promise<readonly string[]>;
  #socket: FlowSocket | undefined;
  #left: readonly FlowTarget[] = [];
  #problem: string | undefined;

  /** `localPrefixes` yields what the kernel takes for its own: the destinations of `ip route show table local type local`. */
  constructor(open: () => Promise<FlowSocket>, localPrefixes: (family: number) => Promise<readonly string[]>) {
    this.#open = open;
    this.#localPrefixes = localPrefixes;
  }

  /** Why flows of earlier calls may still go where they should not; undefined when all is well. For status. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /**
   * Ends the tracking of these flows. Never rejects: what led them elsewhere is in force already and is not undone by a
   * failure here. What could not be done is named in {@link problem} and done again with the next call.
   */
  async flush(targets: readonly FlowTarget[]): Promise<void> {
    if (targets.length === 0) return;
    const all = [...this.#left, ...targets];
    try {
      this.#socket ??= await this.#open();
      for (const family of [4, 6] as const) {
        const mine = all.filter((target) => target.family === family);
        if (mine.length > 0) await this.#flushFamily(this.#socket, family, mine);
      }
      this.#left = [];
      this.#problem = undefined;
    } catch (e) {
      // Bounded by what there is: a port that failed again is one entry, not two.
      this.#left = [...new Map(all.map((target) => [JSON.stringify(target), target])).values()];
      this.#problem = `connection tracking: flows to host ports may keep going to pods that are gone: ${fullMessage(e)}`;
    }
  }

  async close(): Promise<void> {
    await this.#socket?.close();
  }

  async #flushFamily(socket: FlowSocket, family: 4 | 6, targets: readonly FlowTarget[]): Promise<void> {
    const found = await socket.dump(flowDump(commonFilter(family, targets), pickOf(targets)));
    faultPoint("flows.read");
    if (found.length === 0) return;
    const isLocal = containment(await this.#localPrefixes(FLOW_FAMILIES[family]));
    const stale = found.filter(({ original }) => original.destination !== undefined && isLocal(original.destination));
    await endFlows(socket, stale, () => faultPoint("flows.ended"));
  }
}

/** What all targets have in common, for the kernel to choose by. */
export function commonFilter(family: 4 | 6, targets: readonly FlowTarget[]): FlowFilter {
  const [first] = targets;
  const common = <K extends keyof FlowTarget>(key: K): FlowTarget[K] | undefined =>
    targets.every((target) => target[key] === first?.[key]) ? first?.[key] : undefined;
  const protocol = common("protocol");
  // The kernel takes a port only together with its protocol.
  const destinationPort = protocol === undefined ? undefined : common("destinationPort");
  const destination = common("destination");
  return {
    family: FLOW_FAMILIES[family],
    original: {
      ...(protocol === undefined ? {} : { protocol: PROTOCOLS[protocol] }),
      ...(destinationPort === undefined ? {} : { destinationPort }),
      ...(destination === undefined ? {} : { destination }),
    },
  };
}

/** Keeps the flows that a target is about. */
function pickOf(targets: readonly FlowTarget[]): (flow: Flow) => FlowHandle | undefined {
  const slot = (protocol: number | undefined, port: number | undefined, destination: string | undefined) =>
    `${protocol} ${port} ${destination ?? "*"}`;
  const slots = new Set(targets.map((t) => slot(PROTOCOLS[t.protocol], t.destinationPort, t.destination)));
  return (flow) => {
    const { protocol, destinationPort, destination } = flow.original;
    const wanted =
      slots.has(slot(protocol, destinationPort, undefined)) || slots.has(slot(protocol, destinationPort, destination));
    return wanted ? flowHandle(flow) : undefined;
  };
}
