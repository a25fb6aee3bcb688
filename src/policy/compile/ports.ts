import { PORT_PROTOCOLS } from "../../models/k8s/pod.ts";
import type { PortRange } from "../api.ts";

/** Sorted by protocol and port, overlapping and touching ranges merged. */
export function mergedPorts(ranges: readonly PortRange[]): readonly PortRange[] {
  const out: PortRange[] = [];
  for (const protocol of PORT_PROTOCOLS) {
    const own = ranges.filter((r) => r.protocol === protocol).sort((a, b) => a.first - b.first);
    let open: PortRange | undefined;
    for (const r of own) {
      if (open && r.first <= open.last + 1) {
        if (r.last > open.last) open = { protocol, first: open.first, last: r.last };
      } else {
        if (open) out.push(open);
        open = r;
      }
    }
    if (open) out.push(open);
  }
  return out;
}

export const portsText = (ranges: readonly PortRange[]): string =>
  ranges.map((r) => `${r.protocol}:${r.first}-${r.last}`).join(",");
