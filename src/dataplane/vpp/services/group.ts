import type { IpAddress } from "../../../base/ip/address.ts";
import type { KeyValue } from "../../../kvscheduler/api/descriptor.ts";
import { type CnatTranslationValue, cnatTranslationKey } from "../../../models/vpp/cnat.ts";
import type { Frontend, Pool, PoolId } from "../../../services/api.ts";
import { item } from "../item.ts";
import type { ServedEndpoint } from "./forwarding.ts";
import { addressesOf, isExternal, plansOf } from "./plan.ts";

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
    const pool = plan.by === "cnat" ? context.pool(plan.pool) : undefined;
    if (!pool || pool.backends.length === 0) {
      const { address } = frontend;
      // Of cluster IPs it is said for the address, and the host has what is sent to the node's own.
      if (isExternal(frontend) && address !== undefined && !context.isOwn(address)) {
        rests.push([address, plan.by === "host" ? "host" : "nobody"]);
      }
      continue;
    }
    for (const address of addressesOf(frontend, context.nodePortAddresses)) {
      translations.push(item(cnatTranslationKey, translationOf(frontend, address, pool)));
    }
    if (!isExternal(frontend)) continue;
    const isGuarded = plan.by === "cnat" && plan.isGuarded;
    for (const { address, port, local, onHost } of pool.backends) {
      const endpoint = { address, port, protocol: frontend.protocol };
      if (isGuarded) guarded.set(`${address} ${port}`, endpoint);
      else if (local && !onHost) endpoints.set(`${address} ${port}`, endpoint);
    }
  }
  return { translations, rests, endpoints: [...endpoints.values()], guarded: [...guarded.values()] };
}

const PROTOS = { TCP: "tcp", UDP: "udp", SCTP: "sctp" } as const;

/**
 * `real`: VPP's own routes decide about the rest of what is sent to the address. With affinity, Maglev has as few clients as
 * possible move when backends come and go.
 */
function translationOf({ port, protocol }: Frontend, address: string, pool: Pool): CnatTranslationValue {
  const keepsClients = pool.affinity !== undefined;
  return {
    address,
    port,
    proto: PROTOS[protocol],
    real: true,
    balance: keepsClients || pool.balancing === "maglev" ? "maglev" : "default",
    hash: keepsClients ? "client" : "connection",
    backends: pool.backends.map((backend) => ({ address: backend.address, port: backend.port })),
  };
}
