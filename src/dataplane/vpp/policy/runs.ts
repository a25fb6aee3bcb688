import type { IpFamily } from "../../../base/ip/address.ts";
import type { PortProtocol } from "../../../models/k8s/pod.ts";
import { EVERYBODY, type Networks } from "./networks.ts";

/** Destination ports of a protocol, first and last included. */
export interface Ports {
  readonly protocol: PortProtocol;
  readonly first: number;
  readonly last: number;
}

/** Networks, of which packets to or from are all judged alike: those of all protocols, or those to some ports of one. */
export interface Reach {
  readonly networks: Networks;
  /** Absent: of every protocol. */
  readonly ports?: Ports | undefined;
}

/** Of a list in which the first run that a packet is in decides. */
export interface Run extends Reach {
  readonly verdict: "accept" | "deny";
}

/** What is in both; undefined if nothing is. */
export function intersection(a: Reach, b: Reach): Reach | undefined {
  const ports = commonPorts(a.ports, b.ports);
  const networks = ports && a.networks.within(b.networks);
  return networks && { networks, ports: ports === "all" ? undefined : ports };
}

function commonPorts(a: Ports | undefined, b: Ports | undefined): Ports | "all" | undefined {
  if (!a || !b) return a ?? b ?? "all";
  if (a.protocol !== b.protocol) return undefined;
  const [first, last] = [Math.max(a.first, b.first), Math.min(a.last, b.last)];
  return first > last ? undefined : { protocol: a.protocol, first, last };
}

export const isEverything = ({ networks, ports }: Reach): boolean => networks.isEverybody && ports === undefined;
export const isWholeProtocol = ({ first, last }: Ports): boolean => first === 0 && last === 65_535;

export const portsText = (ports: Ports | undefined): string =>
  ports ? `${ports.protocol} ${ports.first}-${ports.last}` : "";

/** Of that family. */
export const everybody = (verdict: Run["verdict"], family: IpFamily): Run => ({ verdict, networks: EVERYBODY[family] });

/** Whether these are the same runs, of the same networks; equal ones that were made anew may count as others. */
export const areSame = (a: readonly Run[], b: readonly Run[]): boolean =>
  a.length === b.length &&
  a.every((run, i) => {
    const other = b[i];
    const isLike = run.verdict === other?.verdict && portsText(run.ports) === portsText(other.ports);
    return isLike && run.networks === other.networks;
  });
