import { type Count, refText } from "./api.ts";
import type { PolicyCounters } from "./insight.ts";
import type { TallyEntry } from "./tally.ts";

/** What policies have decided, for people. */
export function countersText({ rules, pods, stopped, forged, problem }: PolicyCounters): string {
  const lines = [
    ...rules.map((entry) => `${countText(entry)}  ${entry.direction} ${entry.verdict}  ${whose(entry)}`),
    ...pods
      .filter((p) => p.packets > 0)
      .map((p) => `${countText(p)}  ${p.direction} denied to pod ${p.namespace}/${p.pod}`),
  ];
  if (stopped) lines.push(`${countText(stopped)}  of connections that are no longer allowed, or of unknown links`);
  if (forged) lines.push(`${countText(forged)}  from addresses that are not their pod's`);
  if (problem !== undefined) lines.push(problem);
  return lines.join("\n");
}

const countText = ({ packets, bytes }: Count): string =>
  `${`${packets} packets`.padStart(16)} ${`${bytes} bytes`.padStart(16)}`;

function whose({ origins, isolatedBy, verdict }: TallyEntry): string {
  if (origins.length > 0) return origins.map(({ policy, rule }) => `${refText(policy)} [${rule}]`).join(", ");
  if (isolatedBy.length > 0) return `no rule of ${isolatedBy.map(refText).join(", ")} allows it`;
  return verdict === "deny" ? "pods whose policies can't be known" : "the pod's own node";
}
