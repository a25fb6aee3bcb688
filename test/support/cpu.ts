import { readFileSync } from "node:fs";
import { type Duration, sleep, systemClock } from "../../src/base/clock/clock.ts";

/** Share of one CPU that a process takes for so long. */
export async function cpuShare(pid: number, time: Duration): Promise<number> {
  const [before, since] = [ticks(pid), systemClock.now()];
  await sleep(systemClock, time);
  return ((ticks(pid) - before) * MS_PER_TICK) / (systemClock.now() - since);
}

/** USER_HZ is 100 wherever Node runs on Linux. */
const MS_PER_TICK = 10;

/** utime and stime of proc_pid_stat(5). */
function ticks(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}
