import { type AnsweredFlow, type PolicyAnswer, trafficWords } from "./answers.ts";
import { type Direction, refText } from "./api.ts";
import type { ExplainedDirection, ExplainedEnd } from "./explain.ts";
import { ISOLATION_WORDS, podName } from "./words.ts";

/** An answer for people. */
export function answerText({ from, to, traffic, flows, note }: PolicyAnswer): string {
  if (flows.length === 0) return `${from} to ${to}, ${traffic}: nothing to judge: ${note ?? "no address"}`;
  return flows.map(flowText).join("\n\n");
}

function flowText(flow: AnsweredFlow): string {
  const { from, to, allowed, egress, ingress } = flow;
  return [
    `${endText(from)} to ${endText(to)}, ${trafficWords(flow)}: ${allowed ? "allowed" : "DENIED"}`,
    `  out of ${nameOf(from)}: ${directionText("egress", egress, to)}`,
    `  into ${nameOf(to)}: ${directionText("ingress", ingress, from)}`,
  ].join("\n");
}

const nameOf = ({ ip, pod, node }: ExplainedEnd): string =>
  pod ? podName(pod) : node === undefined ? ip : `node ${node}`;

const endText = (end: ExplainedEnd): string => (nameOf(end) === end.ip ? end.ip : `${nameOf(end)} (${end.ip})`);

function directionText(direction: Direction, d: ExplainedDirection, peer: ExplainedEnd): string {
  const verdict = d.allowed ? "allowed" : "denied";
  switch (d.because) {
    case "not-a-pod":
      return "not judged: no pod with a network of its own";
    case "self":
      return "allowed: a pod always reaches itself";
    case "own-node":
      return `allowed: ${nameOf(peer)} is the pod's own node`;
    case "unknown-pod":
      return `denied: the pod is isolated, ${d.isolated ? ISOLATION_WORDS[d.isolated] : "it is not known"}`;
    case "rule": {
      if (!d.policy) return verdict;
      const named = d.ruleName === undefined ? "" : ` (${d.ruleName})`;
      const place = (d.rule ?? -1) < 0 ? "" : `, ${direction}[${d.rule}]${named}`;
      return `${verdict} by ${refText(d.policy)}${place}`;
    }
    case "no-rule-allows": {
      const isolating = d.policies.filter((p) => p.kind === "NetworkPolicy").map(refText);
      return isolating.length === 1
        ? `denied: ${isolating.join()} isolates it, and no rule of that allows this`
        : `denied: isolated, and none of these allows this: ${isolating.join(", ")}`;
    }
    case "default":
      return d.policies.length === 0
        ? "allowed: no policy is about this"
        : `allowed: nothing isolates it, and no rule of these is about this: ${d.policies.map(refText).join(", ")}`;
  }
}
