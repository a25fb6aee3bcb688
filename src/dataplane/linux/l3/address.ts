import { HeddleError } from "../../../base/errors/errors.ts";
import { faultPoint } from "../../../base/faults/fault-point.ts";
import type { Descriptor, Retrieved } from "../../../kvscheduler/api/descriptor.ts";
import { ADDRESS_PREFIX, type AddressValue, addressKey, HEDDLE_PROTOCOL, linkKey } from "../../../models/linux.ts";
import { type Ends, FoundIn, type Place } from "../namespace/ends.ts";
import type { Netlink } from "../namespace/namespaces.ts";
import { until } from "../namespace/until.ts";
import { AddressFlag, type AddressMessage, addressAdd, addressDelete, FOREVER, Scope } from "../netlink/address.ts";
import { isNotFound, NetlinkError } from "../netlink/errors.ts";
import { RouteType } from "../netlink/route.ts";
import { routeLookup } from "../netlink/route-requests.ts";

/** An address was given to a link, but its namespace does not take it for its own. Look for rules that hide table "local". */
export class NotLocalError extends HeddleError<"NOT_LOCAL"> {
  constructor({ link, address }: AddressValue) {
    super("NOT_LOCAL", `${address} on ${link} is not received`);
  }
}

/** Addresses on our links, usable at once (no duplicate address detection) and without routes of their own. */
export function addressDescriptor(ends: Ends): Descriptor<AddressValue, undefined> {
  const found = new FoundIn(addressesIn);
  return {
    name: "linux-address",
    keyPrefixes: [ADDRESS_PREFIX],
    concurrency: 256,
    // The ends of links are known from their metadata.
    retrieveAfter: ["linux-link"],
    dependencies: (_key, value) => [{ label: "link", key: linkKey(value.link), carries: true }],
    describe: (_key, value) => `${value.address}/${value.prefix}`,
    async create(_key, value, ctx) {
      const { index, run } = ends.of(ctx, value.link, value.end);
      const flags = AddressFlag.NODAD | AddressFlag.NOPREFIXROUTE;
      const address = `${value.address}/${value.prefix}`;
      await run(async (netlink) => {
        const message = { index, address, flags, proto: HEDDLE_PROTOCOL, ...(value.bySource ? setAside(address) : {}) };
        await netlink.request(addressAdd(message, "replace"));
        faultPoint("address.set");
        await untilReceived(netlink, value, ctx.signal);
      });
      faultPoint("l3.done");
      return undefined;
    },
    async delete(_key, value, _metadata, ctx) {
      const { index, run } = ends.of(ctx, value.link, value.end);
      try {
        await run((netlink) => netlink.request(addressDelete({ index, address: `${value.address}/${value.prefix}` })));
      } catch (e) {
        if (!isNotFound(e)) throw e;
      }
    },
    async retrieve(correlate, ctx) {
      return (await ends.read(ctx, correlate)).flatMap((place) => found.of(place));
    },
  };
}

function addressesIn({ end, link, index, snapshot }: Place): readonly Retrieved<AddressValue, undefined>[] {
  const found: Retrieved<AddressValue, undefined>[] = [];
  for (const entry of snapshot.addresses) {
    if (entry.proto !== HEDDLE_PROTOCOL || (index !== undefined && entry.index !== index)) continue;
    const on = link ?? snapshot.nameOf(entry.index);
    if (on === undefined) continue;
    const [address = "", prefix = ""] = entry.address.split("/");
    const bySource = isSetAside(entry) ? ({ bySource: true } as const) : {};
    const value: AddressValue = { link: on, end, address, prefix: Number(prefix), ...bySource };
    found.push({ key: addressKey(value), value, metadata: undefined });
  }
  return found;
}

/** What keeps the kernel from choosing an address as a source: inet_select_addr() goes by scope, RFC 6724 by deprecation. */
function setAside(address: string): Partial<AddressMessage> {
  return address.includes(":") ? { lifetime: { preferred: 0, valid: FOREVER } } : { scope: Scope.LINK };
}

function isSetAside({ address, scope, flags = 0 }: AddressMessage): boolean {
  return address.includes(":") ? (flags & AddressFlag.DEPRECATED) !== 0 : scope === Scope.LINK;
}

/**
 * The kernel receives for an IPv6 address once its route in table "local" is there, which a work queue inserts after the
 * address was acknowledged, also without duplicate address detection (addrconf_dad_work in net/ipv6/addrconf.c). What
 * arrives before is dropped. An IPv4 address has its route at once.
 */
async function untilReceived(netlink: Netlink, value: AddressValue, signal: AbortSignal): Promise<void> {
  const { address } = value;
  if (!address.includes(":")) return;
  const isLocal = async (): Promise<boolean> => {
    try {
      return (await netlink.request(routeLookup(address)))?.type === RouteType.LOCAL;
    } catch (e) {
      if (e instanceof NetlinkError) return false; // there is no route that leads there yet, not even a wrong one
      throw e;
    }
  };
  await until(isLocal, signal, () => new NotLocalError(value));
}
