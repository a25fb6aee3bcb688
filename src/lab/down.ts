import { readdirSync, rmdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { millis, sleep, systemClock } from "../base/clock/clock.ts";
import { fullMessage } from "../base/errors/errors.ts";
import { deleteNetns, NETNS_DIR } from "./net/ip.ts";
import type { LabPaths } from "./paths.ts";
import { keepAlive, MARK, markedProcesses, stopProcesses } from "./process/daemon.ts";
import { isAlive, listProcesses, type ProcessId } from "./process/proc.ts";
import { type Ledger, readState } from "./state/ledger.ts";
import type { LabState } from "./state/state.ts";

export interface DownResult {
  /** Whether there was a lab. */
  readonly existed: boolean;
  /** What could not be removed, or is not the lab's to remove, one sentence each. */
  readonly left: readonly string[];
}

/** Inodes of those namespaces that exist, by name. */
export function netnsInodes(names: readonly string[]): Map<string, string> {
  const inodes = new Map<string, string>();
  for (const name of names) {
    try {
      inodes.set(String(statSync(join(NETNS_DIR, name)).ino), name);
    } catch {
      // not made, or gone already
    }
  }
  return inodes;
}

/** Processes that live in one of these namespaces (inode → name), as sentences. */
export function strangersIn(inodes: ReadonlyMap<string, string>): string[] {
  return listProcesses(MARK)
    .filter((p) => p.netns !== undefined && inodes.has(p.netns))
    .map((p) => `process ${p.pid} (${p.command.slice(0, 60)}) is still in namespace ${inodes.get(p.netns ?? "")}`);
}

/** How long a command that a killed `up` has left running, an `ip` or a `sysctl`, may take to end by itself. */
const COMMAND_MS = 2000;

async function untilNoStrangers(inodes: ReadonlyMap<string, string>): Promise<string[]> {
  const end = systemClock.now() + COMMAND_MS;
  for (;;) {
    const left = strangersIn(inodes);
    if (left.length === 0 || systemClock.now() >= end) return left;
    await keepAlive(sleep(systemClock, millis(20)));
  }
}

async function endProcesses(state: LabState): Promise<void> {
  const ids = new Map<number, ProcessId>();
  for (const { id } of state.processes) if (id && isAlive(id)) ids.set(id.pid, id);
  for (const p of markedProcesses(state.id)) ids.set(p.pid, p);
  await stopProcesses([...ids.values()], { graceMs: 3000 });
  // One that was being started while we looked.
  await stopProcesses(markedProcesses(state.id), { kill: true });
}

/**
 * Removes everything that the ledger names, whatever of it still exists. It goes on past what fails, and keeps the
 * ledger unless all is gone, so that it can be repeated. The caller holds the lab's lock.
 */
export async function takeDown(ledger: Ledger, paths: LabPaths): Promise<DownResult> {
  if (!readState(ledger.dir)) return { existed: false, left: [] };
  const state = await ledger.update((s) => ({ ...s, phase: "stopping" }));
  const inodes = netnsInodes(state.namespaces);
  await endProcesses(state);
  const left = await untilNoStrangers(inodes);
  const failed: string[] = [];
  // Several at once: the kernel lets those that are removed together share one wait.
  const removals = state.namespaces.map(async (name) => {
    try {
      await deleteNetns(name);
    } catch (e) {
      failed.push(`namespace ${name}: ${fullMessage(e)}`);
    }
  });
  await Promise.all(removals);
  for (const path of paths.owned()) {
    if (path === paths.state && failed.length > 0) continue; // the ledger goes last
    try {
      rmSync(path, { recursive: true, force: true, maxRetries: 3 });
    } catch (e) {
      failed.push(`${path}: ${fullMessage(e)}`);
    }
  }
  if (state.madeDir && failed.length === 0) removeIfEmpty(paths.dir, left);
  return { existed: true, left: [...left, ...failed] };
}

function removeIfEmpty(dir: string, left: string[]): void {
  const strange = readdirSync(dir);
  if (strange.length === 0) rmdirSync(dir);
  else left.push(`${dir} holds files that are not the lab's: ${strange.slice(0, 5).join(", ")}`);
}
