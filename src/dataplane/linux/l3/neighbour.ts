import { faultPoint } from "../../../base/faults/fault-point.ts";
import type { Descriptor, Retrieved } from "../../../kvscheduler/api/descriptor.ts";
import {
  HEDDLE_PROTOCOL,
  linkKey,
  NEIGHBOUR_PREFIX,
  type NeighbourValue,
  neighbourKey,
} from "../../../models/linux.ts";
import { type Ends, FoundIn, type Place } from "../namespace/ends.ts";
import type { Snapshot } from "../namespace/snapshots.ts";
import { isNotFound } from "../netlink/errors.ts";
import { neighbourAdd, neighbourDelete } from "../netlink/neighbour.ts";

/** Permanent neighbours on our links. */
export function neighbourDescriptor(ends: Ends): Descriptor<NeighbourValue, undefined> {
  const found = new FoundIn(neighboursIn);
  const set: NonNullable<Descriptor<NeighbourValue, undefined>["create"]> = async (_key, value, ctx) => {
    const { index, run } = ends.of(ctx, value.link, value.end);
    const { address: dst, mac: address } = value;
    await run((netlink) => netlink.request(neighbourAdd({ index, dst, address, protocol: HEDDLE_PROTOCOL })));
    faultPoint("l3.done");
    return undefined;
  };
  return {
    name: "linux-neighbour",
    keyPrefixes: [NEIGHBOUR_PREFIX],
    concurrency: 256,
    // The ends of links are known from their metadata.
    retrieveAfter: ["linux-link"],
    dependencies: (_key, value) => [
      { label: "link", key: linkKey(value.link), carries: true },
      ...(value.requires ?? []).map((key) => ({ label: key, key })),
    ],
    // Where it is, its key says.
    equivalent: (_key, a, b) => a.mac === b.mac,
    describe: (_key, value) => `${value.address} at ${value.mac}`,
    create: set,
    update: (key, _before, value, _metadata, ctx) => set(key, value, ctx),
    async delete(_key, value, _metadata, ctx) {
      const { index, run } = ends.of(ctx, value.link, value.end);
      try {
        await run((netlink) => netlink.request(neighbourDelete({ index, dst: value.address })));
      } catch (e) {
        if (!isNotFound(e)) throw e;
      }
    },
    async retrieve(correlate, ctx) {
      return (await ends.read(ctx, correlate)).flatMap((place) => found.of(place));
    },
  };
}

function neighboursIn({ end, link, index, snapshot }: Place): readonly Retrieved<NeighbourValue, undefined>[] {
  const found: Retrieved<NeighbourValue, undefined>[] = [];
  if (isUnopenedTap(snapshot, index)) return found;
  for (const entry of snapshot.neighbours) {
    if (entry.protocol !== HEDDLE_PROTOCOL || (index !== undefined && entry.index !== index)) continue;
    const on = link ?? snapshot.nameOf(entry.index);
    if (on === undefined || entry.dst === undefined) continue;
    const value: NeighbourValue = { link: on, end, address: entry.dst, mac: entry.address ?? "" };
    found.push({ key: neighbourKey(value), value, metadata: undefined });
  }
  return found;
}

/** Whoever opens it will set its address, and the kernel forgets its neighbours then: as good as not there. */
const isUnopenedTap = ({ links }: Snapshot, index: number | undefined): boolean =>
  links.some((link) => link.index === index && link.info?.kind === "tun" && link.carrier === false);
