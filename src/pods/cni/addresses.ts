import { z } from "zod";
import { addressBits, familyOf, type IpAddress, tryParseIp } from "../../base/ip/address.ts";

/** `10.1.2.3/24` in its parts, the address in canonical form; `prefixLength` is absent where the text has none. */
export interface AddressParts {
  readonly address: IpAddress;
  readonly prefixLength?: number;
}

/** Undefined unless both parts are right. */
export function splitCidr(text: string): AddressParts | undefined {
  const [first = "", prefix, ...rest] = text.split("/");
  const address = tryParseIp(first);
  if (address === undefined || rest.length > 0) return undefined;
  if (prefix === undefined) return { address };
  if (!/^(0|[1-9][0-9]{0,2})$/.test(prefix)) return undefined;
  const prefixLength = Number(prefix);
  return prefixLength <= addressBits(familyOf(address)) ? { address, prefixLength } : undefined;
}

/** An address as it is written: what only passes through stays equal to what came in. */
export const ipSchema = z.string().refine((text) => tryParseIp(text) !== undefined, "must be an IPv4 or IPv6 address");

export const cidrSchema = z
  .string()
  .refine((text) => splitCidr(text)?.prefixLength !== undefined, "must be an address with its prefix, as 10.1.2.3/24");

/** A hardware address for one interface: six octets, not all zero, not a group address. Made lower case. */
export const macSchema = z
  .string()
  .regex(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i, "must be six octets, as c2:11:22:33:44:55")
  .refine((mac) => (Number.parseInt(mac.slice(0, 2), 16) & 1) === 0, "must not be a group address (odd first octet)")
  .refine((mac) => !/^[0:]+$/.test(mac), "must not be all zero")
  .transform((mac) => mac.toLowerCase());

/** DNS settings as network configurations and results carry them (SPEC.md section 1, well-known keys). */
export const dnsSchema = z.object({
  nameservers: z.array(ipSchema).nullish(),
  domain: z.string().nullish(),
  search: z.array(z.string()).nullish(),
  options: z.array(z.string()).nullish(),
});
