import type { Log } from "../../src/infra/log/log.ts";
import { decodeSandbox, SANDBOX_PREFIX, type Sandbox } from "../../src/pods/sandbox.ts";
import type { LocalDb } from "../../src/stores/local/local-db.ts";

/** The sandboxes of the local database, oldest first. One that cannot be read is reported and left where it is. */
export async function loadSandboxes(db: LocalDb, log: Log): Promise<Sandbox[]> {
  const sandboxes: Sandbox[] = [];
  for (const [key, text] of await db.load(SANDBOX_PREFIX)) {
    try {
      sandboxes.push(decodeSandbox(key, text));
    } catch (err) {
      log.error({ err, key }, "unusable record of a sandbox");
    }
  }
  return sandboxes.sort((a, b) => a.addedAt - b.addedAt);
}
