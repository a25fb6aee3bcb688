import { errnoOf } from "../../../base/errors/errors.ts";
import { faultPoint } from "../../../base/faults/fault-point.ts";
import type { Correlate, Descriptor, OpContext, Retrieved } from "../../../kvscheduler/api/descriptor.ts";
import { isIfbLink, isPodLink, linkKey, SHAPER_PREFIX, type ShaperValue, shaperKey } from "../../../models/linux.ts";
import type { LinkMetadata } from "../link/metadata.ts";
import type { Ends } from "../namespace/ends.ts";
import { isNotFound } from "../netlink/errors.ts";
import { type QdiscMessage, qdiscAdd, qdiscDelete, qdiscDump, type Tbf, TcHandle, tbfLimit } from "../netlink/qdisc.ts";

/** How long a packet waits for its turn at most; what would wait longer is dropped. As the stock bandwidth plugin has it. */
const LATENCY_MS = 25;
const ROOT = { parent: TcHandle.ROOT, handle: 0x1_0000 } as const;

/** Token buckets at the root of links. */
export function shaperDescriptor(ends: Ends): Descriptor<ShaperValue, undefined> {
  const set: Descriptor<ShaperValue, undefined>["create"] = async (_key, value, ctx) => {
    const { index, run } = ends.of(ctx, value.link, value.end ?? "node");
    const info: QdiscMessage["info"] = { kind: "tbf", tbf: bucket(value) };
    await run((netlink) => netlink.request(qdiscAdd({ index, ...ROOT, info })));
    faultPoint("shaper.done");
    return undefined;
  };
  return {
    name: "linux-shaper",
    keyPrefixes: [SHAPER_PREFIX],
    // The pods' ends of links are known from their metadata.
    retrieveAfter: ["linux-link"],
    dependencies: (_key, value) => [{ label: "link", key: linkKey(value.link), carries: true }],
    describe: (_key, value) => `${value.rate} bit/s, burst ${value.burst} bit on ${value.link}`,
    // The kernel keeps bytes, and the burst as a time in ticks of 64 ns.
    equivalent: (_key, a, b) =>
      Math.abs(a.rate - b.rate) < 8 && Math.abs(a.burst - b.burst) <= Math.max(64, a.rate / 1e6),
    create: set,
    update: (key, _before, value, _metadata, ctx) => set(key, value, ctx),
    async delete(_key, value, _metadata, ctx) {
      const { index, run } = ends.of(ctx, value.link, value.end ?? "node");
      try {
        await run((netlink) => netlink.request(qdiscDelete({ index, ...ROOT })));
      } catch (e) {
        if (!isNotFound(e)) throw e;
      }
    },
    async retrieve(correlate, ctx) {
      const [{ nameOf }, qdiscs, ...inPods] = await Promise.all([
        ends.snapshots.node(ctx),
        ends.namespaces.node.dump(qdiscDump()),
        ...Array.from(correlate, (known) => readInPod(ends, ctx, known)),
      ]);
      const onNode = qdiscs.flatMap((qdisc) => {
        const link = nameOf(qdisc.index);
        return link === undefined || (!isPodLink(link) && !isIfbLink(link)) ? [] : found(qdisc, { link });
      });
      return [...onNode, ...inPods.flat()];
    },
  };
}

type Found = Retrieved<ShaperValue, undefined>;

async function readInPod(
  ends: Ends,
  ctx: OpContext,
  { value: { link, end } }: Correlate<ShaperValue, undefined>,
): Promise<readonly Found[]> {
  const pod = end === undefined ? undefined : ctx.metadata<LinkMetadata>(linkKey(link))?.pod;
  if (!pod || end === undefined) return [];
  try {
    const qdiscs = await ends.namespaces.in(pod.netns, (netlink) => netlink.dump(qdiscDump()));
    return qdiscs.flatMap((qdisc) => (qdisc.index === pod.index ? found(qdisc, { link, end }) : []));
  } catch (e) {
    if (GONE.has(errnoOf(e))) return [];
    throw e;
  }
}

const GONE: ReadonlySet<string | undefined> = new Set(["ENOENT", "NOT_A_NETNS"]);

function found({ parent, info }: QdiscMessage, at: Pick<ShaperValue, "end" | "link">): Found[] {
  if (parent !== TcHandle.ROOT || info?.kind !== "tbf" || !info.tbf) return [];
  const value: ShaperValue = { ...at, rate: info.tbf.rate * 8, burst: info.tbf.burst * 8 };
  return [{ key: shaperKey(value), value, metadata: undefined }];
}

function bucket(value: ShaperValue): Tbf {
  const rate = Math.max(1, Math.floor(value.rate / 8));
  const burst = Math.max(1, Math.floor(value.burst / 8));
  return { rate, burst, limit: tbfLimit(rate, burst, LATENCY_MS) };
}
