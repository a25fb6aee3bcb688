import { compareIp, familyOf, type IpAddress, type IpFamily, parseIp, tryParseIp } from "../../base/ip/address.ts";
import type { HostPort, SandboxId } from "../../pods/api.ts";
import type { Backend, Frontend, Paths, PodHostPorts, PortProtocol, ServiceView } from "../api.ts";
import type { Age, Claim } from "../index/claims.ts";
import { frontendKey, hostPortKey, objectKey, socketText } from "../names.ts";
import type { ServiceProblem } from "../problems.ts";

/** What becomes of a pod's host ports on this node. */
export interface BuiltHostPorts {
  readonly frontends: readonly Claim<Frontend>[];
  readonly problems: readonly ServiceProblem[];
}

/** A number of a protocol and family, whatever the address. */
export interface PortSlot {
  readonly family: IpFamily;
  readonly protocol: PortProtocol;
  readonly port: number;
}

/** The services that have a port of this node, by its addresses and `also`. */
export type ServedAt = (slot: PortSlot, also?: IpAddress) => ReadonlyMap<IpAddress, Frontend>;

/** `own`: this node's addresses. */
export function servedBy(view: Pick<ServiceView, "base" | "frontend">, own: readonly IpAddress[]): ServedAt {
  return ({ family, protocol, port }, also) => {
    const nodePort = view.frontend(frontendKey(family, protocol, undefined, port));
    const found = new Map<IpAddress, Frontend>();
    for (const ip of new Set([...own, ...(also === undefined ? [] : [also])].toSorted(compareIp))) {
      if (familyOf(ip) !== family) continue;
      const exact = view.frontend(frontendKey(family, protocol, ip, port));
      const at = exact && exact.kind !== "HostPort" ? exact : view.base.nodePortAddresses.includes(ip) && nodePort;
      if (at) found.set(ip, at);
    }
    return found;
  };
}

/** Behind everything of services, whatever the age: those are the same on every node, and a pod's port is one node's. */
const HOST_PORT_RANK = 2;

const PROTOCOLS = { tcp: "TCP", udp: "UDP", sctp: "SCTP" } as const satisfies Record<
  HostPort["protocol"],
  PortProtocol
>;

/** No service has the name: it has a space. */
export const hostPortOwner = (id: SandboxId): string => `pod ${id}`;

/** Where a pod wants to be reached: which port of which family, and at which address if not at all of them. */
export function* wanted({ ips, ports }: PodHostPorts): Iterable<Wanted> {
  for (const [i, port] of ports.entries()) {
    const { hostIp = "any" } = port;
    for (const address of ips) {
      const ip = parseIp(address);
      const family = familyOf(ip);
      const slot = { family, protocol: PROTOCOLS[port.protocol], port: port.hostPort };
      const to: Backend = { address: ip, port: port.containerPort, local: true, onHost: false, terminating: false };
      const at = `portMappings[${i}]`;
      // "0.0.0.0" asks for IPv4 only, "::" for IPv6 only.
      if (hostIp === "any" || hostIp === (family === 4 ? "0.0.0.0" : "::")) {
        yield { slot, to, at, order: i, address: undefined };
        continue;
      }
      const own = tryParseIp(hostIp);
      if (own !== undefined && familyOf(own) === family) yield { slot, to, at, order: i, address: own };
    }
  }
}

export interface Wanted {
  readonly slot: PortSlot;
  readonly to: Backend;
  /** Among the mappings that the runtime has sent. */
  readonly at: string;
  readonly order: number;
  readonly address: IpAddress | undefined;
}

export function buildHostPorts(id: SandboxId, object: PodHostPorts, servedAt: ServedAt): BuiltHostPorts {
  const frontends: Claim<Frontend>[] = [];
  const problems: ServiceProblem[] = [];
  const all = [...wanted(object)];
  const age: Age = { created: object.since / 1000, uid: id, owner: hostPortOwner(id) };
  for (const { slot, to, at, order, address } of all) {
    const { family, protocol, port } = slot;
    if (address === "::1") {
      const message = "the kernel lets nothing from ::1 leave the node";
      problems.push({ code: "SPECIAL_ADDRESS", at: `${at}.hostIP`, message, effect: "part-ignored" });
      continue;
    }
    const served = servedAt(slot, address);
    const lost = [...served.keys()].filter((ip) => address === undefined || ip === address);
    for (const ip of lost) problems.push(taken(served.get(ip), socketText(ip, port, protocol), `${at}.hostPort`));
    if (address !== undefined && lost.length > 0) continue;
    const key =
      address === undefined ? hostPortKey(family, protocol, port) : frontendKey(family, protocol, address, port);
    const paths = pathsTo(to);
    const exact = address === undefined ? all.filter((w) => isSame(w.slot, slot)).flatMap((w) => w.address ?? []) : [];
    const except = [...new Set([...lost, ...exact])].sort(compareIp);
    const service = { ...object.pod, port: String(to.port), pod: id };
    const row: Frontend = {
      key,
      kind: "HostPort",
      family,
      protocol,
      ...(address === undefined ? {} : { address }),
      port,
      service,
      paths,
      ...(except.length > 0 ? { except } : {}),
    };
    frontends.push({ key, row, age, rank: HOST_PORT_RANK, order, at });
  }
  return { frontends, problems };
}

const isSame = (a: PortSlot, b: PortSlot): boolean =>
  a.family === b.family && a.protocol === b.protocol && a.port === b.port;

/** Whoever asks: the pod sees clients as they are, and its answers come by here. */
function pathsTo(to: Backend): Paths {
  const path = { verdict: "translate", to } as const;
  return { pod: path, node: path, outside: path };
}

function taken(by: Frontend | undefined, socket: string, at: string): ServiceProblem {
  const whose = by === undefined ? "a service's" : `service ${objectKey(by.service)}'s`;
  return { code: "TAKEN", at, message: `${socket} is ${whose} (${by?.kind})`, effect: "part-ignored" };
}
