import type { Clock, Duration, Timer } from "../../base/clock/clock.ts";
import type { CommitGroup } from "../api/descriptor.ts";
import { SuspendedError } from "../api/errors.ts";
import type { Node } from "../graph/node.ts";
import type { Entry } from "../graph/registry.ts";
import type { Ticket } from "./retry.ts";

/** So many calls in a row that outlive their deadlines say that the southbound hangs, not a single key. */
const SUSPEND_AFTER = 3;
/** How long a descriptor is left alone; doubled each time it hangs again without having answered in between. */
const FIRST_PAUSE_MS = 10_000;
const MAX_PAUSE_MS = 300_000;

const NOBODY: readonly string[] = [];

/** How one descriptor answers. */
interface Pulse {
  /** Calls in a row that outlived their deadlines. */
  expired: number;
  suspended: boolean;
  pause: number;
  timer: Timer | undefined;
  /** Keys to be tried again when it is over. */
  waiting: Ticket[];
}

/**
 * Descriptors that hang. Each of their operations would hold up everybody for the length of a deadline, so after a few
 * they are not called any more: their operations fail at once. They are tried again when one of the calls that are still
 * out ends, or after a pause.
 */
export class Suspensions {
  readonly #clock: Clock;
  readonly #resume: (tickets: readonly Ticket[]) => void;
  /** Only descriptors that have let a deadline pass: the others cost nothing. Those of one group hang together. */
  readonly #pulses = new Map<Entry | CommitGroup, Pulse>();
  #closed = false;

  constructor(clock: Clock, resume: (tickets: readonly Ticket[]) => void) {
    this.#clock = clock;
    this.#resume = resume;
  }

  /** Why nothing is to be sent to the descriptor; undefined if it may be. */
  of(entry: Entry): SuspendedError | undefined {
    if (this.#pulses.size === 0) return undefined;
    const pulse = this.#pulses.get(subjectOf(entry));
    return pulse?.suspended === true ? new SuspendedError(entry.name, pulse.expired) : undefined;
  }

  /** The suspended descriptors, of groups the groups. */
  get names(): readonly string[] {
    if (this.#pulses.size === 0) return NOBODY;
    return [...this.#pulses]
      .filter(([, p]) => p.suspended)
      .map(([subject]) => subject.name)
      .sort();
  }

  /** A call has outlived its deadline. `weight`: how many ordinary calls it counts for. */
  expired(entry: Entry, weight = 1): void {
    let pulse = this.#pulses.get(subjectOf(entry));
    if (pulse === undefined) {
      pulse = { expired: 0, suspended: false, pause: FIRST_PAUSE_MS, timer: undefined, waiting: [] };
      this.#pulses.set(subjectOf(entry), pulse);
    }
    pulse.expired += weight;
    if (pulse.suspended || pulse.expired < SUSPEND_AFTER || this.#closed) return;
    pulse.suspended = true;
    const suspended = pulse;
    pulse.timer = this.#clock.schedule(pulse.pause as Duration, () => {
      suspended.pause = Math.min(2 * suspended.pause, MAX_PAUSE_MS);
      suspended.expired = SUSPEND_AFTER - 1; // the next one decides
      this.#end(suspended);
    });
  }

  /** A call has ended: in time, or late. */
  answered(entry: Entry): void {
    if (this.#pulses.size === 0) return;
    const pulse = this.#pulses.get(subjectOf(entry));
    if (pulse === undefined) return;
    this.#pulses.delete(subjectOf(entry));
    this.#end(pulse);
  }

  /** `node` failed because its descriptor is suspended: it is tried again afterwards. */
  wait(node: Node): void {
    const pulse = node.descriptor === undefined ? undefined : this.#pulses.get(subjectOf(node.descriptor));
    const ticket = { node, trouble: node.trouble! };
    if (pulse?.suspended === true) pulse.waiting.push(ticket);
    else if (!this.#closed) this.#resume([ticket]); // over already
  }

  close(): void {
    this.#closed = true;
    for (const { timer } of this.#pulses.values()) timer?.cancel();
  }

  #end(pulse: Pulse): void {
    pulse.timer?.cancel();
    pulse.timer = undefined;
    pulse.suspended = false;
    const waiting = pulse.waiting;
    pulse.waiting = [];
    if (waiting.length > 0 && !this.#closed) this.#resume(waiting);
  }
}

function subjectOf(entry: Entry): Entry | CommitGroup {
  return entry.group ?? entry;
}
