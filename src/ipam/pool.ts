import { addressBits, type IpAddress, type IpFamily } from "../base/ip/address.ts";
import { addressIndex, type Cidr, cidrContains, formatCidr, nthAddress } from "../base/ip/cidr.ts";
import { gatewayOf, hasNodeSuffix, IpamError, MAX_SUFFIX_NODE_ID, SUFFIX_SLOT_BITS } from "./api.ts";
import { SlotSpace } from "./slot-space.ts";

/** An IPv4 /8. More of a larger subnet isn't used; the bitmap for it takes 2 MiB. */
const MAX_SLOTS = 2 ** 24;

/** Slots that come before the gateway's are never the first to be given out: the first pod of 10.1.2.0/24 has 10.1.2.2. */
const FIRST_CURSOR = 2;

/** Where an address is: slot of a pool, or the reason why the pool never gives it out. */
export type Placement =
  | { readonly slot: number }
  | { readonly code: "RESERVED" | "NOT_IN_POOL"; readonly reason: string };

/** The geometry of one subnet: which addresses it gives out, and in which slot of its space each lies. */
export class Pool {
  readonly cidr: Cidr;
  readonly name: string;
  readonly family: IpFamily;
  readonly gateway: IpAddress;
  readonly space: SlotSpace;
  /** Addresses of this pool in use: differs from the space's count where pools share a space. */
  used = 0;
  /** Position of slot 0 in the subnet. */
  readonly #base: number;

  private constructor(cidr: Cidr, space: SlotSpace, base: number) {
    this.cidr = cidr;
    this.name = formatCidr(cidr);
    this.family = cidr.family;
    this.gateway = gatewayOf(cidr);
    this.space = space;
    this.#base = base;
  }

  /**
   * The pools of a node's subnets. Those with node suffixes share one space: an index is used once, whichever subnet it is
   * combined with, or two pods of the node would share their last 32 bits. Throws {@link IpamError} BAD_SUBNET.
   */
  static fromSubnets(subnets: readonly Cidr[], nodeId: number, node: string): Pool[] {
    let shared: SlotSpace | undefined;
    return subnets.map((cidr) => {
      const hostBits = addressBits(cidr.family) - cidr.prefix;
      if (hostBits === 0) {
        const text = `pod subnet ${formatCidr(cidr)} (node ${node}) has one address only; gateway and pods need at least two`;
        throw new IpamError("BAD_SUBNET", text, [formatCidr(cidr)]);
      }
      if (!hasNodeSuffix(cidr)) return Pool.#plain(cidr, hostBits);
      if (!Number.isInteger(nodeId) || nodeId < 1 || nodeId > MAX_SUFFIX_NODE_ID) {
        const text = `node ID ${nodeId} (node ${node}) is not between 1 and ${MAX_SUFFIX_NODE_ID}, as ${formatCidr(cidr)} needs`;
        throw new IpamError("BAD_SUBNET", text, [formatCidr(cidr)]);
      }
      shared ??= new SlotSpace(2 ** SUFFIX_SLOT_BITS, FIRST_CURSOR);
      return new Pool(cidr, shared, nodeId * 2 ** SUFFIX_SLOT_BITS);
    });
  }

  static #plain(cidr: Cidr, hostBits: number): Pool {
    const size = Math.min(2 ** hostBits, MAX_SLOTS);
    const space = new SlotSpace(size, FIRST_CURSOR);
    space.reserve(0); // the gateway of a subnet of two; else IPv4's network, IPv6's subnet-router anycast address (RFC 4291)
    if (hostBits > 1) space.reserve(1);
    if (hasBroadcast(cidr) && size === 2 ** hostBits) space.reserve(size - 1);
    return new Pool(cidr, space, 0);
  }

  address(slot: number): IpAddress {
    return nthAddress(this.cidr, this.#base + slot);
  }

  contains(ip: IpAddress): boolean {
    return cidrContains(this.cidr, ip);
  }

  /** Only for addresses that the pool {@link contains}. */
  place(ip: IpAddress): Placement {
    if (ip === this.gateway) return { code: "RESERVED", reason: "it is the gateway" };
    const slot = Number(addressIndex(this.cidr, ip) ?? -1n) - this.#base;
    if (slot < 0 || slot >= this.space.size) {
      const range = `${this.address(0)} to ${this.address(this.space.size - 1)}`;
      return { code: "NOT_IN_POOL", reason: `this node gives out ${range} only` };
    }
    if (this.#base === 0 && slot === 0) {
      const what = this.family === 4 ? "network address" : "subnet-router anycast address";
      return { code: "RESERVED", reason: `it is the ${what}` };
    }
    const isLast = hasBroadcast(this.cidr) && slot === 2 ** (32 - this.cidr.prefix) - 1;
    if (isLast) return { code: "RESERVED", reason: "it is the broadcast address" };
    return { slot };
  }
}

const hasBroadcast = (c: Cidr): boolean => c.family === 4 && c.prefix < 31;
