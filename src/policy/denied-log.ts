import { type Clock, seconds, type Timer } from "../base/clock/clock.ts";
import { familyOf, type IpAddress } from "../base/ip/address.ts";
import type { Log } from "../infra/log/log.ts";
import { type DeniedPacket, type Direction, type PodPolicyRow, refText } from "./api.ts";
import { protocolOf } from "./connections.ts";
import type { PolicyEngine } from "./engine.ts";
import { type ExplainedDirection, type ExplainedEnd, type ExplainedFlow, explain } from "./explain.ts";
import { podName } from "./words.ts";

export interface DeniedLogOptions {
  readonly engine: () => PolicyEngine;
  readonly clock: Clock;
  readonly log: Log;
  /** Lines at most. */
  readonly perSecond: number;
  /** How long the same flow is not logged again. */
  readonly repeatSeconds: number;
}

/** Flows that are remembered at most; then the oldest is forgotten, and would be logged again. */
const MAX_FLOWS = 4096;

interface KnownFlow {
  readonly at: number;
  /** Packets since its line. */
  more: number;
}

/**
 * Logs denied packets: one line for each flow (pod, peer, protocol, destination port), and so many a second. A line says how
 * many packets were passed over since the one before, of the same flow (`repeated`) and for the limit (`suppressed`).
 */
export class DeniedLog {
  readonly #options: DeniedLogOptions;
  /** Oldest first. */
  readonly #flows = new Map<string, KnownFlow>();
  #lines = 0;
  #window: Timer | undefined;
  #suppressed = 0;

  constructor(options: DeniedLogOptions) {
    this.#options = options;
  }

  take(packets: readonly DeniedPacket[]): void {
    for (const packet of packets) this.#take(packet);
  }

  close(): void {
    this.#window?.cancel();
  }

  #take(packet: DeniedPacket): void {
    const { clock, perSecond, repeatSeconds } = this.#options;
    const { direction, source, destination, protocol, destinationPort = "" } = packet;
    const key = `${direction} ${source} ${destination} ${protocol} ${destinationPort}`;
    const known = this.#flows.get(key);
    const now = clock.now();
    if (known && now - known.at < seconds(repeatSeconds)) {
      known.more++;
      return;
    }
    if (this.#lines >= perSecond) {
      this.#suppressed++;
      return;
    }
    this.#lines++;
    this.#window ??= clock.schedule(seconds(1), () => {
      this.#window = undefined;
      this.#lines = 0;
    });
    this.#flows.delete(key);
    this.#flows.set(key, { at: now, more: 0 });
    for (const [oldest] of this.#flows) {
      if (this.#flows.size <= MAX_FLOWS) break;
      this.#flows.delete(oldest);
    }
    this.#write(packet, known?.more ?? 0);
  }

  #write(packet: DeniedPacket, repeated: number): void {
    const { engine, log } = this.#options;
    const suppressed = this.#suppressed;
    this.#suppressed = 0;
    const line = {
      ...deniedLine(engine(), packet),
      ...(repeated > 0 ? { repeated } : {}),
      ...(suppressed > 0 ? { suppressed } : {}),
    };
    log.info(line, "packet denied");
  }
}

/** Who, to or from whom, what, and why, by the policies of now. */
export function deniedLine(engine: PolicyEngine, packet: DeniedPacket): Readonly<Record<string, unknown>> {
  const { direction, source, destination, protocol, destinationPort, sourcePort } = packet;
  const known = protocolOf(protocol);
  const query = { from: { ip: source }, to: { ip: destination }, protocol: known, port: destinationPort ?? 0 };
  const flow = explain(engine, query).flows.find((f) => f.family === familyOf(source));
  const wired = wiredAt(engine, direction === "egress" ? source : destination);
  const [own, peer] = ends(direction, flow, source, destination);
  return {
    direction,
    pod: wired ? podName(wired.pod) : own,
    peer,
    source,
    destination,
    protocol: known ?? protocol,
    ...(sourcePort === undefined ? {} : { sourcePort }),
    ...(destinationPort === undefined ? {} : { port: destinationPort }),
    ...(wired?.isolated ? { because: "unknown-pod", isolated: wired.isolated } : reason(flow?.[direction])),
  };
}

/** A pod of this node, also one of which nothing is known but its name. */
const wiredAt = (engine: PolicyEngine, ip: IpAddress): PodPolicyRow | undefined =>
  engine.podRows().find((row) => row.ips.includes(ip));

function ends(direction: Direction, flow: ExplainedFlow | undefined, source: IpAddress, destination: IpAddress) {
  const [from, to] = [endName(flow?.from, source), endName(flow?.to, destination)];
  return direction === "egress" ? ([from, to] as const) : ([to, from] as const);
}

/** `namespace/name` of a pod, else the node's name, else the address. */
const endName = (end: ExplainedEnd | undefined, ip: IpAddress): string =>
  end?.pod ? podName(end.pod) : end?.node === undefined ? ip : `node ${end.node}`;

function reason(judged: ExplainedDirection | undefined): Readonly<Record<string, unknown>> {
  // Judged by what is in force by now, which a packet of a moment ago has not met.
  if (!judged || judged.allowed) return {};
  const { because, policy, rule, policies } = judged;
  if (policy) return { because, policy: refText(policy), rule };
  return { because, policies: policies.filter((p) => p.kind === "NetworkPolicy").map(refText) };
}
