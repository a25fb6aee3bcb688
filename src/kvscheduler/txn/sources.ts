import type { Clock, Duration, Timer } from "../../base/clock/clock.ts";
import type { Source } from "../graph/node.ts";

export interface SourceOptions {
  /** Of several values for one key the one with the highest precedence is applied; equal ones are settled by the
   * sources' names. Default 0. */
  readonly precedence?: number;
  /**
   * The source is expected: until it has given its first state (a full or upstream resync), what others' resyncs find in
   * the southbound, and nobody has asked for, is kept for it. Counts from the first resync of anybody; when it has
   * passed, what was kept is judged without this source. Not expected if absent.
   */
  readonly grace?: Duration;
}

/**
 * Who gives values, and who is still waited for. The first resync after a start must not remove what a source that has
 * not connected yet will ask for again, and must not wait for that source for ever either.
 */
export class Sources {
  readonly #clock: Clock;
  readonly #options: Readonly<Record<string, SourceOptions>>;
  readonly #onGraceOver: (names: readonly string[]) => void;
  readonly #known = new Map<string, Source>();
  /** Expected, and not heard of yet. */
  readonly #awaited = new Map<string, Duration>();
  readonly #timers = new Set<Timer>();
  /** Those whose grace has passed. */
  readonly #passed: string[] = [];
  #counting = false;
  /** Whether anybody has given a whole state. */
  #synced = false;

  constructor(
    clock: Clock,
    options: Readonly<Record<string, SourceOptions>>,
    onGraceOver: (names: readonly string[]) => void,
  ) {
    this.#clock = clock;
    this.#options = options;
    this.#onGraceOver = onGraceOver;
    for (const [name, { grace }] of Object.entries(options)) if (grace !== undefined) this.#awaited.set(name, grace);
  }

  get(name: string): Source {
    let source = this.#known.get(name);
    if (source === undefined) {
      source = { name, precedence: this.#options[name]?.precedence ?? 0 };
      this.#known.set(name, source);
    }
    return source;
  }

  /** The expected ones that have not given a state, and whose grace has not passed. */
  get awaited(): string[] {
    return [...this.#awaited.keys()].sort();
  }

  /** Whether a resync may remove what nobody has asked for. `giving`: the source whose state it brings. */
  mayDiscard(giving: Source | undefined): boolean {
    if (giving === undefined && !this.#synced) return false;
    for (const name of this.#awaited.keys()) if (name !== giving?.name) return false;
    return true;
  }

  /** A resync has been carried out. */
  resynced(giving: Source | undefined): void {
    if (giving !== undefined) {
      this.#synced = true;
      this.#awaited.delete(giving.name);
    }
    if (this.#counting || this.#awaited.size === 0) return;
    this.#counting = true;
    for (const [name, grace] of this.#awaited) {
      const timer = this.#clock.schedule(grace, () => {
        this.#timers.delete(timer);
        if (!this.#awaited.delete(name)) return;
        this.#passed.push(name);
        if (this.#awaited.size === 0 && this.#synced) this.#onGraceOver(this.#passed);
      });
      this.#timers.add(timer);
    }
  }

  close(): void {
    for (const t of this.#timers) t.cancel();
    this.#timers.clear();
  }
}
