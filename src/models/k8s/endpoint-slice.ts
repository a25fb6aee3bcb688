import { z } from "zod";
import type { IpAddress } from "../../base/ip/address.ts";
import { ip, k8sCodec, namespacedMeta, portNumber } from "./codec.ts";
import type { ObjectName } from "./keys.ts";
import { PORT_PROTOCOLS, type PortProtocol } from "./pod.ts";

/** What is kept of an EndpointSlice. Those with host names for addresses are not reflected. */
export interface EndpointSlice extends ObjectName {
  readonly uid: string;
  /** The Service that it belongs to, from label `kubernetes.io/service-name`. */
  readonly service: string;
  /** Family of its addresses; absent when not known. */
  readonly addressType?: AddressType | undefined;
  /** Counts its changes; absent when not known. */
  readonly generation?: number | undefined;
  /** When what it reports last happened, milliseconds since 1970; absent when not known. */
  readonly triggered?: number | undefined;
  readonly ports: readonly EndpointPort[];
  readonly endpoints: readonly Endpoint[];
}

export const ADDRESS_TYPES = ["IPv4", "IPv6"] as const;
export type AddressType = (typeof ADDRESS_TYPES)[number];

export interface EndpointPort {
  /** "" when it has none. */
  readonly name: string;
  readonly protocol: PortProtocol;
  /** Absent: all ports. */
  readonly port?: number | undefined;
}

export interface Endpoint {
  readonly addresses: readonly IpAddress[];
  readonly ready: boolean;
  readonly serving: boolean;
  readonly terminating: boolean;
  readonly node?: string | undefined;
  readonly zone?: string | undefined;
  /** Zones and nodes whose clients shall use it; absent or empty: everyone's. */
  readonly forZones?: readonly string[] | undefined;
  readonly forNodes?: readonly string[] | undefined;
}

export const endpointSliceCodec = k8sCodec<EndpointSlice>(
  "endpointslice",
  z.object({
    ...namespacedMeta,
    service: z.string(),
    addressType: z.enum(ADDRESS_TYPES).optional(),
    generation: z.int().optional(),
    triggered: z.number().optional(),
    ports: z.array(z.object({ name: z.string(), protocol: z.enum(PORT_PROTOCOLS), port: portNumber.optional() })),
    endpoints: z.array(
      z.object({
        addresses: z.array(ip),
        ready: z.boolean(),
        serving: z.boolean(),
        terminating: z.boolean(),
        node: z.string().optional(),
        zone: z.string().optional(),
        forZones: z.array(z.string()).optional(),
        forNodes: z.array(z.string()).optional(),
      }),
    ),
  }),
);
