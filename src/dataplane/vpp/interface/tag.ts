import { nameOfTag, TAG_PREFIX } from "../../../models/vpp/checks.ts";
import type { InterfaceValue } from "../../../models/vpp/interface.ts";

/** What the tag of an interface says. */
export interface InterfaceTag {
  readonly name: string;
  /** What VPP was told when it made the interface and doesn't tell again: `#4,1` are four queues, with offload. */
  readonly queues: number;
  readonly offload: boolean;
  /** `#4,1,1`, or `#1,0,1` without the others. */
  readonly qdisc: boolean;
}

export function interfaceTag(value: InterfaceValue): string {
  const queues = "queues" in value ? value.queues : 1;
  const offload = "offload" in value && value.offload;
  const qdisc = "qdisc" in value && value.qdisc;
  const plain = queues === 1 && !offload && !qdisc;
  return `${TAG_PREFIX}${value.name}${plain ? "" : `#${queues},${offload ? 1 : 0}${qdisc ? ",1" : ""}`}`;
}

/** `undefined` for interfaces that are not ours. */
export function parseInterfaceTag(tag: string): InterfaceTag | undefined {
  const match = /^([^#]+)(?:#([0-9]+),([01])(,1)?)?$/.exec(nameOfTag(tag) ?? "");
  if (match?.[1] === undefined) return undefined;
  return {
    name: match[1],
    queues: Number(match[2] ?? 1),
    offload: match[3] === "1",
    qdisc: match[4] !== undefined,
  };
}
