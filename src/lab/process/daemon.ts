import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { millis, sleep, systemClock } from "../../base/clock/clock.ts";
import { LabError } from "../errors.ts";
import { identify, isAlive, listProcesses, type ProcessId } from "./proc.ts";

/**
 * Environment variable of every process that a lab starts: `LABID/ROLE`. It finds the ones whose number was not
 * written down because the lab's process died between starting and recording.
 */
export const MARK = "HEDDLE_LAB";

export interface DaemonSpec {
  readonly labId: string;
  /** `agent-n1`, `etcd`, … */
  readonly role: string;
  /** Name of the namespace to run in; the machine's own if absent. */
  readonly netns?: string;
  readonly argv: readonly string[];
  /** Receives both outputs, appended. */
  readonly logFile: string;
  readonly env?: Readonly<Record<string, string>>;
}

export interface Daemon {
  readonly id: ProcessId;
  /** Its exit status as long as this process is its parent: undefined while it runs, null if killed. */
  exitCode(): number | null | undefined;
}

/**
 * Starts a process that outlives this one, in a session of its own. Every exec on the way (nsenter) keeps the number,
 * so the recorded one is the program's.
 */
export function startDaemon(spec: DaemonSpec): Promise<Daemon> {
  // nsenter and not `ip netns exec`: that one also remounts /sys, in a mount namespace of its own
  const argv = spec.netns === undefined ? spec.argv : ["nsenter", `--net=/run/netns/${spec.netns}`, "--", ...spec.argv];
  const [file = "", ...args] = argv;
  const log = openSync(spec.logFile, "a", 0o600);
  const child = spawn(file, args, {
    detached: true,
    stdio: ["ignore", log, log],
    cwd: "/",
    env: { ...process.env, ...spec.env, [MARK]: `${spec.labId}/${spec.role}` },
  });
  closeSync(log);
  let exit: number | null | undefined;
  child.on("exit", (code) => {
    exit = code;
  });
  child.unref();
  return new Promise((resolve, reject) => {
    child.on("error", (cause) =>
      reject(new LabError("FAILED", `cannot start ${spec.role}: ${cause.message}`, { cause })),
    );
    child.on("spawn", () => {
      const pid = child.pid ?? 0;
      // An immediate end still has an identity: one that is not alive.
      resolve({ id: identify(pid) ?? { pid, startTime: "ended" }, exitCode: () => exit });
    });
  });
}

/** Every running process that carries the lab's mark. */
export function markedProcesses(labId: string): (ProcessId & { role: string; command: string })[] {
  return listProcesses(MARK)
    .filter((p) => p.mark?.startsWith(`${labId}/`) && p.pid !== process.pid)
    .map((p) => ({ ...p, role: p.mark?.slice(labId.length + 1) ?? "" }));
}

function signalProcess(id: ProcessId, name: "SIGTERM" | "SIGKILL"): void {
  if (!isAlive(id)) return;
  try {
    process.kill(id.pid, name);
  } catch {
    // ESRCH: it ended between the look and the signal
  }
}

/** Waits until none of them is alive; resolves with those that still are after `timeoutMs`. */
export async function waitGone(ids: readonly ProcessId[], timeoutMs: number): Promise<ProcessId[]> {
  const end = systemClock.now() + timeoutMs;
  for (;;) {
    const left = ids.filter((id) => isAlive(id));
    if (left.length === 0 || systemClock.now() >= end) return left;
    await keepAlive(sleep(systemClock, millis(10)));
  }
}

/** Ends processes: SIGTERM first (unless `kill`), SIGKILL for those that remain after `graceMs`. Returns survivors. */
export async function stopProcesses(
  ids: readonly ProcessId[],
  options: { readonly kill?: boolean; readonly graceMs?: number } = {},
): Promise<ProcessId[]> {
  let left: readonly ProcessId[] = ids;
  if (!options.kill) {
    for (const id of left) signalProcess(id, "SIGTERM");
    left = await waitGone(left, options.graceMs ?? 5000);
  }
  for (const id of left) signalProcess(id, "SIGKILL");
  return waitGone(left, KILLED_MS);
}

/** What is killed goes, but the kernel may have hundreds of a VPP's packet sockets to close first, 50 ms each. */
const KILLED_MS = 60_000;

/** The system clock's timers do not keep a process alive; a command-line tool that waits for one wants to live. */
export async function keepAlive<T>(waited: Promise<T>): Promise<T> {
  const handle = setInterval(() => {}, 60_000);
  try {
    return await waited;
  } finally {
    clearInterval(handle);
  }
}

/** The last lines of a log, for an error message. */
export function logTail(path: string, lines = 8): string {
  try {
    return readFileSync(path, "utf8").trimEnd().split("\n").slice(-lines).join("\n");
  } catch {
    return "";
  }
}
