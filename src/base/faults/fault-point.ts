import { appendFileSync } from "node:fs";

/**
 * Places where a crash test ends the process with SIGKILL: one behind every await of ADD and DEL. They cost a comparison
 * unless {@link armFaultPoint} was called, which only `main` does, and only when HEDDLE_CRASH_AT is set.
 */
export const FAULT_POINTS = [
  "cni.received",
  "cni.identified",
  "loop.taken",
  "loop.planned",
  "loop.remembered",
  "loop.applied",
  "loop.committed",
  "cni.settled",
  "link.opened",
  "link.created",
  "link.half",
  "link.up",
  "link.followed",
  "link.grouped",
  "link.gone",
  "ifb.created",
  "ifb.found",
  "setup.half",
  "setup.up",
  "address.set",
  "l3.done",
  "carrier.up",
  "shaper.done",
  "redirect.half",
  "redirect.done",
  "sysctl.read",
  "sysctl.set",
  "nft.done",
  "flows.read",
  "flows.ended",
  "flows.done",
] as const;
export type FaultPoint = (typeof FAULT_POINTS)[number];

const TRACE = "trace=";
let armed: { readonly point: string; left: number } | undefined;
let trace: string | undefined;

/**
 * `"link.up"` or `"link.up:3"`: dies the first or the third time. `"trace=FILE"`: appends the name of each point that is
 * passed to a file, a line each, and dies nowhere. Anything else is an error of the test.
 */
export function armFaultPoint(spec: string | undefined): void {
  if (!spec) return;
  if (spec.startsWith(TRACE)) {
    trace = spec.slice(TRACE.length);
    return;
  }
  const [point = "", nth = "1"] = spec.split(":");
  if (!(FAULT_POINTS as readonly string[]).includes(point)) throw new Error(`no fault point ${point}`);
  armed = { point, left: Number(nth) };
}

export function faultPoint(point: FaultPoint): void {
  if (trace !== undefined) appendFileSync(trace, `${point}\n`);
  if (armed === undefined || armed.point !== point || --armed.left > 0) return;
  process.kill(process.pid, "SIGKILL");
  // The signal is delivered before kill returns to this thread; nothing below runs.
}
