import type { Descriptor } from "../../../kvscheduler/api/descriptor.ts";
import { FDB_PREFIX, type FdbValue, fdbKey, linkKey, VXLAN_LINK } from "../../../models/linux.ts";
import type { Ends } from "../namespace/ends.ts";
import { isNotFound } from "../netlink/errors.ts";
import { fdbAdd, fdbDelete } from "../netlink/neighbour.ts";

/** Forwarding entries of the overlay's device: behind which node a MAC address is. */
export function fdbDescriptor(ends: Ends): Descriptor<FdbValue, undefined> {
  const set: NonNullable<Descriptor<FdbValue, undefined>["create"]> = async (_key, value, ctx) => {
    const { index, run } = ends.of(ctx, value.link, "node");
    await run((netlink) => netlink.request(fdbAdd({ index, address: value.mac, dst: value.dst })));
    return undefined;
  };
  return {
    name: "linux-fdb",
    keyPrefixes: [FDB_PREFIX],
    dependencies: (_key, value) => [{ label: "link", key: linkKey(value.link), carries: true }],
    describe: (_key, value) => `${value.mac} at ${value.dst}`,
    create: set,
    update: (key, _before, value, _metadata, ctx) => set(key, value, ctx),
    async delete(_key, value, _metadata, ctx) {
      const { index, run } = ends.of(ctx, value.link, "node");
      try {
        await run((netlink) => netlink.request(fdbDelete({ index, address: value.mac, dst: value.dst })));
      } catch (e) {
        if (!isNotFound(e)) throw e;
      }
    },
    async retrieve(_correlate, ctx) {
      const { fdb, nameOf } = await ends.snapshots.node(ctx);
      return fdb.flatMap((entry) => {
        const { address: mac, dst } = entry;
        if (nameOf(entry.index) !== VXLAN_LINK || mac === undefined || dst === undefined) return [];
        const value: FdbValue = { link: VXLAN_LINK, mac, dst };
        return [{ key: fdbKey(value), value, metadata: undefined }];
      });
    },
  };
}
