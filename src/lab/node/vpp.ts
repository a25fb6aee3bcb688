import { millis, sleep, systemClock } from "../../base/clock/clock.ts";
import { fullMessage } from "../../base/errors/errors.ts";
import { findVppInstallation, NoVppError } from "../../dataplane/vpp/installation.ts";
import { findDetached } from "../../dataplane/vpp/supervisor/detached.ts";
import { LabError } from "../errors.ts";
import type { NodePaths } from "../paths.ts";
import { keepAlive, stopProcesses } from "../process/daemon.ts";
import type { ProcessId } from "../process/proc.ts";
import type { AgentStatus } from "./agent.ts";

const DEFAULT_READY_MS = 60_000;

/** Rejects with `CANNOT_RUN`, and where it was looked for, if no VPP is installed. */
export function requireVpp(): void {
  try {
    findVppInstallation(undefined);
  } catch (e) {
    if (!(e instanceof NoVppError)) throw e;
    throw new LabError("CANNOT_RUN", `${e.message}, or HEDDLE_VPP_PREFIX`, { cause: e });
  }
}

/** The VPP of a node, in the words of the agent that started it, which may have ended since: VPP goes on without it. */
export function runningVpp({ vpp }: NodePaths): ProcessId | undefined {
  return findDetached(vpp.pid);
}

/** Ends a node's VPP and resolves with the pid of the one that its agent has started instead, and is connected to. */
export async function restartVpp(
  node: string,
  paths: NodePaths,
  ask: () => Promise<AgentStatus>,
  options: { readonly graceful?: boolean; readonly signal?: AbortSignal | undefined; readonly timeoutMs?: number },
): Promise<number> {
  const { graceful = false, signal, timeoutMs = DEFAULT_READY_MS } = options;
  const old = runningVpp(paths);
  if (old) await stopProcesses([old], { kill: !graceful });
  const end = systemClock.now() + timeoutMs;
  for (let last = ""; ; ) {
    try {
      const { vppPid, connection } = (await ask()).dataplane ?? {};
      if (connection === "ready" && vppPid !== undefined && vppPid !== old?.pid) return vppPid;
      last = `the agent's connection is ${connection ?? "not known"}`;
    } catch (e) {
      last = fullMessage(e);
    }
    if (systemClock.now() >= end) {
      throw new LabError("NOT_READY", `VPP of ${node} was not there again within ${timeoutMs / 1000} s: ${last}`);
    }
    await keepAlive(sleep(systemClock, millis(20), signal));
  }
}
