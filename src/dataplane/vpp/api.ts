import type { FoundRoute } from "../../models/linux.ts";
import type { UplinkChoice } from "./uplink/choice.ts";

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
  /** VPP gets its IPv4 address and default route by DHCP, and puts them in place itself. Under this name it asks. */
  readonly dhcp?: { readonly hostname: string };
  /**
   * The host's own address until now, with its prefix length. It goes when nothing has it as source any more: with the last
   * address of a family a link loses its neighbours, and with its routes the host its way to VPP.
   */
  readonly former?: string | undefined;
  /** How VPP has it; by AF_PACKET if absent. */
  readonly by?: UplinkChoice;
}
