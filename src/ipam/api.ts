import { HeddleError } from "../base/errors/errors.ts";
import { addressBits, type IpAddress, type IpFamily } from "../base/ip/address.ts";
import { type Cidr, nthAddress } from "../base/ip/cidr.ts";

/** An address that a pod has, with what goes with it. */
export interface AllocatedIp {
  readonly address: IpAddress;
  /** Prefix length of the node's subnet that it comes from. A routed pod interface gets /32 or /128 all the same. */
  readonly prefix: number;
  /** The subnet's first usable address. Never a pod's. */
  readonly gateway: IpAddress;
  readonly family: IpFamily;
}

/** What an owner (a sandbox) holds: one address per family that the node has subnets of, IPv4 first. */
export interface Allocation {
  readonly owner: string;
  readonly ips: readonly AllocatedIp[];
}

/** How full one of the node's subnets is. `free` includes `quarantined`; `capacity` = `used` + `free`. */
export interface PoolUsage {
  /** The subnet, such as `10.1.2.0/24`. */
  readonly pool: string;
  readonly family: IpFamily;
  readonly gateway: IpAddress;
  /** Addresses that pods can have: without network, gateway and broadcast. */
  readonly capacity: number;
  readonly used: number;
  readonly free: number;
  /** Released so recently that they are given out only when there are no others. */
  readonly quarantined: number;
}

/** A record of the local database to write; `undefined` deletes it. */
export type IpamWrite = readonly [key: string, value: string | undefined];

export type IpamErrorCode =
  /** No address left. Delete pods of this node, or give nodes larger subnets. */
  | "EXHAUSTED"
  /** The address asked for is in none of this node's subnets, or one that is never given out there. */
  | "NOT_IN_POOL"
  /** The address asked for is the subnet's network, gateway or broadcast address. */
  | "RESERVED"
  /** The address asked for, or adopted, is somebody else's. */
  | "IN_USE"
  /** The owner already holds other addresses than those asked for. */
  | "CONFLICT"
  /** Two addresses of one family were asked for. */
  | "BAD_REQUEST"
  /** The node's subnets can't be served: one too small, two overlapping, none. Correct the configuration. */
  | "BAD_SUBNET";

/** A refusal by IPAM. Nothing was changed. The message names address, pool, node and reason. */
export class IpamError extends HeddleError<IpamErrorCode> {
  /** The subnets concerned. */
  readonly pools: readonly string[];

  constructor(code: IpamErrorCode, message: string, pools: readonly string[] = []) {
    super(code, message);
    this.pools = pools;
  }
}

/** Prefix of IPAM's records in the local database. */
export const IPAM_PREFIX = "ipam/";

/**
 * In IPv6 subnets of /96 or wider the last 32 bits of a pod's address are `node ID << 16 | slot`: unique in the cluster
 * whatever the subnets are, as long as the IDs are. (VPP's CNAT takes IPv6 flows whose ends agree in their last 32 bits
 * for one host talking to itself.) 16 bits each: 65,535 nodes of 65,536 pods, and no coordination beyond the ID. In
 * narrower subnets there is no room; there the pool's own numbering has to do, see `suffixClashes` in src/nodes/subnets.ts.
 */
export const SUFFIX_SLOT_BITS = 16;
export const MAX_SUFFIX_NODE_ID = 2 ** (32 - SUFFIX_SLOT_BITS) - 1;

/** Whether pods' addresses in the subnet are made of node ID and slot, see {@link SUFFIX_SLOT_BITS}. */
export const hasNodeSuffix = (c: Pick<Cidr, "family" | "prefix">): boolean => c.family === 6 && c.prefix <= 96;

/**
 * The gateway of a pod subnet: its first usable address. Number 1, or number 0 of a subnet of two addresses, where both are
 * hosts (RFC 3021 for IPv4, RFC 6164 for IPv6).
 */
export const gatewayOf = (c: Cidr): IpAddress => nthAddress(c, addressBits(c.family) - c.prefix > 1 ? 1 : 0);
