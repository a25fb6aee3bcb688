import { faultPoint } from "../../../base/faults/fault-point.ts";
import type { Descriptor } from "../../../kvscheduler/api/descriptor.ts";
import { isPodLink, linkKey, REDIRECT_PREFIX, type RedirectValue, redirectKey } from "../../../models/linux.ts";
import type { Ends } from "../namespace/ends.ts";
import { isNotFound } from "../netlink/errors.ts";
import { filterDump, redirectAdd } from "../netlink/filter.ts";
import { ingressQdisc, qdiscAdd, qdiscDelete, qdiscDump, TcHandle } from "../netlink/qdisc.ts";

/** An ingress discipline on a pod's link whose one filter sends everything to an IFB. */
export function redirectDescriptor(ends: Ends): Descriptor<RedirectValue, undefined> {
  return {
    name: "linux-redirect",
    keyPrefixes: [REDIRECT_PREFIX],
    dependencies: (_key, value) => [
      { label: "link", key: linkKey(value.link), carries: true },
      { label: "target", key: linkKey(value.to) },
    ],
    describe: (_key, value) => `${value.link} to ${value.to}`,
    async create(_key, value, ctx) {
      const { index, run } = ends.of(ctx, value.link, "node");
      const { index: to } = ends.of(ctx, value.to, "node");
      await run(async (netlink) => {
        await netlink.request(qdiscAdd(ingressQdisc(index)));
        faultPoint("redirect.half");
        await netlink.request(redirectAdd({ index, parent: TcHandle.INGRESS_FILTERS, priority: 1, redirectTo: to }));
        faultPoint("redirect.done");
      });
      return undefined;
    },
    async delete(_key, value, _metadata, ctx) {
      const { index, run } = ends.of(ctx, value.link, "node");
      try {
        await run((netlink) => netlink.request(qdiscDelete(ingressQdisc(index))));
      } catch (e) {
        if (!isNotFound(e)) throw e;
      }
    },
    async retrieve(_correlate, ctx) {
      const { node } = ends.namespaces;
      const [{ nameOf }, qdiscs] = await Promise.all([ends.snapshots.node(ctx), node.dump(qdiscDump())]);
      const found: { key: string; value: RedirectValue; metadata: undefined }[] = [];
      for (const { index, info } of qdiscs) {
        const link = nameOf(index);
        if (info?.kind !== "ingress" || link === undefined || !isPodLink(link)) continue;
        const filters = await node.dump(filterDump({ index, parent: TcHandle.INGRESS_FILTERS }));
        const to = filters.find((f) => f.redirectTo !== undefined)?.redirectTo;
        const value: RedirectValue = { link, to: (to !== undefined && nameOf(to)) || "" };
        found.push({ key: redirectKey(value), value, metadata: undefined });
      }
      return found;
    },
  };
}
