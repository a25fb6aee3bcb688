import { setImmediate as nextTurn } from "node:timers/promises";
import { type IpAddress, parseIp } from "../../../base/ip/address.ts";
import { type Cidr, cidrContains, parseNetwork } from "../../../base/ip/cidr.ts";
import type { PortProtocol } from "../../../models/k8s/pod.ts";
import type { ConnectionJudge, JudgedPacket, PodPolicyRow, Rejudgement, RejudgeScope } from "../../../policy/api.ts";
import type { Flow } from "../conntrack/flow.ts";
import type { FlowSocket } from "../conntrack/flusher.ts";
import { flowDump, flowMark } from "../conntrack/requests.ts";
import { IpProtocol } from "../conntrack/tuple.ts";
import { isNotFound } from "../netlink/errors.ts";
import { AddressFamily } from "../netlink/ip.ts";
import { DENIED_MARK } from "./names.ts";

/** Marks between two turns of the event loop. */
const SLICE = 256;

const FAMILIES = [AddressFamily.INET, AddressFamily.INET6] as const;

const PROTOCOLS = new Map<number | undefined, PortProtocol>([
  [IpProtocol.TCP, "TCP"],
  [IpProtocol.UDP, "UDP"],
  [IpProtocol.SCTP, "SCTP"],
]);

/** A flow of a local pod: who began it, and who answers, behind whatever translation. */
interface PodFlow {
  readonly flow: Pick<Flow, "id" | "original" | "zone">;
  readonly denied: boolean;
  readonly source: string;
  readonly destination: string;
  readonly protocol: PortProtocol | undefined;
  readonly port: number;
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

  async rejudge({ rows, changed }: RejudgeScope, judge: ConnectionJudge): Promise<Rejudgement> {
    const byAddress = new Map<string, PodPolicyRow>();
    for (const row of rows) for (const ip of row.ips) byAddress.set(ip, row);
    const isChanged = (address: string): boolean => changed.has(byAddress.get(address)?.id ?? "");
    const total = { judged: 0, stopped: 0, resumed: 0 };
    this.#socket ??= await this.#open();
    for (const family of FAMILIES) {
      const concerned = (flow: Flow): PodFlow | undefined => {
        const found = podFlow(flow);
        return found && (isChanged(found.source) || isChanged(found.destination)) ? found : undefined;
      };
      const found = await this.#socket.dump(flowDump({ family, original: {} }, concerned));
      if (found.length === 0) continue;
      const isOwnNode = containment(await this.#localPrefixes(family));
      const isAllowed = (flow: PodFlow): boolean => {
        const ask = (direction: "egress" | "ingress", at: string, peer: string): boolean => {
          const row = byAddress.get(at);
          if (!row) return true;
          const packet: JudgedPacket = { peer: parseIp(peer), protocol: flow.protocol, port: flow.port };
          return judge(row.id, direction, packet, isOwnNode)?.verdict !== "deny";
        };
        return ask("egress", flow.source, flow.destination) && ask("ingress", flow.destination, flow.source);
      };
      const wrong = found.filter((flow) => isAllowed(flow) === flow.denied);
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
    source,
    destination,
    protocol: PROTOCOLS.get(original.protocol),
    port: reply?.sourcePort ?? original.destinationPort ?? 0,
  };
}

function containment(prefixes: readonly string[]): (address: IpAddress) => boolean {
  const networks: readonly Cidr[] = prefixes.map(parseNetwork);
  return (address) => networks.some((network) => cidrContains(network, address));
}
