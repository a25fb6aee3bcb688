import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/**
 * A process that cannot be mistaken for a later one with the same number: `startTime` is in clock ticks since boot
 * (/proc/PID/stat field 22, proc(5)).
 */
export interface ProcessId {
  readonly pid: number;
  readonly startTime: string;
}

export interface ProcStat {
  readonly comm: string;
  /** `R`, `S`, `Z`, … */
  readonly state: string;
  readonly ppid: number;
  readonly startTime: string;
}

/** Parses `4711 (a (weird) name) S 1 …`: the name may hold spaces and parentheses, so the last `)` ends it. */
export function parseStat(text: string): ProcStat | undefined {
  const open = text.indexOf("(");
  const close = text.lastIndexOf(")");
  if (open < 0 || close < open) return undefined;
  const rest = text.slice(close + 2).split(" ");
  const [state, ppid] = rest;
  const startTime = rest[19]; // field 22 of the line; `rest` begins with field 3
  if (state === undefined || ppid === undefined || startTime === undefined) return undefined;
  return { comm: text.slice(open + 1, close), state, ppid: Number(ppid), startTime };
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined; // the process ended meanwhile
  }
}

export function statOf(pid: number): ProcStat | undefined {
  const text = read(`/proc/${pid}/stat`);
  return text === undefined ? undefined : parseStat(text);
}

/** The identity of a running process; undefined if there is none (a zombie is none: it only waits for its parent). */
export function identify(pid: number): ProcessId | undefined {
  const stat = statOf(pid);
  return stat === undefined || stat.state === "Z" || stat.state === "X"
    ? undefined
    : { pid, startTime: stat.startTime };
}

/** Whether exactly this process still runs. */
export function isAlive(id: ProcessId): boolean {
  return identify(id.pid)?.startTime === id.startTime;
}

export interface RunningProcess extends ProcessId {
  readonly command: string;
  /** Inode of its network namespace, as in `net:[4026531840]`. */
  readonly netns: string | undefined;
  /** Value of the asked-for environment variable, as the process had it when it was started. */
  readonly mark: string | undefined;
}

/** Every process that can be seen, with the start value of one environment variable. */
export function listProcesses(markVariable: string): RunningProcess[] {
  const found: RunningProcess[] = [];
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const id = identify(Number(name));
    if (!id) continue;
    const environ = read(`/proc/${name}/environ`)?.split("\0") ?? [];
    let netns: string | undefined;
    try {
      netns = /\[(\d+)\]/.exec(readlinkSync(`/proc/${name}/ns/net`))?.[1];
    } catch {
      netns = undefined; // ended, or a kernel thread
    }
    found.push({
      ...id,
      command: (read(`/proc/${name}/cmdline`) ?? "").split("\0").join(" ").trim(),
      netns,
      mark: environ.find((e) => e.startsWith(`${markVariable}=`))?.slice(markVariable.length + 1),
    });
  }
  return found;
}
