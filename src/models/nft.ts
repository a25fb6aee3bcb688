import type { Key } from "../kvscheduler/api/descriptor.ts";

/** Items of the one nftables table, `inet hd` (family inet, so that one table serves both families). */
export const NFT_TABLE = "hd";

/** Names are those of `nft`; types as in `nft(8)`, concatenations as `inet_proto . inet_service`. */
export interface NftSetValue {
  readonly kind: "map" | "set";
  readonly name: string;
  readonly type: string;
  /** Type of the data of a map. */
  readonly data?: string;
  readonly flags?: readonly ("constant" | "dynamic" | "interval" | "timeout")[];
  /** Seconds after which an element goes; with flag `dynamic`, by which rules put elements there: those are not read back. */
  readonly timeout?: number;
  /** Each element counts the packets that are found in it. */
  readonly counters?: true;
}

export interface NftElementValue {
  readonly set: string;
  /** As `nft` writes it: `tcp . 80`. */
  readonly key: string;
  /** Only in maps: `10.1.1.2 . 8080`. */
  readonly data?: string;
  /** What else must be in place as long as it is; not read back. */
  readonly requires?: readonly Key[];
}

export interface NftChainValue {
  readonly name: string;
  /** Absent: a regular chain. */
  readonly hook?: NftHook;
  /** In order; without comments, which carry the rule's digest. */
  readonly rules: readonly string[];
  /** Sets and maps that the rules name, so that they exist first. */
  readonly uses: readonly string[];
  /** Chains that the rules jump to. */
  readonly jumps: readonly string[];
  /** What else must be in place as long as it is; not read back. */
  readonly requires?: readonly Key[];
}

export interface NftHook {
  readonly type: "filter" | "nat" | "route";
  readonly hook: "forward" | "ingress" | "input" | "output" | "postrouting" | "prerouting";
  readonly priority: number;
  /** For `ingress`: the link that the chain looks at. `nft` does not list it, so the chain's name should tell it. */
  readonly device?: string;
  /** `accept` if absent. */
  readonly policy?: "drop";
}

/** The table itself; everything in it goes with it. */
export const NFT_TABLE_KEY: Key = "linux/nft/table";
export const NFT_SET_PREFIX = "linux/nft/set/";
export const NFT_CHAIN_PREFIX = "linux/nft/chain/";
export const NFT_ELEMENT_PREFIX = "linux/nft/element/";

export const nftSetKey = (name: string): Key => `${NFT_SET_PREFIX}${name}`;
export const nftChainKey = (name: string): Key => `${NFT_CHAIN_PREFIX}${name}`;
export const nftElementKey = (set: string, key: string): Key => `${NFT_ELEMENT_PREFIX}${set}/${key}`;
