import { nameOfTag, TAG_PREFIX } from "../../../models/vpp/checks.ts";
import type { InterfaceValue } from "../../../models/vpp/interface.ts";

/** What the tag of an interface says. */
export interface InterfaceTag {
  readonly name: string;
  /** What VPP was told when it made the interface and doesn't tell again: `#4,1` are four queues, with offload. */
  readonly queues: number;
  readonly offload: boolean;
}

export function interfaceTag(value: InterfaceValue): string {
  const queues = "queues" in value ? value.queues : 1;
  const offload = "offload" in value && value.offload;
  return `${TAG_PREFIX}${value.name}${queues === 1 && !offload ? "" : `#${queues},${offload ? 1 : 0}`}`;
}

/** `undefined` for interfaces that are not ours. */
export function parseInterfaceTag(tag: string): InterfaceTag | undefined {
  const match = /^([^#]+)(?:#([0-9]+),([01]))?$/.exec(nameOfTag(tag) ?? "");
  if (match?.[1] === undefined) return undefined;
  return { name: match[1], queues: Number(match[2] ?? 1), offload: match[3] === "1" };
}
