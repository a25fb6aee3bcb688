import type { IpAddress } from "../base/ip/address.ts";
import type { PortProtocol } from "../models/k8s/pod.ts";
import type { ConnectionJudge, PodPolicyRow, RejudgeScope } from "./api.ts";

/** IP protocol numbers of the protocols that have ports (IANA). */
const PORT_PROTOCOLS = new Map<number | undefined, PortProtocol>([
  [6, "TCP"],
  [17, "UDP"],
  [132, "SCTP"],
]);

/** Undefined for protocols without ports. */
export const protocolOf = (ipProtocol: number | undefined): PortProtocol | undefined => PORT_PROTOCOLS.get(ipProtocol);

/** An established connection, behind whatever translation. */
export interface Connection {
  /** Who began it. */
  readonly source: IpAddress;
  /** Who answers. */
  readonly destination: IpAddress;
  /** IP protocol number. */
  readonly protocol: number | undefined;
  /** Of who answers; means nothing where the protocol has no ports. */
  readonly port: number;
}

export type IsOwnNode = Parameters<ConnectionJudge>[3];

/** What a round of judging connections again needs to know of each. */
export class ConnectionScope {
  readonly #byAddress = new Map<IpAddress, PodPolicyRow>();
  readonly #changed: ReadonlySet<string>;
  readonly #judge: ConnectionJudge;
  /** Many connections go from one pod to one port of another. */
  readonly #judged = new Map<string, boolean>();

  constructor({ rows, changed }: RejudgeScope, judge: ConnectionJudge) {
    for (const row of rows) for (const ip of row.ips) this.#byAddress.set(ip, row);
    this.#changed = changed;
    this.#judge = judge;
  }

  /** Whether one of its ends is a pod whose policies may have changed. */
  isConcerned({ source, destination }: Pick<Connection, "destination" | "source">): boolean {
    return [source, destination].some((ip) => this.#changed.has(this.#byAddress.get(ip)?.id ?? ""));
  }

  /** Whether both ends that are pods of this node may have it, as it was when the round first asked for one like it. */
  isAllowed(connection: Connection, isOwnNode: IsOwnNode): boolean {
    const { source, destination, protocol, port } = connection;
    const key = `${protocol} ${source} ${destination} ${port}`;
    let allowed = this.#judged.get(key);
    if (allowed === undefined) this.#judged.set(key, (allowed = this.#ask(connection, isOwnNode)));
    return allowed;
  }

  #ask({ source, destination, protocol, port }: Connection, isOwnNode: IsOwnNode): boolean {
    const known = protocolOf(protocol);
    const denies = (direction: "egress" | "ingress", own: IpAddress, peer: IpAddress): boolean => {
      const row = this.#byAddress.get(own);
      if (!row) return false;
      const packet = { peer, protocol: known, port: known === undefined ? 0 : port };
      return this.#judge(row.id, direction, packet, isOwnNode)?.verdict === "deny";
    };
    return !denies("egress", source, destination) && !denies("ingress", destination, source);
  }
}
