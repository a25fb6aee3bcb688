import type { Key } from "../../kvscheduler/api/descriptor.ts";
import { check, checkInteger, checkIp, checkNetwork } from "./checks.ts";
import { checkInterfaceName } from "./interface.ts";
import { checkWireguardKey } from "./interface-kinds.ts";

/** Another end of a WireGuard interface. */
export interface WireguardPeerValue {
  readonly interface: string;
  /** 32 bytes, Base64. VPP has a peer of one key once, on all its interfaces. */
  readonly publicKey: string;
  /** Secret: 32 bytes, Base64. */
  readonly presharedKey?: string;
  /**
   * Where it is at first; it may move, and VPP follows it. Absent: it is not known until it has sent something, and until
   * then VPP sends nothing to it.
   */
  readonly endpoint?: { readonly address: string; readonly port: number };
  /** VRF that the endpoint is routed in. */
  readonly vrf: number;
  /** Seconds between packets that keep a NAT open; 0: none. */
  readonly keepalive: number;
  /** Canonical CIDRs: sources accepted from it. What goes to it is routed to the interface with it as the next hop. */
  readonly allowed: readonly string[];
}

export const WIREGUARD_PEER_PREFIX = "vpp/wireguard-peer/";

/** The public key is written in Base64url: keys of items have slashes of their own. */
export const wireguardPeerKey = (v: Pick<WireguardPeerValue, "interface" | "publicKey">): Key =>
  `${WIREGUARD_PEER_PREFIX}${v.interface}/${Buffer.from(v.publicKey, "base64").toString("base64url")}`;

/** Throws `InvalidValueError`. */
export function validateWireguardPeer(value: WireguardPeerValue): void {
  checkInterfaceName(value.interface);
  checkWireguardKey(value.publicKey, "publicKey");
  if (value.presharedKey !== undefined) {
    checkWireguardKey(value.presharedKey, "presharedKey");
    check(/[^A=]/.test(value.presharedKey), "presharedKey", "is zero, which is none: leave it out");
  }
  if (value.endpoint !== undefined) {
    const { address, port } = value.endpoint;
    checkIp(address, "endpoint.address");
    check(address !== "0.0.0.0" && address !== "::", "endpoint.address", "is nobody's: leave the endpoint out");
    checkInteger(port, "endpoint.port", 1, 0xffff);
  }
  checkInteger(value.vrf, "vrf", 0, 0xffff_fffe);
  checkInteger(value.keepalive, "keepalive", 0, 0xffff);
  const { length } = value.allowed;
  check(length > 0 && length <= 255, "allowed", `1 to 255, not ${length}`);
  for (const [i, prefix] of value.allowed.entries()) checkNetwork(prefix, `allowed[${i}]`);
}
