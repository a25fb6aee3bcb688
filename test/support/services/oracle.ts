import { BlockList, isIPv6 } from "node:net";
import type { Endpoint, EndpointSlice } from "../../../src/models/k8s/endpoint-slice.ts";
import type { Service, ServicePort } from "../../../src/models/k8s/service.ts";
import type { OracleState } from "./state.ts";

/**
 * What becomes of packets to services, from the text of the API and what kube-proxy does where that says nothing: everything
 * is looked up anew for every packet, nothing is shared with the engine.
 */
export type OracleOutcome =
  /** `ADDRESS PORT`, with a `*` behind it where the backend does not see the client's address; sorted. */
  | { readonly verdict: "balance"; readonly backends: readonly string[]; readonly affinity: number | undefined }
  | { readonly verdict: "drop" | "not-a-service" | "reject" };

export interface OraclePacket {
  readonly from: string;
  readonly to: string;
  readonly protocol: string;
  readonly port: number;
}

interface Found {
  readonly service: Service;
  readonly port: ServicePort;
  readonly kind: "cluster" | "external" | "lb" | "node";
}

export function oracle(state: OracleState, packet: OraclePacket): OracleOutcome {
  const found = whoseIs(state, packet);
  if (!found) {
    const hostPort = hostPortOf(state, packet);
    if (hostPort !== undefined) return { verdict: "balance", backends: [hostPort], affinity: undefined };
    const assigned = services(state).filter((s) => (s.clusterIps as readonly string[]).includes(packet.to));
    const served = assigned.filter((s) => isOurs(state, s) && s.type !== "ExternalName");
    if (served.length > 0) return { verdict: "reject" };
    if (assigned.some((s) => !isOurs(state, s))) return { verdict: "not-a-service" };
    return { verdict: inAny(packet.to, state.serviceCidrs) ? "drop" : "not-a-service" };
  }
  const { service, port, kind } = found;
  if (kind === "lb" && !mayCome(state, service, packet)) return { verdict: "drop" };
  const all = endpointsOf(state, service, port, family(packet.to));
  const serving = all.some((e) => isReady(service, e)) || all.some((e) => e.serving && e.terminating);
  if (!serving) return { verdict: "reject" };
  const isNode = ownAddresses(state).includes(packet.from);
  const isPod = !isNode && inAny(packet.from, state.config.podCidrs);
  const [endpoints, masquerade] =
    kind === "cluster"
      ? service.internalTrafficPolicy === "Local"
        ? [localOnes(state, service, all), !isPod]
        : [clusterOnes(state, service, all), !isPod]
      : isPod
        ? [clusterOnes(state, service, all), false]
        : service.externalTrafficPolicy === "Local" && !isNode && isForOutside(service)
          ? [localOnes(state, service, all), false]
          : [clusterOnes(state, service, all), true];
  if (endpoints.length === 0) return { verdict: "drop" };
  const backends = endpoints.map((e) => `${e.address} ${e.port}${masquerade || e.address === packet.from ? "*" : ""}`);
  return { verdict: "balance", backends: backends.sort(), affinity: service.clientIpAffinity };
}

/** Where a pod of this node has asked for the port, of this very address rather than of all; what services have comes before. */
function hostPortOf(state: OracleState, { from, to, protocol, port }: OraclePacket): string | undefined {
  if (!ownAddresses(state).includes(to) && !inAny(to, ["127.0.0.0/8"])) return undefined;
  const every = family(to) === 4 ? "0.0.0.0" : "::";
  const asked = [...state.hostPorts.values()].flatMap(({ ips, ports }) =>
    ports
      .filter((p) => p.protocol.toUpperCase() === protocol && p.hostPort === port)
      .flatMap((p) => ips.filter((ip) => family(ip) === family(to)).map((ip) => ({ ...p, ip }))),
  );
  const found =
    asked.find(({ hostIp }) => hostIp === to) ?? asked.find(({ hostIp }) => hostIp === undefined || hostIp === every);
  return found && `${found.ip} ${found.containerPort}${found.ip === from ? "*" : ""}`;
}

const isForOutside = (s: Service): boolean => s.type !== "ClusterIP" || s.externalIps.length > 0;

// ---- which service ------------------------------------------------------------------------------------------------------

const services = (state: OracleState): Service[] => [...state.services.values()].filter((s) => s !== "unreadable");

const isOurs = (state: OracleState, s: Service): boolean => s.proxyName === state.config.proxyName;

function whoseIs(state: OracleState, { to, protocol, port }: OraclePacket): Found | undefined {
  const found: Found[] = [];
  for (const service of services(state)) {
    if (!isOurs(state, service) || service.type === "ExternalName") continue;
    if (!service.clusterIps.some((ip) => family(ip) === family(to))) continue;
    for (const p of service.ports) {
      if (p.protocol !== protocol || p.port !== port) continue;
      for (const kind of kindsAt(state, service, to)) found.push({ service, port: p, kind });
    }
  }
  if (found.length === 0 && portAddresses(state).includes(to)) {
    for (const service of services(state)) {
      if (!isOurs(state, service) || service.type === "ExternalName") continue;
      if (!service.clusterIps.some((ip) => family(ip) === family(to))) continue;
      for (const p of service.ports) {
        if (p.protocol === protocol && p.nodePort === port) found.push({ service, port: p, kind: "node" });
      }
    }
  }
  return strongest(found);
}

/** A service's cluster IP is nobody else's; among the rest the oldest service has it, and what restricts comes first. */
function strongest(found: readonly Found[]): Found | undefined {
  const clusterFirst = found.some((f) => f.kind === "cluster") ? found.filter((f) => f.kind === "cluster") : found;
  const oldest = clusterFirst.reduce<Service | undefined>(
    (best, { service }) => (best === undefined || isOlder(service, best) ? service : best),
    undefined,
  );
  const own = clusterFirst.filter((f) => f.service === oldest);
  const ports = oldest?.ports ?? [];
  const first = ports.find((p) => own.some((f) => f.port === p));
  const ofPort = own.filter((f) => f.port === first);
  return ofPort.find((f) => f.kind === "lb") ?? ofPort[0];
}

function isOlder(a: Service, b: Service): boolean {
  const [x, y] = [a.created ?? 1e300, b.created ?? 1e300];
  if (x !== y) return x < y;
  if (a.uid !== b.uid) return a.uid < b.uid;
  return `${a.namespace}/${a.name}` < `${b.namespace}/${b.name}`;
}

function kindsAt(state: OracleState, service: Service, to: string): Found["kind"][] {
  const has = (list: readonly string[]): boolean => list.includes(to);
  const external = has(service.externalIps) && !isSpecial(to);
  const refused = state.config.nodeExternalIps === "ignore" && everyNodesAddresses(state).includes(to);
  return [
    ...(has(service.clusterIps) ? (["cluster"] as const) : []),
    ...(has(service.loadBalancerIps) && !isSpecial(to) ? (["lb"] as const) : []),
    ...(external && !refused ? (["external"] as const) : []),
  ];
}

/** "restricted to the specified client IPs": those of the family of the address, if there are any of it. */
function mayCome(state: OracleState, service: Service, { from, to }: OraclePacket): boolean {
  if (service.sourceRanges.length === 0) return true;
  const valid = service.sourceRanges.filter((r) => isNetwork(r));
  if (valid.length === 0) return false;
  const own = valid.filter((r) => family(r) === family(to));
  if (own.length === 0 || inAny(from, own)) return true;
  const primary = primaryAddress(state, family(to));
  const vips: readonly string[] = service.loadBalancerIps;
  return primary !== undefined && inAny(primary, own) && vips.includes(from);
}

// ---- which endpoints ----------------------------------------------------------------------------------------------------

export interface OracleEndpoint extends Pick<Endpoint, "forNodes" | "forZones" | "ready" | "serving" | "terminating"> {
  readonly address: string;
  readonly port: number;
  readonly isHere: boolean;
}

const isReady = (service: Service, e: OracleEndpoint): boolean => e.ready || service.publishNotReady;

export function endpointsOf(state: OracleState, service: Service, port: ServicePort, of: 4 | 6): OracleEndpoint[] {
  const all: (OracleEndpoint & { readonly slice: string; readonly use: number })[] = [];
  for (const slice of slicesOf(state, service)) {
    for (const p of slice.ports) {
      if (p.name !== port.name || p.protocol !== port.protocol || p.port === undefined) continue;
      for (const endpoint of slice.endpoints) {
        const [address] = endpoint.addresses;
        if (address === undefined || family(address) !== of || isSpecial(address)) continue;
        if (slice.addressType !== undefined && slice.addressType !== `IPv${of}`) continue;
        const isHere = endpoint.node === state.config.node;
        const ready = endpoint.ready || service.publishNotReady;
        const use = [isHere, ready, endpoint.serving, !endpoint.terminating].map(Number).join("");
        all.push({ ...endpoint, address, port: p.port, isHere, slice: slice.name, use: Number(use) });
      }
    }
  }
  const one = new Map<string, (typeof all)[number]>();
  for (const e of all) {
    const key = `${e.address} ${e.port}`;
    const other = one.get(key);
    const isBetter = !other || e.use > other.use || (e.use === other.use && e.slice < other.slice);
    if (isBetter) one.set(key, e);
  }
  return [...one.values()];
}

const slicesOf = (state: OracleState, { namespace, name }: Service): EndpointSlice[] =>
  [...state.slices.values()].filter(
    (s): s is EndpointSlice => s !== "unreadable" && s.namespace === namespace && s.service === name,
  );

function clusterOnes(state: OracleState, service: Service, all: readonly OracleEndpoint[]): readonly OracleEndpoint[] {
  const ready = all.filter((e) => isReady(service, e));
  if (ready.length === 0) return all.filter((e) => e.serving && e.terminating);
  const node = state.config.node;
  if (ready.every((e) => e.forNodes?.length) && ready.some((e) => e.forNodes?.includes(node))) {
    return ready.filter((e) => e.forNodes?.includes(node));
  }
  const zone = state.nodes.get(node)?.labels["topology.kubernetes.io/zone"];
  if (zone !== undefined && ready.every((e) => e.forZones?.length) && ready.some((e) => e.forZones?.includes(zone))) {
    return ready.filter((e) => e.forZones?.includes(zone));
  }
  return ready;
}

function localOnes(_: OracleState, service: Service, all: readonly OracleEndpoint[]): readonly OracleEndpoint[] {
  const here = all.filter((e) => e.isHere);
  const ready = here.filter((e) => isReady(service, e));
  return ready.length > 0 ? ready : here.filter((e) => e.serving && e.terminating);
}

/** Of all services that want the port, the oldest is asked about: ready endpoints on this node. */
export function oracleHealth(state: OracleState, port: number): { service: string; localReady: number } | undefined {
  let best: Service | undefined;
  for (const s of services(state)) {
    const wants =
      isOurs(state, s) &&
      s.clusterIps.length > 0 &&
      s.type === "LoadBalancer" &&
      s.externalTrafficPolicy === "Local" &&
      s.healthCheckNodePort === port;
    if (wants && (!best || isOlder(s, best))) best = s;
  }
  if (!best) return undefined;
  const of = best;
  const first = family(of.clusterIps[0] ?? "");
  const ready = of.ports.flatMap((p) => endpointsOf(state, of, p, first).filter((e) => e.isHere && isReady(of, e)));
  return { service: `${of.namespace}/${of.name}`, localReady: new Set(ready.map((e) => e.address)).size };
}

// ---- addresses ----------------------------------------------------------------------------------------------------------

const family = (text: string): 4 | 6 => (text.includes(":") ? 6 : 4);

const ownNodes = (state: OracleState): readonly string[] => state.nodes.get(state.config.node)?.addresses ?? [];
const ownAddresses = (state: OracleState): readonly string[] => [...ownNodes(state), ...state.interfaces];
const everyNodesAddresses = (state: OracleState): readonly string[] => [
  ...[...state.nodes.values()].flatMap((n) => n.addresses),
  ...state.interfaces,
];

function primaryAddress(state: OracleState, of: 4 | 6): string | undefined {
  const from = state.nodes.has(state.config.node) ? ownNodes(state) : state.interfaces;
  return from.find((a) => family(a) === of && !isSpecial(a));
}

function portAddresses(state: OracleState): readonly string[] {
  const { nodePortAddresses: chosen } = state.config;
  if (chosen !== "primary") return ownAddresses(state).filter((a) => inAny(a, chosen) && !isSpecial(a));
  return ([4, 6] as const).flatMap((of) => primaryAddress(state, of) ?? []);
}

const isNetwork = (text: string): boolean => /^[0-9a-f.:]+\/\d+$/.test(text);

const lists = new Map<string, BlockList>();

function inAny(address: string, networks: readonly string[]): boolean {
  const key = networks.join(" ");
  let list = lists.get(key);
  if (!list) lists.set(key, (list = listOf(networks)));
  return list.check(address, isIPv6(address) ? "ipv6" : "ipv4");
}

function listOf(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [base = "", bits] = network.split("/");
    if (isNetwork(network)) list.addSubnet(base, Number(bits), isIPv6(base) ? "ipv6" : "ipv4");
  }
  return list;
}

const isSpecial = (address: string): boolean =>
  inAny(address, ["127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "0.0.0.0/8", "::/127", "fe80::/10", "ff00::/8"]);
