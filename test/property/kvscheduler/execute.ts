import type { Key } from "../../../src/kvscheduler/api/descriptor.ts";
import type { Fault, MockValue } from "../../support/kvscheduler/mock-value.ts";
import { opRows } from "../../support/kvscheduler/scenario-look.ts";
import type { Bench } from "./bench.ts";
import { differ } from "./differ.ts";
import type { CrashStep, MeddleStep, NotifyStep, PlannedFault, Step, TxnStep } from "./steps.ts";
import { OBSERVED, SOURCES } from "./steps.ts";

/** Does the step, and its cure if something failed in it. Then everything must be as the model says. */
export async function execute(b: Bench, step: Step): Promise<void> {
  b.newStep();
  switch (step.kind) {
    case "txn":
      await transact(b, step);
      break;
    case "notify":
      await notify(b, step);
      break;
    case "meddle":
      await meddle(b, step);
      break;
    case "crash":
      await crash(b, step);
      break;
    case "register":
      if (b.model.implemented.has("u")) break;
      b.model.implemented.add("u");
      b.model.settle();
      b.needWanted();
      await b.play("descriptor u");
      break;
  }
  settled(b);
}

/** What must be so whenever nothing is under way. */
export function settled(b: Bench): void {
  // Of values that carry each other one is gone when the other one is removed; somebody has to be second.
  const complaints = b.run.southbound.complaints.splice(0).filter((text) => {
    const gone = /^delete of (\S+), which does not exist$/.exec(text)?.[1];
    return gone === undefined || !b.needs.carriesItself(gone);
  });
  differ("complaints of the southbound", [], complaints);
  differ("the southbound", rows(b.model.southbound()), rows(b.run.southbound.values()));
  differ("what is believed to be in place", rows(b.run.southbound.values()), rows(b.cached()));
  const bad = b.run.scheduler.statuses({ states: ["FAILED", "RETRYING", "MISSING", "DISCOVERED", "INVALID"] });
  differ(
    "values in trouble",
    [],
    bad.map((s) => `${s.key} ${s.state} ${s.error?.message}`),
  );
}

async function transact(b: Bench, step: TxnStep): Promise<void> {
  const { model } = b;
  const { southbound } = b.run;
  const atomic = step.atomic && step.resync === undefined;
  const flags = `${step.source === "default" ? "" : ` source=${step.source}`}${atomic ? " atomic" : ""}`;
  const head = step.resync === undefined ? `> txn${flags}` : `> resync ${step.resync}${flags}`;
  const tried = step.tried ? await tryOut(b, head, step) : undefined;

  const before = { values: rows(southbound.values()), states: b.states() };
  const source = model.sources.get(step.source)!;
  const backup = new Map(source);
  const observed = new Map(model.observed);
  if (step.resync !== undefined) source.clear();
  for (const [key, value] of step.changes) {
    if (value === undefined) source.delete(key);
    else source.set(key, value);
  }
  model.settle();
  b.needWanted();

  const faults = possible(b, step.faults, atomic);
  for (const { key, fault, times } of faults) await b.play(`> fail ${key} ${fault} ${atomic ? 1 : times}`);
  const silent = faults.some((f) => f.fault === "lost" || f.fault === "lie");
  const retried = faults.length > 0 && !atomic && step.cure === "retry";
  if (silent) b.strict = false; // nobody can know that what is needed is not there
  await b.playThrough(`${head}${retried ? " retry=0" : ""}`, step.changes);
  const result = b.run.last!;
  if (tried !== undefined) {
    const planned = opRows(result.record.planned);
    // What is taken over is read before, and may need something else than was known.
    if (model.observed.size === observed.size) differ("the plan, beside that of the dry run", tried, planned);
  }
  const failed = result.errors.size > 0;
  if (atomic) {
    b.strict = false; // what hangs may have its effect when what it needs is gone again
    if (southbound.faults.size > 0) await b.play("> heal");
    if (faults.some((f) => f.fault === "hang")) await b.play("> release");
    b.strict = true;
    if (!failed) return;
    // Undoing may fail, too, and leaves failed keys then.
    const stuck = result.record.executed.some((op) => op.revert === true && op.error !== undefined);
    if (stuck) await b.play("> resync downstream");
    differ("the southbound after an atomic transaction that failed", before.values, rows(southbound.values()));
    differ("the states after an atomic transaction that failed", before.states, b.states());
    source.clear();
    for (const [k, v] of backup) source.set(k, v);
    model.observed.clear();
    for (const [k, v] of observed) {
      model.observed.set(k, v);
      await b.play(`> disown ${k}`);
    }
    return;
  }
  if (faults.length === 0) {
    differ(
      "errors",
      [],
      [...result.errors.values()].map((e) => e.message),
    );
    return;
  }
  if (!silent) {
    const known = knowable(faults);
    const there = rows(southbound.values()).filter(known);
    differ("what is believed to be in place after failures", there, rows(b.cached()).filter(known));
  }
  await b.play("> heal");
  if (faults.some((f) => f.fault === "hang")) {
    b.strict = false;
    await b.play("> release");
    b.strict = !silent;
  }
  if (retried) for (let i = 0; i < 6; i++) await b.play("> advance 60000");
  // What is not repeated: what somebody has refused for good, or lied about, and values of transactions without retry.
  const given = b.run.scheduler.statuses({ states: ["FAILED"] });
  if (!retried || silent || given.length > 0) await b.play("> resync downstream");
  b.strict = true;
}

/** A dry run changes nothing. Returns the text of its plan. */
async function tryOut(b: Bench, head: string, step: TxnStep): Promise<string[]> {
  const before = { states: b.states(), dump: b.run.scheduler.dump("northbound").length };
  const ops = b.run.southbound.ops.length;
  await b.play(`${head} dry`, step.changes);
  differ("the states after a dry run", before.states, b.states());
  const done = b.run.southbound.ops.slice(ops).filter((op) => !op.startsWith("retrieve"));
  differ("operations of a dry run", [], done);
  differ("values after a dry run", [String(before.dump)], [String(b.run.scheduler.dump("northbound").length)]);
  return opRows(b.run.last!.record.planned);
}

/** Of keys that hang nobody can know more than that. */
function knowable(faults: readonly PlannedFault[]): (row: string) => boolean {
  const hanging = new Set(faults.filter((f) => f.fault === "hang").map((f) => f.key));
  return (row) => !hanging.has(row.slice(0, row.indexOf(" ")));
}

/** What of the faults the mock, and the kind of transaction, allow. */
function possible(b: Bench, faults: readonly PlannedFault[], atomic: boolean): PlannedFault[] {
  // What nobody can read, and goes with something else, is known only as long as that something is.
  const blind = b.needs.carriedBlindly((key) => key.startsWith("n/"));
  const real: PlannedFault[] = [];
  for (const f of faults) {
    let fault: Fault = f.fault;
    if (f.key.startsWith("p/")) continue;
    // A commit of a group is done or refused as a whole; what cannot be read again fails before its effect or not at all.
    if (/^(n|g\d)\//.test(f.key) && fault !== "hang") fault = "before";
    // What comes with these could be seen by nobody if they are not there.
    const observed = OBSERVED.some((key) => key === f.key);
    // What is not of our making, and is still there after a removal, is left alone from then on.
    const foreign = b.run.southbound.stored.get(f.key)?.origin === "southbound";
    const deceives = (fault === "lost" || fault === "lie") && (!observed || foreign);
    if (deceives || (atomic && (fault === "lost" || fault === "lie"))) fault = "after";
    if (blind && (fault === "lost" || fault === "lie" || fault === "hang")) fault = "before";
    // What was only observed, and is removed too late to be undone, nobody makes again.
    if (atomic && observed && fault === "hang") fault = "before";
    real.push({ ...f, fault });
  }
  return real;
}

async function notify(b: Bench, step: NotifyStep): Promise<void> {
  const { model } = b;
  const told: [Key, MockValue | undefined][] = [];
  for (const [key, value] of step.changes) {
    if (model.wanted().has(key) && !model.observed.has(key)) continue;
    told.push([key, value]);
    if (b.run.southbound.stored.get(key)?.origin === "northbound") await b.play(`> disown ${key}`);
    if (value === undefined) model.observed.delete(key);
    else model.observed.set(key, value);
    model.settle();
    b.needWanted();
  }
  await b.play("> notify", told);
}

async function meddle(b: Bench, step: MeddleStep): Promise<void> {
  b.strict = false;
  const { stored } = b.run.southbound;
  const before = new Set(stored.keys());
  const ours = (key: Key): boolean => stored.get(key)?.origin === "northbound" && !key.startsWith("n/");
  for (const key of step.vanish) if (ours(key)) await drop(b, key);
  for (const [key, v] of step.tamper) if (ours(key)) await b.play(`> tamper ${key} = ${v}`);
  // A key that was there before would hide that it was another one, with other values needing it.
  for (const key of step.appear) if (!before.has(key)) await b.play(`> appear ${key} = stray`);
  await b.play("> resync downstream");
  b.strict = true;
}

/** A value that goes by itself takes along what is derived from it and only it can tell of. */
async function drop(b: Bench, key: Key): Promise<void> {
  const { stored } = b.run.southbound;
  const before = [...stored.keys()];
  await b.play(`> vanish ${key}`);
  const gone = new Set(before.filter((k) => !stored.has(k)));
  for (const [k, { base }] of b.model.wanted()) {
    if (k.startsWith("n/") && base !== undefined && gone.has(base) && stored.has(k)) await drop(b, k);
  }
}

async function crash(b: Bench, step: CrashStep): Promise<void> {
  const { model } = b;
  const source = model.sources.get(step.source)!;
  for (const [key, value] of step.changes) {
    if (value === undefined) source.delete(key);
    else source.set(key, value);
  }
  model.settle();
  b.needWanted();
  const flag = step.source === "default" ? "" : ` source=${step.source}`;
  await b.play(`> txn crash-after=${step.after}${flag}`, step.changes);
  // The sources come back one after another; meanwhile others may count, and take over what is only observed.
  const contents = SOURCES.map((name) => [...model.sources.get(name)!]);
  for (const name of SOURCES) model.sources.get(name)!.clear();
  // What was only observed, and needed no change when it was taken over, looks to the next process as it did before.
  model.observed.clear();
  for (const [key, s] of b.run.southbound.stored) if (s.origin === "southbound") model.observed.set(key, s.value);
  b.newStep();
  for (const [i, name] of SOURCES.entries()) {
    for (const [key, value] of contents[i]!) model.sources.get(name)!.set(key, value);
    model.settle();
    b.needWanted();
    await b.play(`> resync full${name === "default" ? "" : ` source=${name}`}`, contents[i] ?? []);
  }
}

function rows(values: ReadonlyMap<Key, unknown>): string[] {
  return [...values].map(([key, v]) => `${key} = ${String(v)}`).sort();
}
