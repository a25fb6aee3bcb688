import { type Clock, millis, sleep, systemClock } from "../../../base/clock/clock.ts";
import { toError } from "../../../base/errors/errors.ts";
import { Directory } from "./directory.ts";
import { StatsError } from "./errors.ts";
import { SegmentView, type StatsMemory } from "./memory.ts";
import { readSnapshot, type StatsSnapshot } from "./snapshot.ts";

/** STAT_SEGMENT_VERSION of vlib/stats/stats.h, of VPP 20.09 to 26.06. */
const VERSION = 2;

/** VPP holds its lock for microseconds, for some milliseconds when it names all nodes: 100 waits of 1 ms are plenty. */
const ATTEMPTS = 100;

/**
 * One life of VPP's statistics segment. Reading is optimistic: nothing is locked, VPP never waits. It says that it is
 * changing the segment by `in_progress`, and by another epoch that it has; what was read meanwhile is read again.
 */
export class StatsSegment {
  readonly #view: SegmentView;
  readonly #clock: Clock;
  #directory: Directory | undefined;
  /** How often something had to be read again, since the segment was opened. */
  retries = 0;

  /** Throws `VERSION` or `CORRUPT`, and closes the memory then. */
  constructor(memory: StatsMemory, clock: Clock = systemClock) {
    this.#view = new SegmentView(memory);
    this.#clock = clock;
    try {
      const { version } = this.#view.header();
      if (version !== VERSION) {
        throw new StatsError("VERSION", `VPP's statistics segment is of version ${version}, ${VERSION} is known`);
      }
    } catch (e) {
      memory.close();
      throw e;
    }
  }

  /** All counters as of one moment. Rejects with `BUSY` or `CORRUPT`. */
  async snapshot(signal?: AbortSignal): Promise<StatsSnapshot> {
    let last: Error | undefined;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      if (attempt > 0) {
        this.retries++;
        await sleep(this.#clock, millis(1), signal);
      }
      const before = this.#view.header();
      if (before.inProgress) continue;
      let snapshot: StatsSnapshot | undefined;
      try {
        snapshot = readSnapshot(this.#view, this.#current(before.directory, before.epoch));
      } catch (e) {
        // Half-changed memory looks like this too: only if it has not been changed is it the segment that is wrong.
        last = toError(e);
      }
      const after = this.#view.header();
      if (after.inProgress || after.epoch !== before.epoch) {
        this.#directory = undefined;
        continue;
      }
      if (snapshot) return snapshot;
      throw last ?? new StatsError("CORRUPT", "unreadable");
    }
    throw new StatsError("BUSY", `VPP's statistics were being changed at each of ${ATTEMPTS} attempts`, {
      cause: last,
    });
  }

  close(): void {
    this.#view.memory.close();
  }

  #current(pointer: bigint, epoch: bigint): Directory {
    if (this.#directory?.epoch !== epoch) this.#directory = Directory.read(this.#view, pointer, epoch);
    return this.#directory;
  }
}
