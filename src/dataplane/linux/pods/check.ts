import { isDeepStrictEqual } from "node:util";
import type { Descriptor, Key, OpContext } from "../../../kvscheduler/api/descriptor.ts";
import type { LinkValue } from "../../../models/linux.ts";

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
  return link.kind === "veth" && link.pod.mtu !== 0;
}
