import type { Namespaces, Netlink } from "../../../src/dataplane/linux/namespace/namespaces.ts";
import {
  DUMPS,
  type NamespaceReading,
  type Snapshot,
  snapshotOf,
} from "../../../src/dataplane/linux/namespace/snapshots.ts";
import { fdbDump } from "../../../src/dataplane/linux/netlink/neighbour.ts";

/** Reads by sockets: of a node in another namespace than this process, or of a fake one. */
export const bySockets = (namespaces: Namespaces): NamespaceReading => ({
  node: () => read(namespaces.node, true),
  read: (netns) => namespaces.in(netns, (netlink) => read(netlink, false)),
  forget: () => {},
});

async function read(netlink: Netlink, withFdb: boolean): Promise<Snapshot> {
  const [links, addresses, routes, neighbours, fdb] = await Promise.all([
    netlink.dump(DUMPS.links),
    netlink.dump(DUMPS.addresses),
    netlink.dump(DUMPS.routes),
    netlink.dump(DUMPS.neighbours),
    withFdb ? netlink.dump(fdbDump()) : [],
  ]);
  return snapshotOf({ links, addresses, routes, neighbours, fdb });
}
