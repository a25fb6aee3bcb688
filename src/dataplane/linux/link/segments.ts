import { errnoOf } from "../../../base/errors/errors.ts";
import type { VethValue } from "../../../models/linux.ts";
import { readFeatures, setFeatures } from "../netlink/features.ts";

/*
 * A veth hands segments of up to 64 KiB on as they are: it says that it cuts them, and its other end takes them whole. With
 * TSO off the kernel cuts them before it hands them over (only TSO counts; GSO off has senders not make any), and the
 * other end must not put them together again, which it does with GRO on. None of this can be set over rtnetlink.
 * Segments of UDP (UDP_SEGMENT) are another feature, and pass.
 */

type Pair = Pick<VethValue, "name"> & { readonly pod: Pick<VethValue["pod"], "ifName" | "netns"> };

/** Has what the node's end sends arrive as packets, or as it comes. */
export async function setSegments({ name, pod }: Pair, segments: VethValue["segments"]): Promise<void> {
  const cut = segments === "cut";
  await setFeatures(undefined, name, [
    ["tso", !cut],
    ["gso", !cut],
  ]);
  // Off is how the kernel makes it.
  if (cut) await setFeatures(pod.netns, pod.ifName, [["gro", false]]);
}

/** How it is; of a link that has gone meanwhile, as it comes. */
export async function readSegments({ name, pod }: Pair): Promise<VethValue["segments"]> {
  try {
    const [node, other] = await Promise.all([
      readFeatures(undefined, name, ["tso", "gso"]),
      readFeatures(pod.netns, pod.ifName, ["gro"]),
    ]);
    return node.length + other.length === 0 ? "cut" : undefined;
  } catch (e) {
    if (GONE.has(errnoOf(e))) return undefined;
    throw e;
  }
}

/** Nothing is left to the device, that is to whoever reads at the other end. */
const LEFT_TO_DEVICE = ["tx", "tso", "gso"] as const;

/** Has the pod's end send what is complete, or leave the rest to the other end, as the kernel makes it. */
export async function setPodSends({ pod }: Pair, podSends: VethValue["podSends"]): Promise<void> {
  const on = podSends !== "complete";
  await setFeatures(
    pod.netns,
    pod.ifName,
    LEFT_TO_DEVICE.map((feature) => [feature, on]),
  );
}

export async function readPodSends({ pod }: Pair): Promise<VethValue["podSends"]> {
  try {
    const on = await readFeatures(pod.netns, pod.ifName, LEFT_TO_DEVICE);
    return on.length === 0 ? "complete" : undefined;
  } catch (e) {
    if (GONE.has(errnoOf(e))) return undefined;
    throw e;
  }
}

const GONE: ReadonlySet<string | undefined> = new Set(["ENODEV", "ENOENT", "NOT_A_NETNS"]);
