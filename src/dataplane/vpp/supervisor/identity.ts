import { readFileSync } from "node:fs";
import { z } from "zod";

/** A process that can't be mistaken for a later one of the same number: its start time, in clock ticks since boot. */
export interface ProcessIdentity {
  readonly pid: number;
  readonly startTime: string;
}

/** Fields 3 (state) and 22 (starttime) of /proc/PID/stat, counted behind the name, which may hold anything. */
export function identify(pid: number): ProcessIdentity | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch {
    return undefined; // ENOENT or ESRCH: it is gone
  }
  const [state, ...fields] = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const startTime = fields[18];
  // A zombie has ended; only its parent has not asked yet.
  return state === "Z" || state === "X" || startTime === undefined ? undefined : { pid, startTime };
}

export function isAlive(id: ProcessIdentity): boolean {
  return identify(id.pid)?.startTime === id.startTime;
}

/** Sends a signal to exactly that process. False if it is gone. */
export function signalProcess(id: ProcessIdentity, signal: NodeJS.Signals): boolean {
  if (!isAlive(id)) return false;
  try {
    return process.kill(id.pid, signal);
  } catch {
    return false; // ESRCH: it ended between the look and the signal
  }
}

const schema = z.strictObject({ pid: z.int().positive(), startTime: z.string() });

/** What {@link formatIdentity} wrote, if it is whole. */
export function parseIdentity(text: string): ProcessIdentity | undefined {
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    return undefined; // written in part, or by somebody else: then it says nothing
  }
}

export const formatIdentity = (id: ProcessIdentity): string => `${JSON.stringify(id)}\n`;
