import type { Key } from "../../../src/kvscheduler/api/descriptor.ts";
import type { MockValue } from "../../support/kvscheduler/mock-value.ts";
import { parseScenarios } from "../../support/kvscheduler/scenario.ts";
import { type RunOptions, ScenarioRun } from "../../support/kvscheduler/scenario-run.ts";
import { type Change, printChanges } from "../../support/kvscheduler/scenario-values.ts";
import { Model, Needs } from "./model.ts";
import { SOURCES } from "./steps.ts";

const DESCRIPTORS = [
  "descriptor a",
  "descriptor b no-update retrieve-one",
  "descriptor g1 group=g",
  "descriptor g2 group=g",
  "descriptor n no-retrieve",
];

export interface BenchOptions {
  /** Operations at once, of one descriptor and of all. */
  readonly concurrency: number;
  /** The southbound's answers come in an order that follows from this number; absent: at once. */
  readonly slow?: number;
  readonly clock?: RunOptions["clock"];
}

/**
 * A scheduler over a mock, beside the model of what it must bring about. Everything that happens to it is a scenario's
 * line, so that what has happened can be read, and run again.
 */
export class Bench {
  readonly run: ScenarioRun;
  readonly model = new Model(SOURCES, ["a", "b", "g1", "g2", "n"]);
  readonly log: string[] = [];
  /** Who needs whom, before and after the current step. */
  needs = new Needs();
  /** Nothing has happened behind the scheduler's back: then its order can be judged. */
  strict = true;
  transactions = 0;

  private constructor(options: BenchOptions) {
    this.run = new ScenarioRun({
      check: (op, key, value) => {
        if (this.strict) this.#judge(op, key, value);
      },
      ...(options.clock !== undefined && { clock: options.clock }),
    });
  }

  static async start(options: BenchOptions): Promise<Bench> {
    const b = new Bench(options);
    const slow = options.slow === undefined ? "" : ` slow=${options.slow}`;
    await b.play(`scheduler concurrency=${options.concurrency}${slow}`);
    for (const d of DESCRIPTORS) await b.play(d);
    await b.play("> resync full");
    b.run.southbound.takeOps();
    return b;
  }

  /** Lets something happen. */
  async play(line: string, changes: readonly Change[] = []): Promise<void> {
    const lines = [line, ...printChanges(changes)];
    this.log.push(...lines);
    if (/^> (txn|resync|notify)/.test(line)) this.transactions++;
    const [scenario] = parseScenarios(["== step", ...lines].join("\n"));
    for (const step of scenario!.steps) await this.run.play(step);
    if (this.run.refused !== undefined) throw this.run.refused;
  }

  /** {@link play} of a transaction of which operations may hang: time passes until it has ended. */
  async playThrough(line: string, changes: readonly Change[]): Promise<void> {
    await this.play(`${line} hanging`, changes);
    for (let i = 0; this.run.open; i++) {
      if (i === 100) throw new Error("the transaction does not end");
      await this.play("> advance 2000");
    }
  }

  /** To be called before each step: what can need what in the course of it. */
  newStep(): void {
    this.needs = new Needs();
    for (const [key, s] of this.run.southbound.stored) this.needs.add(key, s.value);
    this.needWanted();
  }

  /** What the model wants now may be there in this step. */
  needWanted(): void {
    for (const [key, { value }] of this.model.wanted()) this.needs.add(key, value);
  }

  /** What the scheduler believes to be in place. */
  cached(): Map<Key, unknown> {
    const known = this.run.scheduler.dump("cached").filter(({ key }) => this.model.hasDescriptor(key));
    return new Map(known.map(({ key, value }) => [key, (value as MockValue).v]));
  }

  states(): string[] {
    return this.run.scheduler.statuses().map((s) => `${s.key} ${s.state}`);
  }

  /** What has happened, and what must have come of it: a scenario to be put into a file. */
  scenario(title: string): string {
    const wanted = [...this.model.southbound()].map(([key, v]) => `  ${key} = ${v}`);
    return [`== ${title}`, ...this.log, "< southbound", ...wanted].join("\n");
  }

  /** No operation before what it needs, none after what it needs is gone. Where values need each other, any order goes. */
  #judge(op: string, key: Key, value: MockValue): void {
    const { southbound } = this.run;
    if (op === "delete") {
      for (const [k, s] of southbound.stored) {
        if (k === key || s.origin === "southbound") continue;
        const direct = (s.value.deps ?? []).filter((d) => "key" in d && d.key === key);
        const carried = direct.some((d) => "carries" in d && d.carries);
        if (direct.length === 0 || carried || this.#inCircle(k, key)) continue;
        southbound.complaints.push(`delete of ${key}, which ${k} needs`);
      }
      return;
    }
    this.needs.add(key, value);
    const present = new Set(southbound.stored.keys());
    for (const k of this.needs.keys) if (!this.model.hasDescriptor(k)) present.add(k); // a property; nobody sees it come
    for (const d of value.deps ?? []) {
      if (this.needs.targets(d).some((t) => present.has(t) || t === key || this.#inCircle(key, t))) continue;
      southbound.complaints.push(`${op} of ${key} before ${d.label}`);
    }
  }

  #inCircle(x: Key, y: Key): boolean {
    return this.needs.reaches(x, y) && this.needs.reaches(y, x);
  }
}
