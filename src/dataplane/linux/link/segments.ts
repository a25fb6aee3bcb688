import { errnoOf } from "../../../base/errors/errors.ts";
import type { VethValue } from "../../../models/linux.ts";
import type { Snapshot } from "../namespace/snapshots.ts";
import { readFeatures, setFeatures } from "../netlink/features.ts";
import type { LinkFeature } from "../netlink/native.ts";
import type { FeatureQuestion } from "../netlink/netns-reader.ts";

/*
 * A veth hands segments of up to 64 KiB on as they are: it says that it cuts them, and its other end takes them whole. With
 * TSO off the kernel cuts them before it hands them over (only TSO counts; GSO off has senders not make any), and the
 * other end must not put them together again, which it does with GRO on. None of this can be set over rtnetlink.
 */

type Pair = Pick<VethValue, "name"> & { readonly pod: Pick<VethValue["pod"], "ifName" | "netns"> };

/** Has what the node's end sends arrive as packets, or as it comes. */
export async function setSegments({ name, pod }: Pair, segments: VethValue["segments"]): Promise<void> {
  const cut = segments === "cut";
  await setFeatures(undefined, name, [
    ["tso", !cut],
    ["gso", !cut],
    ["beyond-tcp", !cut],
  ]);
  // Off is how the kernel makes it.
  if (cut) await setFeatures(pod.netns, pod.ifName, [["gro", false]]);
}

/** How it is; of a link that has gone meanwhile, as it comes. */
export async function readSegments({ name, pod }: Pair): Promise<VethValue["segments"]> {
  try {
    const [node, other] = await Promise.all([
      readFeatures(undefined, name, ["tso", "gso", "beyond-tcp"]),
      readFeatures(pod.netns, pod.ifName, ["gro"]),
    ]);
    return node.length + other.length === 0 ? "cut" : undefined;
  } catch (e) {
    if (GONE.has(errnoOf(e))) return undefined;
    throw e;
  }
}

/** What is not left to the device, that is to whoever reads at the other end. */
const NOT_LEFT = {
  complete: ["tx", "tso", "gso", "beyond-tcp"],
  tcp: ["beyond-tcp"],
} as const satisfies Record<NonNullable<VethValue["podSends"]>, readonly LinkFeature[]>;

/** Has the pod's end send what is complete, or leave (some of) the rest to the other end, as the kernel makes it. */
export async function setPodSends({ pod }: Pair, podSends: VethValue["podSends"]): Promise<void> {
  const off: ReadonlySet<LinkFeature> = new Set(podSends === undefined ? [] : NOT_LEFT[podSends]);
  await setFeatures(
    pod.netns,
    pod.ifName,
    NOT_LEFT.complete.map((feature) => [feature, !off.has(feature)]),
  );
}

/** What tells how it is of a pod's end. */
export const podSendsQuestion = ({ pod }: Pair): FeatureQuestion => ({ link: pod.ifName, features: NOT_LEFT.complete });

/** From the snapshot where it was asked for it ({@link podSendsQuestion}); of a link that has gone meanwhile, as it comes. */
export async function readPodSends({ pod }: Pair, { features }: Snapshot): Promise<VethValue["podSends"]> {
  try {
    const on =
      features?.link === pod.ifName ? features.on : await readFeatures(pod.netns, pod.ifName, NOT_LEFT.complete);
    if (on.length === 0) return "complete";
    return on.includes("beyond-tcp") ? undefined : "tcp";
  } catch (e) {
    if (GONE.has(errnoOf(e))) return undefined;
    throw e;
  }
}

const GONE: ReadonlySet<string | undefined> = new Set(["ENODEV", "ENOENT", "NOT_A_NETNS"]);
