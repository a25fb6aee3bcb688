import type { FoundRoute } from "../../models/linux.ts";

/** A link of the node as it was found, before VPP took it from the kernel. */
export interface TakenUplink {
  readonly link: string;
  readonly mac: string;
  readonly mtu: number;
  /** With their prefix lengths. */
  readonly addresses: readonly string[];
  /** The networks of {@link addresses}. */
  readonly networks: readonly string[];
  readonly routes: readonly FoundRoute[];
  /** Whether the kernel put what it received together to longer packets. */
  readonly gro: boolean;
}
