import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const POLL_MS = 10;
let dir: string | undefined;

/**
 * A place where a test holds what the process is about to change, or has it fail: a directory, in which a file `shut` holds
 * whatever comes (and `waiting` appears), and a file `refused` has text that fails what contains it. Costs a comparison
 * unless it was armed, which only `main` does, and only when HEDDLE_GATE is set.
 */
export function armGate(directory: string | undefined): void {
  dir = directory;
}

/** Passes the gate with what is to be done. @throws Error if it is refused. */
export async function passGate(text: () => string): Promise<void> {
  if (dir === undefined) return;
  if (existsSync(join(dir, "shut"))) {
    writeFileSync(join(dir, "waiting"), "");
    while (existsSync(join(dir, "shut"))) await sleep(POLL_MS);
  }
  const refused = join(dir, "refused");
  if (!existsSync(refused)) return;
  if (text().includes(readFileSync(refused, "utf8").trim())) throw new Error("refused by the test");
}
