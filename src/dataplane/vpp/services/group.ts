import type { IpAddress } from "../../../base/ip/address.ts";
import type { KeyValue } from "../../../kvscheduler/api/descriptor.ts";
import { type CnatTranslationValue, cnatTranslationKey } from "../../../models/vpp/cnat.ts";
import type { Backend, Frontend, Pool, PoolId } from "../../../services/api.ts";
import { isIpv6, item } from "../item.ts";
import type { ServedEndpoint } from "./forwarding.ts";
import { backendsOf, isExternal, plansOf } from "./plan.ts";

/** What becomes of what CNAT leaves of packets to an address that is not the node's. */
export type Rest = "host" | "nobody";

export interface RenderedGroup {
  readonly translations: readonly KeyValue[];
  /** Addresses that are not the node's and have a frontend that CNAT does not translate. */
  readonly rests: readonly (readonly [address: string, rest: Rest])[];
  /** Pods on this node that clients outside of the cluster are led to by CNAT. */
  readonly endpoints: readonly ServedEndpoint[];
  /** Those elsewhere that they are kept from. */
  readonly guarded: readonly ServedEndpoint[];
}

export interface GroupContext {
  readonly nodePortAddresses: readonly IpAddress[];
  /** The node's own, which packets come to VPP for. */
  readonly nodeAddresses: readonly string[];
  /** Whether an address is the node's, or a pod's: it has a route then. */
  readonly isOwn: (address: IpAddress) => boolean;
  readonly pool: (id: PoolId) => Pool | undefined;
}

/** The frontends of one service port and family. `isForHost`: what the outside uses of them is the host's. */
export function renderGroup(frontends: readonly Frontend[], isForHost: boolean, context: GroupContext): RenderedGroup {
  const translations: KeyValue[] = [];
  const rests: [string, Rest][] = [];
  const endpoints = new Map<string, ServedEndpoint>();
  const guarded = new Map<string, ServedEndpoint>();
  for (const [frontend, plan] of plansOf(frontends, isForHost)) {
    const path = plan.by === "cnat" ? plan.path : undefined;
    const backends = path ? backendsOf(path, context.pool) : [];
    if (!path || backends.length === 0) {
      const { address, kind } = frontend;
      // Of cluster IPs it is said for the address, and the host has what is sent to the node's own.
      if (isExternal(frontend) && kind !== "HostPort" && address !== undefined && !context.isOwn(address)) {
        rests.push([address, plan.by === "host" ? "host" : "nobody"]);
      }
      continue;
    }
    const pool = path.verdict === "balance" ? context.pool(path.pool) : undefined;
    for (const address of addressesOf(frontend, context)) {
      translations.push(item(cnatTranslationKey, translationOf(frontend, address, backends, pool)));
    }
    if (!isExternal(frontend)) continue;
    const isGuarded = plan.by === "cnat" && plan.isGuarded;
    for (const { address, port, local, onHost } of backends) {
      const endpoint = { address, port, protocol: frontend.protocol };
      if (isGuarded) guarded.set(`${address} ${port}`, endpoint);
      else if (local && !onHost) endpoints.set(`${address} ${port}`, endpoint);
    }
  }
  return { translations, rests, endpoints: [...endpoints.values()], guarded: [...guarded.values()] };
}

/** Addresses of a frontend on this node. What is sent to its loopback never comes to VPP. */
export function addressesOf(
  { address, family, kind, except = [] }: Frontend,
  { nodePortAddresses, nodeAddresses }: Pick<GroupContext, "nodeAddresses" | "nodePortAddresses">,
): readonly string[] {
  const isOfFamily = (ip: string): boolean => isIpv6(ip) === (family === 6);
  if (kind !== "HostPort") return address === undefined ? nodePortAddresses.filter(isOfFamily) : [address];
  if (address !== undefined) return nodeAddresses.includes(address) ? [address] : [];
  const taken: readonly string[] = except;
  return nodeAddresses.filter((ip) => isOfFamily(ip) && !taken.includes(ip));
}

const PROTOS = { TCP: "tcp", UDP: "udp", SCTP: "sctp" } as const;

/**
 * `real`: VPP's own routes decide about the rest of what is sent to the address. With affinity, Maglev has as few clients as
 * possible move when backends come and go.
 */
function translationOf(
  { port, protocol }: Frontend,
  address: string,
  backends: readonly Backend[],
  pool: Pool | undefined,
): CnatTranslationValue {
  const keepsClients = pool?.affinity !== undefined;
  return {
    address,
    port,
    proto: PROTOS[protocol],
    real: true,
    balance: keepsClients || pool?.balancing === "maglev" ? "maglev" : "default",
    hash: keepsClients ? "client" : "connection",
    backends: backends.map((backend) => ({ address: backend.address, port: backend.port })),
  };
}
