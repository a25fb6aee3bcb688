import { HeddleError } from "../../../base/errors/errors.ts";
import { faultPoint } from "../../../base/faults/fault-point.ts";
import type { Descriptor } from "../../../kvscheduler/api/descriptor.ts";
import {
  CARRIER_PREFIX,
  type CarrierValue,
  carrierKey,
  isPairLink,
  type LinkEnd,
  linkKey,
} from "../../../models/linux.ts";
import type { Ends } from "../namespace/ends.ts";
import type { Netlink } from "../namespace/namespaces.ts";
import { until } from "../namespace/until.ts";
import { OperState } from "../netlink/link.ts";
import { linkGet } from "../netlink/link-requests.ts";

/** A link that was set up does not come up. Look for who sets it down. */
export class NoCarrierError extends HeddleError<"NO_CARRIER"> {
  constructor(link: string, end: LinkEnd) {
    super("NO_CARRIER", `the ${end}'s end of ${link} has no carrier`);
  }
}

/**
 * Waits until both ends of a pod's veth forward. The kernel activates the end that was set up first from a work queue, a
 * moment after the second; until then it drops what is sent. There is nothing to remove.
 */
export function carrierDescriptor(ends: Ends): Descriptor<CarrierValue, undefined> {
  return {
    name: "linux-carrier",
    keyPrefixes: [CARRIER_PREFIX],
    concurrency: 256,
    dependencies: (_key, value) => [{ label: "link", key: linkKey(value.link), carries: true }],
    describe: (_key, value) => value.link,
    async create(_key, value, ctx) {
      const upAt = (side: LinkEnd): Promise<void> => {
        const { index, run } = ends.of(ctx, value.link, side);
        const isUp = (netlink: Netlink) => async () =>
          (await netlink.request(linkGet({ index })))?.operState === OperState.UP;
        return run((netlink) => until(isUp(netlink), ctx.signal, () => new NoCarrierError(value.link, side)));
      };
      await Promise.all([upAt("node"), upAt("pod")]);
      faultPoint("carrier.up");
      return undefined;
    },
    delete() {},
    async retrieve(_correlate, ctx) {
      const { links } = await ends.snapshots.node(ctx);
      return links.flatMap((link) => {
        if (!isPairLink(link.name) || link.operState !== OperState.UP) return [];
        return [{ key: carrierKey(link.name), value: { link: link.name }, metadata: undefined }];
      });
    },
  };
}
