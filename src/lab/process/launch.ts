import { millis, sleep, systemClock } from "../../base/clock/clock.ts";
import { LabError } from "../errors.ts";
import type { Ledger } from "../state/ledger.ts";
import { withProcess } from "../state/state.ts";
import { type Daemon, type DaemonSpec, keepAlive, logTail, startDaemon } from "./daemon.ts";
import { isAlive, type ProcessId } from "./proc.ts";

/** Starts a process, on the record before and after. */
export async function launch(ledger: Ledger, spec: DaemonSpec): Promise<Daemon> {
  await ledger.update((s) => withProcess(s, { role: spec.role }));
  const daemon = await startDaemon(spec);
  await ledger.update((s) => withProcess(s, { role: spec.role, id: daemon.id }));
  return daemon;
}

export interface ReadyOptions {
  /** What is waited for, in the error's words. */
  readonly what: string;
  readonly logFile: string;
  /** Whether it is ready. A rejection counts as "not yet", and its message goes into the final error. */
  readonly check: () => Promise<boolean>;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Waits until a started process is ready. Rejects at once when it ends: with `CANNOT_RUN` if its exit status was 2,
 * by which our programs say that they were asked for what they can't do.
 */
export async function waitReady(daemon: Daemon, options: ReadyOptions): Promise<void> {
  const end = systemClock.now() + options.timeoutMs;
  let last = "";
  const fail = (code: "CANNOT_RUN" | "NOT_READY", what: string): never => {
    const tail = logTail(options.logFile);
    throw new LabError(
      code,
      `${what}${last === "" ? "" : ` (${last})`}${tail === "" ? "" : `; its last words:\n${tail}`}`,
    );
  };
  for (;;) {
    options.signal?.throwIfAborted();
    try {
      if (await options.check()) return;
    } catch (e) {
      last = e instanceof Error ? e.message : String(e);
    }
    if (!isAlive(daemon.id)) {
      await settleExit(daemon);
      last = "";
      const code = daemon.exitCode();
      fail(code === 2 ? "CANNOT_RUN" : "NOT_READY", `${options.what} ended with status ${String(code ?? "unknown")}`);
    }
    if (systemClock.now() >= end) {
      fail("NOT_READY", `${options.what} was not ready within ${options.timeoutMs / 1000} s`);
    }
    await keepAlive(sleep(systemClock, millis(10), options.signal));
  }
}

/** The kernel's news of an exit reach Node a moment after /proc shows it. */
async function settleExit(daemon: Daemon): Promise<void> {
  for (let i = 0; i < 50 && daemon.exitCode() === undefined; i++) await keepAlive(sleep(systemClock, millis(2)));
}

/** Identities on record of processes of a role that may still run. */
export function recorded(ledger: Ledger, role: string): ProcessId | undefined {
  const id = ledger.read().processes.find((p) => p.role === role)?.id;
  return id && isAlive(id) ? id : undefined;
}
