import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type Clock, type Duration, millis, sleep } from "../../../base/clock/clock.ts";
import { fullMessage } from "../../../base/errors/errors.ts";
import { findDetached, startDetached } from "./detached.ts";
import { type VppExit, VppExitError } from "./errors.ts";
import { isAlive, type ProcessIdentity, signalProcess } from "./identity.ts";
import type { VppPaths } from "./startup-conf.ts";

export interface VppProgram {
  /** VPP's executable with what comes before its own arguments: `["/usr/bin/vpp"]`. */
  readonly command: readonly [string, ...string[]];
  readonly env?: Readonly<Record<string, string>>;
}

/** One life of VPP. */
export interface VppProcess {
  readonly id: ProcessIdentity;
  /** It ran before: another process started it. */
  readonly adopted: boolean;
  readonly exited: Promise<VppExit>;
}

const UNKNOWN_EXIT: VppExit = { code: null, signal: null };
/** How often one that is not our child is looked at; its API connection mostly tells sooner. */
const LOOK_EVERY = millis(100);
const LAST_LINES = 12;

/**
 * Starts VPP in a session of its own, so that it outlives this process: traffic goes on without the agent. Its output goes
 * to a file for the same reason: a pipe that nobody reads would end it.
 */
export async function startVpp(program: VppProgram, conf: string, paths: VppPaths, dir: string): Promise<VppProcess> {
  mkdirSync(dir, { recursive: true, mode: 0o755 });
  removeFiles(paths);
  writeFileSync(paths.conf, conf);
  try {
    const command = [...program.command, "-c", paths.conf] as const;
    const { id, exited } = await startDetached({ command, env: program.env, output: paths.output, pid: paths.pid });
    return { id, adopted: false, exited };
  } catch (e) {
    removeFiles(paths);
    throw e;
  }
}

/** The VPP that an earlier agent started here, if it runs; `conf` is what it was started with. */
export function findVpp(paths: VppPaths, clock: Clock): { process: VppProcess; conf: string } | undefined {
  const id = findDetached(paths.pid);
  if (!id) return undefined;
  const exited = (async () => {
    while (isAlive(id)) await sleep(clock, LOOK_EVERY);
    return UNKNOWN_EXIT;
  })();
  const conf = existsSync(paths.conf) ? readFileSync(paths.conf, "utf8") : "";
  return { process: { id, adopted: true, exited }, conf };
}

/** SIGTERM, and SIGKILL after `grace`. Resolves when it is gone. */
export async function stopVpp(vpp: VppProcess, grace: Duration, clock: Clock): Promise<VppExit> {
  signalProcess(vpp.id, "SIGTERM");
  const timer = clock.schedule(grace, () => signalProcess(vpp.id, "SIGKILL"));
  try {
    return await vpp.exited;
  } finally {
    timer.cancel();
  }
}

/** Everything that VPP and we made in its directory; the directory itself stays. */
export function removeFiles(paths: VppPaths): void {
  for (const path of Object.values(paths)) rmSync(path, { force: true });
}

export function exitError(what: string, exit: VppExit, paths: VppPaths): VppExitError {
  return new VppExitError(what, exit, lastLines(paths));
}

/** The end of what VPP wrote: its output, where refusals and assertions go, else its log. */
function lastLines(paths: VppPaths): string[] {
  for (const path of [paths.output, paths.log]) {
    try {
      const lines = readFileSync(path, "utf8")
        .trimEnd()
        .split("\n")
        .filter((line) => line.trim() !== "");
      if (lines.length > 0) return lines.slice(-LAST_LINES);
    } catch (e) {
      if (!fullMessage(e).includes("ENOENT")) return [`(${path}: ${fullMessage(e)})`];
    }
  }
  return [];
}
