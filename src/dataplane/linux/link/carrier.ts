import { HeddleError } from "../../../base/errors/errors.ts";
import { faultPoint } from "../../../base/faults/fault-point.ts";
import type { Correlate, Descriptor, Retrieved } from "../../../kvscheduler/api/descriptor.ts";
import {
  CARRIER_PREFIX,
  type CarrierValue,
  carrierKey,
  isPairLink,
  type LinkEnd,
  linkKey,
} from "../../../models/linux.ts";
import type { Ends, Place } from "../namespace/ends.ts";
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
 * Waits until both ends of a pod's veth forward, or its tap does. The kernel activates the end that was set up first from a
 * work queue, a moment after the second, and a tap likewise when it is opened; until then it drops what is sent. There is
 * nothing to remove.
 */
export function carrierDescriptor(ends: Ends): Descriptor<CarrierValue, undefined> {
  return {
    name: "linux-carrier",
    keyPrefixes: [CARRIER_PREFIX],
    concurrency: 256,
    // The ends of links are known from their metadata.
    retrieveAfter: ["linux-link"],
    dependencies: (_key, value) => [
      { label: "link", key: linkKey(value.link), carries: true },
      ...(value.requires ?? []).map((key) => ({ label: key, key })),
    ],
    equivalent: (_key, a, b) => a.end === b.end,
    describe: (_key, value) => value.link,
    async create(_key, value, ctx) {
      const upAt = (side: LinkEnd): Promise<void> => {
        const { index, run } = ends.of(ctx, value.link, side);
        const isUp = (netlink: Netlink) => async () =>
          (await netlink.request(linkGet({ index })))?.operState === OperState.UP;
        return run((netlink) => until(isUp(netlink), ctx.signal, () => new NoCarrierError(value.link, side)));
      };
      await Promise.all([...(value.end === undefined ? [upAt("node")] : []), upAt("pod")]);
      faultPoint("carrier.up");
      return undefined;
    },
    delete() {},
    async retrieve(correlate, ctx) {
      const inPods = [...correlate].filter(({ value }) => value.end !== undefined);
      const known = new Map(inPods.map(({ value }) => [value.link, value]));
      return (await ends.read(ctx, inPods.map(atEnd))).flatMap((place) => carriersAt(place, known));
    },
  };
}

function carriersAt({ link, index, snapshot }: Place, known: ReadonlyMap<string, CarrierValue>) {
  const found: Retrieved<CarrierValue, undefined>[] = [];
  for (const { name, index: at, operState } of snapshot.links) {
    if (operState !== OperState.UP || (link === undefined ? !isPairLink(name) : at !== index)) continue;
    const value = known.get(link ?? name) ?? { link: name };
    found.push({ key: carrierKey(value.link), value, metadata: undefined });
  }
  return found;
}

const atEnd = ({ key, value }: Correlate<CarrierValue, undefined>) => ({
  ...{ key, metadata: undefined },
  value: { link: value.link, end: "pod" as const },
});
