import { createHash } from "node:crypto";
import type { IpAddress, IpFamily } from "../../../base/ip/address.ts";
import type { Client, FrontendKey, Pool } from "../../../services/api.ts";

/**
 * Maps from address, protocol and port to what becomes of a connection of a pod; and from protocol and port, at node-port
 * addresses.
 */
export const FRONTENDS: Readonly<Record<IpFamily, string>> = { 4: "service_ips4", 6: "service_ips6" };
export const NODE_PORTS: Readonly<Record<IpFamily, string>> = { 4: "service_ports4", 6: "service_ports6" };

/** Clients whose connections may become something else than a pod's, masqueraded. */
export const OTHER_CLIENTS = ["node", "outside"] as const satisfies readonly Client[];
export type OtherClient = (typeof OTHER_CLIENTS)[number];

/** Of these maps: what is otherwise for such a client. */
export const exceptions = (map: string, client: OtherClient): string => `${map}_${client}`;

export const NODE_ADDRESSES: Readonly<Record<IpFamily, string>> = { 4: "service_nodes4", 6: "service_nodes6" };
export const CLUSTER_IPS: Readonly<Record<IpFamily, string>> = { 4: "service_cluster4", 6: "service_cluster6" };
/** Cluster IPs that somebody else serves. */
export const OTHERS_IPS: Readonly<Record<IpFamily, string>> = { 4: "service_others4", 6: "service_others6" };
export const SERVICE_CIDRS: Readonly<Record<IpFamily, string>> = { 4: "service_cidrs4", 6: "service_cidrs6" };

/** Maps from protocol and port, or address, protocol and port, to the pod and its port. */
export const HOST_PORTS: Readonly<Record<IpFamily, string>> = { 4: "hostports4", 6: "hostports6" };
export const HOST_PORTS_IP: Readonly<Record<IpFamily, string>> = { 4: "hostports4_ip", 6: "hostports6_ip" };
export const HOST_PORTS_CHAIN = "hostports";

/** Where a connection is led that is to be refused; the refusal itself is another hook's. */
export const REFUSE_CHAIN = "service_refuse";
export const REJECT_CHAIN = "service_reject";

/** Bits of the connection mark beside DENIED_MARK: the source is translated, the connection is refused, it is to a service. */
export const MASQUERADE_MARK = 0x0000_0200;
export const REFUSE_MARK = 0x0000_0400;
export const SERVICE_MARK = 0x0000_0800;

export const markText = (mark: number): string => `0x${mark.toString(16).padStart(8, "0")}`;

export const poolChain = (id: Pool["id"]): string => `svc_${digest(id)}`;
/** What lies between a map and a pool: source ranges, or a masquerade of its own. */
export const frontendChain = (key: FrontendKey, client: Client): string => `svf_${digest(key)}_${client}`;

/** Of a service port, which both its pools share: a client keeps its endpoint whichever it gets to. */
export const endpointChain = (pool: Pool, address: IpAddress, port: number): string =>
  `sve_${digest(`${portOf(pool)} ${address} ${port}`)}`;
/** Clients that have the endpoint. */
export const affinitySet = (pool: Pool, address: IpAddress, port: number): string =>
  `sva_${digest(`${portOf(pool)} ${address} ${port}`)}`;

const portOf = ({ service, protocol, family }: Pool): string =>
  `${service.namespace}/${service.name}:${service.port}/${protocol}/${family}`;

/** 72 bits: two of a million names are the same once in ten billion clusters. */
const digest = (name: string): string => createHash("sha256").update(name).digest("base64url").slice(0, 12);
