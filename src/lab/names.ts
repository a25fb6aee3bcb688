import { randomBytes } from "node:crypto";
import { LabError } from "./errors.ts";

/** Six hex digits that set one lab's names apart from those of every other on the machine. */
export function newLabId(): string {
  return randomBytes(3).toString("hex");
}

/** Names of network namespaces, under /run/netns. They may be longer than a link's 15 characters. */
export const netnsName = {
  /** Holds the bridge that joins the nodes, and etcd. */
  fabric: (labId: string): string => `hd${labId}-fab`,
  /** A host outside the cluster that knows no route to the pods. */
  outside: (labId: string): string => `hd${labId}-out`,
  node: (labId: string, node: string): string => `hd${labId}-${node}`,
  pod: (labId: string, seq: number, pod: string): string => `hd${labId}-p${seq}-${pod.slice(0, 40)}`,
  /** Whether a namespace is one of this lab's. */
  isOf: (labId: string, name: string): boolean => name.startsWith(`hd${labId}-`),
} as const;

export interface PodName {
  readonly namespace: string;
  readonly name: string;
}

// RFC 1123: a namespace is a label; a pod's name a subdomain, up to 253 characters (Kubernetes, "Object Names and IDs").
const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const SUBDOMAIN = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;

/** Reads `NAMESPACE/NAME` or `NAME` (namespace `default`). */
export function parsePodName(text: string): PodName {
  const parts = text.split("/");
  const [namespace, name] = parts.length === 1 ? ["default", parts[0]] : parts;
  if (parts.length > 2 || !LABEL.test(namespace ?? "") || !SUBDOMAIN.test(name ?? "")) {
    throw new LabError("USAGE", `"${text}" is no pod name: NAMESPACE/NAME, lower-case letters, digits and "-"`);
  }
  return { namespace: namespace ?? "", name: name ?? "" };
}

/** Reads `k=v,k2=v2`. */
export function parseLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const pair of text.split(",").filter((p) => p !== "")) {
    const at = pair.indexOf("=");
    if (at <= 0) throw new LabError("USAGE", `"${pair}" is no label: KEY=VALUE`);
    labels[pair.slice(0, at)] = pair.slice(at + 1);
  }
  return labels;
}

/**
 * Reads `k=v,k2=v2`, where values may have commas: a part without `=` belongs to the value before it, as in
 * `heddle.dev/interfaces=memif1/memif,wire0/veth`.
 */
export function parseAnnotations(text: string): Record<string, string> {
  const annotations: Record<string, string> = {};
  let key: string | undefined;
  for (const part of text.split(",").filter((p) => p !== "")) {
    const at = part.indexOf("=");
    if (at > 0) {
      key = part.slice(0, at);
      annotations[key] = part.slice(at + 1);
    } else if (at < 0 && key !== undefined) annotations[key] += `,${part}`;
    else throw new LabError("USAGE", `"${part}" is no annotation: KEY=VALUE`);
  }
  return annotations;
}

export const formatPodName = (pod: PodName): string => `${pod.namespace}/${pod.name}`;
