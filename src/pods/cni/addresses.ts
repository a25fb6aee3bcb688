import { isIPv4, isIPv6 } from "node:net";
import { z } from "zod";

/** 4 or 6 for an address without zone, 0 for anything else. */
export function ipFamily(address: string): 0 | 4 | 6 {
  if (isIPv4(address)) return 4;
  return isIPv6(address) && !address.includes("%") ? 6 : 0;
}

/** Splits `10.1.2.3/24`; undefined unless both parts are right. `prefixLength` is absent where the text has none. */
export function splitCidr(text: string): { readonly address: string; readonly prefixLength?: number } | undefined {
  const [address = "", prefix, ...rest] = text.split("/");
  const family = ipFamily(address);
  if (family === 0 || rest.length > 0) return undefined;
  if (prefix === undefined) return { address };
  if (!/^(0|[1-9][0-9]{0,2})$/.test(prefix)) return undefined;
  const prefixLength = Number(prefix);
  return prefixLength <= (family === 4 ? 32 : 128) ? { address, prefixLength } : undefined;
}

export const ipSchema = z.string().refine((text) => ipFamily(text) !== 0, "must be an IPv4 or IPv6 address");

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
