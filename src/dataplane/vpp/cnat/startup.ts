import { DEFAULT_MAIN_HEAP, type StartupConf } from "../supervisor/startup-conf.ts";

/**
 * Of VPP's heap for each connection that CNAT may know: its own entry and one for each direction are 0.8 KiB, telling of them
 * (`cnat_session_dump`) takes 0.5 KiB at a time, and most of the heap is for other things.
 */
const HEAP_FOR_CONNECTION = 4096;
/** What CNAT numbers with 24 bits. */
const MOST = 1 << 24;

/**
 * CNAT's part of startup.conf.
 *
 * - `maxSessions`: VPP ends itself when its heap is full, so there is a limit that the heap can hold; new connections beyond
 *   it are not translated. CNAT also clears its table when the first packet of all comes, on the thread that forwards, and
 *   looks through all of it for what is over: for the 16 million of its default that is a second without a packet.
 * - `scanInterval`: a look for what is over takes 0.1 ms at most. One in a second, the default, ends a few hundred
 *   connections; where more begin than that, the table only grows. Fifty in a second see to 10,000, and cost a VPP with
 *   nothing to do a fiftieth of a CPU.
 * - `maglevLength`: a hundred places for each of fifty endpoints.
 */
export function cnatOptions({ mainHeap = DEFAULT_MAIN_HEAP, cnat }: Pick<StartupConf, "mainHeap" | "cnat">) {
  const maxSessions = Math.min(MOST, Math.floor(mainHeap / HEAP_FOR_CONNECTION));
  return { maxSessions, scanInterval: 0.02, maglevLength: 5003, ...cnat } as const;
}
