import { parseIp } from "../../../base/ip/address.ts";
import { type Cidr, cidrContains, parseNetwork } from "../../../base/ip/cidr.ts";

/** Whether an address lies in one of the prefixes, such as those that the kernel takes for its own. Remembers what was asked. */
export function containment(prefixes: readonly string[]): (address: string) => boolean {
  const networks: readonly Cidr[] = prefixes.map(parseNetwork);
  const known = new Map<string, boolean>();
  return (address) => {
    let local = known.get(address);
    if (local === undefined) {
      const ip = parseIp(address);
      local = networks.some((network) => cidrContains(network, ip));
      known.set(address, local);
    }
    return local;
  };
}
