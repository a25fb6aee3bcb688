/**
 * Kills exactly that process with SIGKILL. Throws where there is none to kill: `process.kill(0)` would kill this process,
 * its parents and all of their group instead.
 */
export function kill9(pid: number | undefined | null): void {
  if (pid === undefined || pid === null || !(pid > 1)) throw new Error(`there is no process to kill: ${pid}`);
  process.kill(pid, "SIGKILL");
}
