import type { Key } from "../../kvscheduler/api/descriptor.ts";
import { check } from "./checks.ts";
import { checkInterfaceName } from "./interface.ts";

/** The interface gets an IPv4 address and a default route by DHCP; VPP puts them in place and takes them away itself. */
export interface DhcpClientValue {
  readonly interface: string;
  /** Told to the server: 1 to 63 printable ASCII characters. */
  readonly hostname: string;
  /** Identifies the client to the server, likewise. */
  readonly clientId: string;
  /** Asks the server to answer by broadcast. */
  readonly broadcast: boolean;
}

export const DHCP_CLIENT_PREFIX = "vpp/dhcp-client/";
export const dhcpClientKey = (name: string): Key => `${DHCP_CLIENT_PREFIX}${name}`;

/** Throws `InvalidValueError`. */
export function validateDhcpClient(value: DhcpClientValue): void {
  checkInterfaceName(value.interface);
  for (const field of ["hostname", "clientId"] as const) {
    check(/^[!-~]{1,63}$/.test(value[field]), field, "is not 1 to 63 printable ASCII characters without blanks");
  }
}
