import type { LinkMetadata } from "../../../src/dataplane/linux/link/metadata.ts";
import type { Descriptor } from "../../../src/kvscheduler/api/descriptor.ts";
import { LINK_PREFIX, type LinkValue, linkKey } from "../../../src/models/linux.ts";
import type { FakeKernel } from "./fake-kernel.ts";

/** A pod's end has this index in its namespace; each pod of a test has one link. */
const POD_INDEX = 2;

/** Links that appear and go at once, for what lies on them. */
export function fakeLinks(kernel: FakeKernel): Descriptor<LinkValue, LinkMetadata> {
  const links = new Map<string, { value: LinkValue; metadata: LinkMetadata }>();
  let next = 10;
  return {
    name: "linux-link",
    keyPrefixes: [LINK_PREFIX],
    create(_key, value) {
      const index = next++;
      kernel.node.addLink({ index, name: value.name });
      const { netns } = value.kind === "veth" ? value.pod : { netns: undefined };
      if (netns !== undefined) kernel.pod(netns).addLink({ index: POD_INDEX, name: "eth0" });
      const pod = netns === undefined ? {} : { pod: { netns, index: POD_INDEX } };
      const metadata: LinkMetadata = { nodeIndex: index, ...pod };
      links.set(value.name, { value, metadata });
      return metadata;
    },
    delete(_key, value, metadata) {
      if (metadata.nodeIndex !== undefined) kernel.node.removeLink(metadata.nodeIndex);
      if (metadata.pod) kernel.pod(metadata.pod.netns).removeLink(metadata.pod.index);
      links.delete(value.name);
    },
    retrieve: async () =>
      [...links.values()].map(({ value, metadata }) => ({ key: linkKey(value.name), value, metadata })),
  };
}
