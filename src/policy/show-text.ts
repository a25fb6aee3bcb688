import { type Direction, refText } from "./api.ts";
import type { ShownDirection, ShownPod, ShownRule } from "./show.ts";
import { ISOLATION_WORDS, podName } from "./words.ts";

/** A pod's policies for people. */
export function shownText(pod: ShownPod): string {
  const { ips, node, phase, labels, hostNetwork, unreadable, isolated } = pod;
  const labelText = Object.entries(labels).map(([k, v]) => `${k}=${v}`);
  const lines = [
    `pod ${podName(pod)}`,
    `  addresses: ${ips.join(", ") || "none (yet)"}`,
    `  node:      ${node ?? "-"}${phase === undefined ? "" : `, ${phase}`}`,
    `  labels:    ${labelText.join(", ") || "-"}`,
  ];
  if (unreadable !== undefined) lines.push(`  its object can't be read: ${unreadable}`);
  if (hostNetwork && !isolated) return [...lines, "it is on its node's network: no policy is about it"].join("\n");
  if (isolated) {
    lines.push(`isolated, because ${ISOLATION_WORDS[isolated]}: it reaches nobody, and only its own node reaches it`);
    return lines.join("\n");
  }
  lines.push(...directionLines("ingress", pod.ingress), ...directionLines("egress", pod.egress));
  for (const { policy, problems } of pod.problems) {
    lines.push(`problems of ${refText(policy)}:`);
    for (const { at, message, effect } of problems) lines.push(`  ${at}: ${message} (${effect})`);
  }
  return lines.join("\n");
}

function directionLines(direction: Direction, { isolated, policies }: ShownDirection): string[] {
  if (policies.length === 0) return [`${direction}: everything is allowed, no policy is about it`];
  const end = isolated ? "what no rule allows is denied" : "what no rule is about is allowed";
  const lines = [`${direction}: ${end}`];
  for (const { policy, tier, priority, rules } of policies) {
    const place = priority === undefined ? "" : ` (${tier}, priority ${priority})`;
    lines.push(`  ${refText(policy)}${place}${rules.length === 0 ? ": no rule that allows anything" : ""}`);
    lines.push(...rules.map((rule) => `    ${ruleText(direction, rule)}`));
  }
  return lines;
}

function ruleText(direction: Direction, { rule, name, verdict, peers, ports }: ShownRule): string {
  const side = direction === "ingress" ? "from" : "to";
  const who = peers.map(({ text, pods }) => (pods === undefined ? text : `${text} (${pods} now)`)).join("; ");
  const what = ports.length === 0 ? "all traffic" : ports.join(", ");
  return `[${rule}]${name === undefined ? "" : ` ${name}:`} ${verdict} ${what} ${side} ${who}`;
}
