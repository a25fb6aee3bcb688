import { type Clock, type Duration, millis } from "../../../src/base/clock/clock.ts";
import { ManualClock } from "../../../src/base/clock/manual-clock.ts";
import type { CommitGroup } from "../../../src/kvscheduler/api/descriptor.ts";
import type {
  ResyncKind,
  Scheduler,
  StatusNews,
  StatusWatch,
  Txn,
  TxnResult,
} from "../../../src/kvscheduler/api/scheduler.ts";
import type { ValueState } from "../../../src/kvscheduler/api/status.ts";
import { createScheduler, type SchedulerOptions } from "../../../src/kvscheduler/scheduler.ts";
import { diffLines } from "./diff.ts";
import { type MockOptions, MockSouthbound } from "./mock-southbound.ts";
import { parseFlags, type Scenario, type ScenarioStep } from "./scenario.ts";
import { eventRow, look } from "./scenario-look.ts";
import { type Change, parseChanges, parseFault, parseValue } from "./scenario-values.ts";
import { descriptorOptions, schedulerOptions, txnOptions } from "./scenario-words.ts";
import { slowness } from "./slowness.ts";

/** A clock that only moves when it is told to. */
export interface TestClock extends Clock {
  advance(by: Duration): void;
}

export interface RunOptions {
  /** Called by the southbound before an operation takes effect. */
  readonly check?: MockOptions["check"];
  readonly clock?: () => TestClock;
}

/** Carries out a scenario. @throws Error with the line, and the difference of what was expected and what was found */
export async function runScenario(scenario: Scenario): Promise<void> {
  const run = new ScenarioRun();
  for (const step of scenario.steps) await run.play(step);
  await run.end();
}

/** A scheduler over a {@link MockSouthbound}, moved and looked at by the steps of a scenario. */
export class ScenarioRun {
  readonly southbound: MockSouthbound;
  readonly warnings: string[] = [];
  clock: TestClock;
  scheduler: Scheduler;
  last: TxnResult | undefined;
  /** Why the last transaction was not taken. */
  refused: Error | undefined;
  #open = false;
  readonly #newClock: () => TestClock;
  readonly #groups = new Map<string, CommitGroup>();
  #options: Partial<SchedulerOptions> = {};
  /** What was registered, to be registered again after a crash. */
  readonly #registered: (readonly string[])[] = [];
  #watch: StatusWatch | undefined;
  readonly events: string[] = [];

  constructor(options: RunOptions = {}) {
    this.southbound = new MockSouthbound({ ...(options.check !== undefined && { check: options.check }) });
    this.#newClock = options.clock ?? (() => new ManualClock());
    this.clock = this.#newClock();
    this.scheduler = this.#newScheduler();
  }

  async play(step: ScenarioStep): Promise<void> {
    try {
      if (step.sign === ">") await this.#happen(step);
      else this.#expect(step);
    } catch (e) {
      if (e instanceof Error) e.message = `line ${step.line}, ${step.sign} ${step.words.join(" ")}: ${e.message}`;
      throw e;
    }
  }

  async end(): Promise<void> {
    if (this.southbound.complaints.length > 0) {
      throw new Error(`the southbound complains:\n${this.southbound.complaints.join("\n")}`);
    }
    this.southbound.release();
    await this.settle();
    await this.scheduler.close();
  }

  /** Lets everything that can go on go on. */
  async settle(): Promise<void> {
    for (let quiet = 0; quiet < 4; quiet++) {
      await new Promise<void>((resolve) => setImmediate(resolve));
      if (this.southbound.busy > 0) quiet = 0;
    }
  }

  /** Whether a transaction has not ended. */
  get open(): boolean {
    return this.#open;
  }

  async #happen({ words, body }: ScenarioStep): Promise<void> {
    const [verb, ...args] = words;
    const key = args[0] ?? "";
    switch (verb) {
      case "scheduler":
        return this.#configure(args);
      case "descriptor":
        this.#registered.push(args);
        this.#register(args);
        return this.settle();
      case "txn":
        return this.#transact({ changes: parseChanges(body) }, args);
      case "resync": {
        const changes = body.length > 0 || key !== "downstream" ? { changes: parseChanges(body) } : {};
        return this.#transact({ resync: key as ResyncKind, ...changes }, args.slice(1));
      }
      case "notify":
        this.scheduler.notify(this.#observe(parseChanges(body)));
        return this.settle();
      case "fail":
        return this.southbound.fail(key, parseFault(args[1]), Number(args[2] ?? 1), Number(args[3] ?? 0));
      case "heal":
        return this.southbound.faults.clear();
      case "release":
        this.southbound.release();
        return this.settle();
      case "appear":
        return this.southbound.appear(key, parseValue(args.slice(2)), "northbound");
      case "tamper":
        return this.southbound.tamper(key, args[2] ?? "");
      case "disown":
        return this.southbound.disown(key);
      case "vanish":
        return this.southbound.vanish(key);
      case "unreadable":
        this.southbound.unreadable.set(key, args[1] === "hangs" ? "hangs" : "fails");
        return undefined;
      case "readable":
        this.southbound.unreadable.delete(key);
        return undefined;
      case "advance":
        return this.#advance(Number(key));
      case "crash":
        return this.#crash();
      case "close":
        return this.scheduler.close();
      case "watch":
        return this.#watchStatus(args);
      case "unwatch":
        this.#watch?.close();
        return this.settle();
      default:
        throw new Error("nothing happens by this name");
    }
  }

  #expect({ words, body }: ScenarioStep): void {
    const bare = (line: string): string => line.trim().replace(/\s+/g, " ");
    const expected = body.map(bare);
    const found = look(this, words[0] ?? "", words.slice(1)).map(bare);
    const same = expected.length === found.length && expected.every((line, i) => line === found[i]);
    if (!same) {
      const diff = diffLines(expected, found).map((line) => `    ${line}`);
      throw new Error(
        `this is not what was found (- is expected and lacking, + was not expected):\n${diff.join("\n")}`,
      );
    }
  }

  /** What a timer starts has time to end before the next second is over. */
  async #advance(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 1000) {
      this.clock.advance(millis(Math.min(left, 1000)));
      await this.settle();
    }
  }

  #newScheduler(): Scheduler {
    return createScheduler({
      clock: this.clock,
      random: () => 0.5,
      sources: { high: { precedence: 10 } },
      log: {
        warn: (event, f) => {
          const why = typeof f["why"] === "string" ? ` (${f["why"]})` : "";
          this.warnings.push(`${event}: ${[f["key"], f["descriptor"]].find((x) => typeof x === "string") ?? ""}${why}`);
        },
      },
      ...this.#options,
    });
  }

  #configure(words: readonly string[]): void {
    const { slow, options } = schedulerOptions(words);
    this.#options = options;
    if (slow !== undefined) this.southbound.pause = slowness(slow);
    this.scheduler = this.#newScheduler();
  }

  #register([name = "", ...words]: readonly string[]): void {
    const { groupName, max, options } = descriptorOptions(words);
    const group = groupName === undefined ? undefined : this.#group(groupName, max);
    this.scheduler.register(this.southbound.descriptor(name, { ...options, ...(group !== undefined && { group }) }));
  }

  #group(name: string, max: number | undefined): CommitGroup {
    let group = this.#groups.get(name);
    if (group === undefined) {
      group = this.southbound.group(name, max);
      this.#groups.set(name, group);
    }
    return group;
  }

  async #transact(txn: Txn, words: readonly string[]): Promise<void> {
    const { hanging, crashAfter, options } = txnOptions(words);
    if (crashAfter !== undefined) this.southbound.dieAfter(crashAfter);
    const { scheduler } = this;
    this.#open = true;
    this.refused = undefined;
    const over = scheduler
      .transact({ ...txn, ...options })
      .then(
        (r) => {
          this.last = r;
        },
        (e: Error) => {
          this.refused = e;
        },
      )
      .then(() => {
        if (scheduler === this.scheduler) this.#open = false;
      });
    if (crashAfter !== undefined) {
      await this.settle();
      return this.#crash();
    }
    // One that hangs ends when something else happens: a deadline, or the release of what hangs.
    if (hanging) await this.settle();
    else await over;
    return undefined;
  }

  /** The process dies without a word; another one begins over the same southbound. */
  async #crash(): Promise<void> {
    this.southbound.restart();
    this.#groups.clear();
    this.#open = false;
    this.clock = this.#newClock();
    this.scheduler = this.#newScheduler();
    for (const args of this.#registered) this.#register(args);
    await this.settle();
  }

  async #watchStatus(words: readonly string[]): Promise<void> {
    const { values } = parseFlags(words, ["prefix=", "states=", "descriptor=", "bound="]);
    const prefix = values.get("prefix");
    const descriptor = values.get("descriptor");
    const states = values.get("states")?.split(",") as ValueState[] | undefined;
    const watch = this.scheduler.watchStatus(
      {
        ...(prefix !== undefined && { prefix }),
        ...(descriptor !== undefined && { descriptor }),
        ...(states && { states }),
      },
      { bound: Number(values.get("bound") ?? 1000) },
    );
    this.#watch = watch;
    const read = async (): Promise<void> => {
      for await (const news of watch as AsyncIterable<StatusNews>) this.events.push(eventRow(news));
    };
    void read(); // ends with the watch, and never rejects
    await this.settle();
  }

  /** What the southbound tells of is there. */
  #observe(changes: readonly Change[]): readonly Change[] {
    for (const [key, value] of changes) {
      const there = this.southbound.stored.get(key);
      if (value === undefined) this.southbound.vanish(key);
      else if (there === undefined || there.origin === "southbound") this.southbound.appear(key, value, "southbound");
    }
    return changes;
  }
}
