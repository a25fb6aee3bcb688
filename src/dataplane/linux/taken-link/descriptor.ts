import type { Descriptor, Retrieved } from "../../../kvscheduler/api/descriptor.ts";
import { TAKEN_LINK_PREFIX, type TakenLinkValue, takenLinkKey } from "../../../models/linux.ts";
import type { Ends } from "../namespace/ends.ts";
import { clearLink, fillLink, findLink } from "./found.ts";

/** What links had when they were taken, so that they get it back after a crash, too. */
export interface TakenLinkRecords {
  all(): ReadonlyMap<string, TakenLinkValue>;
  /** Durable when it resolves; `undefined` forgets. */
  set(link: string, value: TakenLinkValue | undefined): Promise<void>;
}

/**
 * Takes links of the node from the kernel, and gives them back. What they had is recorded before anything is changed, by
 * whoever asks for it for the first time.
 */
export function takenLinkDescriptor(ends: Ends, records: TakenLinkRecords): Descriptor<TakenLinkValue, undefined> {
  const { node } = ends.namespaces;
  return {
    name: "linux-taken-link",
    keyPrefixes: [TAKEN_LINK_PREFIX],
    retrieveAfter: ["linux-link"],
    equivalent: (_key, a, b) => a.link === b.link,
    dependencies: (_key, value) => value.requires.map((key) => ({ label: key, key })),
    describe: (_key, value) => `${value.link}: ${value.addresses.join(", ")}`,
    async create(_key, value) {
      ends.snapshots.changed();
      const found = await findLink(node, value.link);
      if (!found) throw new Error(`there is no link ${value.link}`);
      // It may have been given back in the meantime, while the other dataplane was away.
      if (!records.all().has(value.link)) await records.set(value.link, { ...value, requires: [] });
      await clearLink(node, value.link, found);
      return undefined;
    },
    update: () => undefined,
    async delete(_key, value) {
      ends.snapshots.changed();
      const recorded = records.all().get(value.link) ?? value;
      const found = await findLink(node, value.link);
      if (found) await fillLink(node, found.index, recorded);
      await records.set(value.link, undefined);
    },
    async retrieve() {
      const taken: Retrieved<TakenLinkValue, undefined>[] = [];
      for (const [link, value] of records.all()) {
        // A link with its device is no item: it is taken before VPP starts, and given back after it ends.
        if (value.device) continue;
        const found = await findLink(node, link);
        // A link that something has given an address again is to be taken again.
        if (!found || found.addresses.length > 0 || found.gro) continue;
        taken.push({ key: takenLinkKey(link), value, metadata: undefined });
      }
      return taken;
    },
  };
}
