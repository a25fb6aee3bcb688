import { isDeepStrictEqual } from "node:util";
import type { Descriptor, Key, KeyValue, OpContext } from "../../../kvscheduler/api/descriptor.ts";
import {
  type LinkValue,
  linkKey,
  ROUTE_PREFIX,
  type RouteValue,
  type TapLinkValue,
  type VethValue,
} from "../../../models/linux.ts";
import type { PodEndNow } from "../../../pods/api.ts";

/** A pod's items as later plugins of the chain have changed them. */
export function* asChanged(items: Iterable<KeyValue>, now: PodEndNow, link: string): Iterable<KeyValue> {
  for (const { key, value } of items) {
    if (key === linkKey(link)) {
      const it = value as TapLinkValue | VethValue;
      yield { key, value: { ...it, pod: { ...it.pod, mtu: now.mtu } } satisfies LinkValue };
    } else if (!key.startsWith(ROUTE_PREFIX) || isStillThere(value as RouteValue, now)) {
      yield { key, value };
    }
  }
}

const isStillThere = ({ end, dst }: RouteValue, now: PodEndNow): boolean => end === "node" || now.routes.includes(dst);

/**
 * Compares items with what is in the kernel now. Each difference in words; empty when all is in place. `descriptors` are
 * those of the items; one that cannot read anything back has nothing to say.
 */
export async function checkItems(
  items: ReadonlyMap<Key, unknown>,
  descriptors: readonly Descriptor<never>[],
  metadata: OpContext["metadata"],
  txn: number,
): Promise<string[]> {
  const ctx: OpContext = { signal: AbortSignal.timeout(5_000), txn, metadata };
  const problems: string[] = [];
  for (const descriptor of descriptors as unknown as readonly Descriptor[]) {
    const mine = [...items].filter(([key]) => descriptor.keyPrefixes.some((prefix) => key.startsWith(prefix)));
    if (mine.length === 0 || !descriptor.retrieve) continue;
    const correlate = mine.map(([key, value]) => ({ key, value, metadata: metadata(key) }));
    const found = new Map((await descriptor.retrieve(correlate, ctx)).map((item) => [item.key, item.value]));
    for (const [key, value] of mine) {
      const words = (v: unknown) => `${descriptor.name.replace(/^linux-/, "")} ${descriptor.describe?.(key, v) ?? key}`;
      if (!found.has(key)) problems.push(`${words(value)} is missing`);
      else if (!equivalent(descriptor, key, value, found.get(key))) {
        problems.push(`${words(value)} is now ${words(found.get(key))}`);
      }
    }
  }
  return problems;
}

function equivalent(descriptor: Descriptor, key: Key, a: unknown, b: unknown): boolean {
  return descriptor.equivalent && !isJudgedByMtu(a) ? descriptor.equivalent(key, a, b) : isDeepStrictEqual(a, b);
}

/** Another MTU in the pod is nothing to repair, so the scheduler lets it pass; CHECK is to name it. */
function isJudgedByMtu(value: unknown): boolean {
  const link = value as LinkValue | { readonly kind?: undefined };
  return (link.kind === "veth" || link.kind === "tap") && "pod" in link && link.pod.mtu !== 0;
}
