import { systemClock } from "../../src/base/clock/clock.ts";
import { fullMessage, HeddleError } from "../../src/base/errors/errors.ts";
import type { KsrConfig } from "../../src/infra/config/ksr-config.ts";
import { silentLog } from "../../src/infra/log/log.ts";
import { decodeK8s } from "../../src/models/k8s/codecs.ts";
import { K8S_PREFIX } from "../../src/models/k8s/keys.ts";
import { openStore } from "../../src/stores/open.ts";

/** A value of the store for people: the object, or why it can't be read. */
export function shown(key: string, value: Uint8Array): string {
  try {
    return JSON.stringify({ key, object: decodeK8s(key, value).object });
  } catch (e) {
    if (!(e instanceof HeddleError)) throw e;
    return JSON.stringify({ key, problem: fullMessage(e) });
  }
}

/**
 * Prints what the store has at a key or below it, an object a line: `pod`, `pod/team-1`, `pod/team-1/web`, or a whole key.
 * Rejects with {@link StoreError}.
 */
export async function show(config: KsrConfig, what: string, print: (line: string) => void): Promise<void> {
  const key = (what.startsWith("/") ? what : K8S_PREFIX + what).replace(/\/+$/, "");
  const store = await openStore(config.store, { clock: systemClock, log: silentLog });
  try {
    const { entries } = await store.list(key);
    for (const entry of entries) {
      if (entry.key === key || entry.key.startsWith(`${key}/`)) print(shown(entry.key, entry.value));
    }
  } finally {
    await store.close();
  }
}
