import { assert } from "vitest";
import { millis } from "../../../src/base/clock/clock.ts";
import { ManualClock } from "../../../src/base/clock/manual-clock.ts";
import type { CommitGroup, Key } from "../../../src/kvscheduler/api/descriptor.ts";
import type { RecordedOp } from "../../../src/kvscheduler/api/record.ts";
import type { ResyncKind, Scheduler, Txn, TxnResult } from "../../../src/kvscheduler/api/scheduler.ts";
import type { ValueStatus } from "../../../src/kvscheduler/api/status.ts";
import { renderOps } from "../../../src/kvscheduler/render.ts";
import { createScheduler } from "../../../src/kvscheduler/scheduler.ts";
import { MockSouthbound, type MockValue } from "./mock-southbound.ts";
import {
  descriptorOptions,
  parseChanges,
  parseFault,
  parseFlags,
  parseValue,
  type Scenario,
  type ScenarioStep,
} from "./scenario.ts";

/** Carries out a scenario against a scheduler over a {@link MockSouthbound}. */
export async function runScenario(scenario: Scenario): Promise<void> {
  const run = new Run();
  for (const step of scenario.steps) {
    try {
      if (step.sign === ">") await run.happen(step);
      else run.expect(step);
    } catch (e) {
      if (e instanceof Error) e.message = `line ${step.line} (${step.words.join(" ")}): ${e.message}`;
      throw e;
    }
  }
  assert.deepEqual(run.southbound.complaints, [], "complaints of the southbound");
  run.southbound.release();
  await run.scheduler.close();
}

class Run {
  readonly clock = new ManualClock();
  readonly southbound = new MockSouthbound();
  readonly warnings: string[] = [];
  readonly scheduler: Scheduler = createScheduler({
    clock: this.clock,
    random: () => 0.5,
    precedence: { high: 10 },
    log: { warn: (event, fields) => this.warnings.push(`${event}: ${String(fields["key"] ?? fields["descriptor"])}`) },
  });
  readonly #groups = new Map<string, CommitGroup>();
  #last: TxnResult | undefined;

  async happen({ words, body }: ScenarioStep): Promise<void> {
    const [verb, ...args] = words;
    const key = args[0] ?? "";
    switch (verb) {
      case "register":
        return this.#register(key, args.slice(1));
      case "txn":
        return this.#transact({ changes: parseChanges(body) }, args);
      case "resync": {
        const changes = key === "downstream" ? [] : parseChanges(body);
        return this.#transact({ resync: key as ResyncKind, changes }, args.slice(1));
      }
      case "notify":
        this.scheduler.notify(this.#observe(parseChanges(body)));
        return this.#settle();
      case "fail":
        this.southbound.fail(key, parseFault(args[1]), Number(args[2] ?? 1));
        return undefined;
      case "release":
        this.southbound.release();
        return this.#settle();
      case "appear":
        this.southbound.appear(key, parseValue(args.slice(2)), "northbound");
        return undefined;
      case "vanish":
        this.southbound.vanish(key);
        return undefined;
      case "unreadable":
        this.southbound.unreadable.add(key);
        return undefined;
      case "readable":
        this.southbound.unreadable.delete(key);
        return undefined;
      case "advance":
        this.clock.advance(millis(Number(key)));
        return this.#settle();
      default:
        throw new Error(`nothing happens by this name: ${verb}`);
    }
  }

  expect({ words, body }: ScenarioStep): void {
    const wanted = body.map((line) => line.trim().replace(/\s+/g, " "));
    const found = this.#look(words[0]).map((line) => line.trim().replace(/\s+/g, " "));
    assert.deepEqual(found, wanted);
  }

  #look(what: string | undefined): string[] {
    switch (what) {
      case "ops":
        return this.southbound.takeOps();
      case "table":
        return this.scheduler.statuses().map(row);
      case "southbound":
        return [...this.southbound.stored.keys()].sort().map((k) => `${k} = ${this.southbound.stored.get(k)!.value.v}`);
      case "plan":
        return renderOps((this.#last?.record.planned ?? []).map(withoutValues)).split("\n");
      case "errors":
        return [...(this.#last?.errors ?? [])].map(([k, e]) => `${k}: ${e.message}`).sort();
      case "warnings":
        return this.warnings.splice(0);
      default:
        throw new Error(`nothing to look at by this name: ${what}`);
    }
  }

  async #register(name: Key, words: readonly string[]): Promise<void> {
    const flags = parseFlags(words);
    const groupName = flags.values.get("group");
    let group = groupName === undefined ? undefined : this.#groups.get(groupName);
    if (groupName !== undefined && group === undefined) {
      const max = flags.values.get("max");
      group = this.southbound.group(groupName, max === undefined ? undefined : Number(max));
      this.#groups.set(groupName, group);
    }
    this.scheduler.register(
      this.southbound.descriptor(name, { ...descriptorOptions(flags), ...(group !== undefined && { group }) }),
    );
    await this.#settle();
  }

  async #transact(txn: Txn, words: readonly string[]): Promise<void> {
    const { names, values } = parseFlags(words);
    const source = values.get("source");
    const retry = values.get("retry");
    const result = this.scheduler.transact({
      ...txn,
      ...(source !== undefined && { source }),
      ...(names.has("atomic") && { mode: "atomic" as const }),
      ...(names.has("dry") && { dryRun: true }),
      ...(retry !== undefined && { retry: { first: millis(1000), max: millis(60_000), attempts: Number(retry) } }),
    });
    if (names.has("hanging")) {
      // Ends when something else happens: a deadline, or the release of what hangs.
      void result.then((r) => (this.#last = r)); // a failure would show in the expectations that follow
      await this.#settle();
    } else {
      this.#last = await result;
    }
  }

  /** What the southbound tells of is there. */
  #observe(changes: [Key, MockValue | undefined][]): [Key, MockValue | undefined][] {
    for (const [key, value] of changes) {
      if (value === undefined) this.southbound.vanish(key);
      else if (!this.southbound.stored.has(key)) this.southbound.appear(key, value, "southbound");
    }
    return changes;
  }

  /** Lets everything that can go on go on. */
  async #settle(): Promise<void> {
    for (let i = 0; i < 5; i++) await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

function withoutValues(op: RecordedOp): RecordedOp {
  const { value: _value, oldValue: _oldValue, ...rest } = op;
  return rest;
}

function row(status: ValueStatus): string {
  const parts = [status.key, status.state];
  for (const u of status.unmet ?? []) parts.push("waits for", u.wants.join(" or "));
  if (status.error !== undefined) parts.push(`(${status.error.message})`);
  return parts.join(" ");
}
