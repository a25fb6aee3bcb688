import { HeddleError } from "../../../base/errors/errors.ts";
import type { Correlate, OpContext } from "../../../kvscheduler/api/descriptor.ts";
import { type LinkEnd, linkKey } from "../../../models/linux.ts";
import type { LinkMetadata } from "../link/metadata.ts";
import type { Namespaces, Netlink } from "./namespaces.ts";
import type { Snapshot, Snapshots } from "./snapshots.ts";

/** One end of a link: where to speak to the kernel about it, and its index there. */
export interface End {
  readonly index: number;
  readonly run: <T>(work: (netlink: Netlink) => Promise<T>) => Promise<T>;
}

/** A namespace that was read: the node's, or a pod's with the link that leads there and its index inside. */
export interface Place {
  readonly end: LinkEnd;
  readonly link: string | undefined;
  readonly index: number | undefined;
  readonly snapshot: Snapshot;
}

/**
 * What a descriptor finds in namespaces. In one that is as it was it finds the very same: with hundreds of pods, most of what a
 * comparison costs is to make keys and values that are then found to be equal.
 */
export class FoundIn<T> {
  readonly #find: (place: Place) => readonly T[];
  readonly #found = new WeakMap<Snapshot, Map<string, readonly T[]>>();

  /** `find` depends on nothing but the place. */
  constructor(find: (place: Place) => readonly T[]) {
    this.#find = find;
  }

  of(place: Place): readonly T[] {
    const { end, link, index, snapshot } = place;
    // The node's changes all the time.
    if (end === "node") return this.#find(place);
    let inPod = this.#found.get(snapshot);
    if (!inPod) this.#found.set(snapshot, (inPod = new Map<string, readonly T[]>()));
    const key = `${index} ${link}`;
    let found = inPod.get(key);
    if (!found) inPod.set(key, (found = this.#find(place)));
    return found;
  }
}

/** The link that an item lies on is not known to be there. */
export class NoLinkError extends HeddleError<"NO_LINK"> {
  constructor(link: string, end: LinkEnd) {
    super("NO_LINK", `link ${link} has no end on the ${end}`);
  }
}

/** Finds a link's ends, for the descriptors of what lies on links. */
export class Ends {
  readonly namespaces: Namespaces;
  readonly snapshots: Snapshots;

  constructor(namespaces: Namespaces, snapshots: Snapshots) {
    this.namespaces = namespaces;
    this.snapshots = snapshots;
  }

  /** @throws NoLinkError */
  of(ctx: OpContext, link: string, end: LinkEnd): End {
    const metadata = ctx.metadata<LinkMetadata>(linkKey(link));
    this.snapshots.changed();
    if (end === "node" && metadata?.nodeIndex !== undefined) {
      return { index: metadata.nodeIndex, run: (work) => work(this.namespaces.node) };
    }
    const pod = end === "pod" ? metadata?.pod : undefined;
    if (!pod) throw new NoLinkError(link, end);
    return { index: pod.index, run: (work) => this.namespaces.in(pod.netns, work) };
  }

  /**
   * Every namespace that the correlated items lie in, read: the node's, and then those of pods, each with the link that leads
   * there. Pods whose namespace is gone are left out.
   */
  async read(
    ctx: OpContext,
    correlate: Iterable<Correlate<{ readonly link?: string; readonly end: LinkEnd }, unknown>>,
  ): Promise<readonly Place[]> {
    const node: Place = { end: "node", link: undefined, index: undefined, snapshot: await this.snapshots.node(ctx) };
    const links = new Set<string>();
    for (const { value } of correlate) if (value.end === "pod" && value.link) links.add(value.link);
    const pods = [...links].map((link) => ({ link, pod: ctx.metadata<LinkMetadata>(linkKey(link))?.pod }));
    const netns = pods.flatMap(({ pod }) => (pod ? [pod.netns] : []));
    const snapshots = await this.snapshots.pods(ctx, netns);
    const inPods = pods.flatMap(({ link, pod }): Place[] => {
      const snapshot = pod && snapshots.get(pod.netns);
      return pod && snapshot ? [{ end: "pod", link, index: pod.index, snapshot }] : [];
    });
    return [node, ...inPods];
  }
}
