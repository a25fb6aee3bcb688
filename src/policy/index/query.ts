import { createHash } from "node:crypto";
import { familyOf, ipToBigint } from "../../base/ip/address.ts";
import { memo } from "../../base/memo/memo.ts";
import { readable } from "../../models/k8s/entry.ts";
import type { PortProtocol } from "../../models/k8s/pod.ts";
import type { SetElement, SetId, SetKind } from "../api.ts";
import { type AddressBlocks, blocksContain, cidrsOf } from "../compile/blocks.ts";
import { type PodQuery, queryText, type Scope } from "../compile/compiled.ts";
import { matches } from "../compile/selector.ts";
import { isPeer, type NamespaceRecord, type PodRecord } from "./records.ts";

/** What a set is to contain: addresses of pods, or those of their ports that have a certain name. */
export interface SetQuery {
  readonly id: SetId;
  /** Canonical, and for people. */
  readonly text: string;
  readonly pods: PodQuery;
  readonly port?: { readonly name: string; readonly protocol: PortProtocol | undefined } | undefined;
  /** Only addresses in these. */
  readonly blocks?: AddressBlocks | undefined;
}

export const kindOf = (q: SetQuery): SetKind => (q.port ? "endpoints" : "addresses");

/** 80 bits of SHA-256 in hexadecimal: names content without a chance of two that are equal. */
export const contentId = (prefix: string, text: string): string =>
  prefix + createHash("sha256").update(text).digest("hex").slice(0, 20);

/** The addresses of the pods. */
export const addressQuery = memo((pods: PodQuery): SetQuery => {
  const text = queryText(pods);
  return { id: contentId("a", text) as SetId, text, pods };
});

export function endpointQuery(pods: PodQuery, port: NonNullable<SetQuery["port"]>, blocks?: AddressBlocks): SetQuery {
  const inside = blocks ? ` inside ${cidrsOf(blocks).join(",")}` : "";
  const text = `port ${JSON.stringify(port.name)}/${port.protocol ?? "any"} of ${queryText(pods)}${inside}`;
  return { id: contentId("e", text) as SetId, text, pods, port, blocks };
}

export function inScope(scope: Scope, namespace: NamespaceRecord): boolean {
  switch (scope.kind) {
    case "all":
      return true;
    case "namespace":
      return namespace.name === scope.name;
    case "labels": {
      const object = readable(namespace.object);
      return object !== undefined && matches(scope.namespaces, object.labels);
    }
  }
}

/** Whether selectors and scope mean the pod, as a peer or as a subject. */
export function selects(query: PodQuery, pod: PodRecord): boolean {
  const object = readable(pod.object);
  return (
    object !== undefined &&
    !object.hostNetwork &&
    inScope(query.scope, pod.namespace) &&
    matches(query.pods, object.labels)
  );
}

/** What a pod that is in scope and has the right labels adds to the set. */
export function elementsFor(query: SetQuery, pod: PodRecord): readonly SetElement[] {
  const object = readable(pod.object);
  if (!object || !isPeer(object)) return [];
  const { port, blocks } = query;
  if (!port) return pod.elements;
  const out: SetElement[] = [];
  for (const { name, protocol, port: number } of object.ports) {
    if (name !== port.name || (port.protocol !== undefined && protocol !== port.protocol)) continue;
    for (const { ip } of pod.elements) {
      if (blocks && !blocksContain(blocks, familyOf(ip), ipToBigint(ip))) continue;
      if (!out.some((e) => e.ip === ip && e.protocol === protocol && e.port === number)) {
        out.push({ ip, protocol, port: number });
      }
    }
  }
  return out;
}
