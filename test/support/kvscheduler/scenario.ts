import type { Dependency, Key, KeyValue } from "../../../src/kvscheduler/api/descriptor.ts";
import type { Fault, MockDescriptorOptions, MockValue } from "./mock-southbound.ts";

/**
 * A scenario is a text: what happens, and what must come of it.
 *
 *     == a route waits for its interface            title; everything starts afresh
 *     descriptor if                                 owns the keys if/...
 *     descriptor rt no-update group=nft             flags: no-update no-retrieve retrieve-one group=G limit=N
 *     > txn                                         flags: source=S atomic retry=N dry
 *       rt/1 = 10 needs if/1                        a value, and the keys it needs (~if/1: carried by it; or:a/|b/: any)
 *       if/1 -                                      a deletion
 *       br/1 = x
 *         port/1 = y needs if/1                     indented: derived
 *     < ops                                         exactly these calls since the last look, in this order
 *       create if/1
 *     < table                                       exactly these values and states
 *       if/1 CONFIGURED
 *       rt/1 PENDING waits for if/1
 *     < southbound                                  exactly these values
 *     < plan                                        the last transaction's plan
 *     < errors                                      the last transaction's failed keys
 *
 * Other happenings: `> resync full|upstream|downstream [source=S]`, `> notify`, `> fail KEY before|after|hang [times]`,
 * `> release`, `> appear KEY = V`, `> vanish KEY`, `> unreadable NAME`, `> advance MS`, `> register NAME flags`.
 */
export interface Scenario {
  readonly title: string;
  readonly line: number;
  readonly steps: readonly ScenarioStep[];
}

export interface ScenarioStep {
  readonly line: number;
  /** `>`: happens, `<`: is expected, `descriptor`: is registered. */
  readonly sign: ">" | "<";
  readonly words: readonly string[];
  readonly body: readonly string[];
}

export function parseScenarios(text: string): Scenario[] {
  const scenarios: { title: string; line: number; steps: ScenarioStep[] }[] = [];
  let body: string[] | undefined;
  for (const [i, raw] of text.split("\n").entries()) {
    const line = raw.replace(/(^|\s)#.*$/, "").trimEnd();
    if (line === "") continue;
    if (line.startsWith("==")) {
      scenarios.push({ title: line.slice(2).trim(), line: i + 1, steps: [] });
      continue;
    }
    if (/^\s/.test(line)) {
      if (body === undefined) throw new Error(`line ${i + 1}: indented, but nothing to belong to`);
      body.push(line);
      continue;
    }
    const steps = scenarios.at(-1)?.steps;
    if (steps === undefined) throw new Error(`line ${i + 1}: before the first == title`);
    body = [];
    const [first = "", ...rest] = line.split(/\s+/);
    if (first === "descriptor") steps.push({ line: i + 1, sign: ">", words: ["register", ...rest], body });
    else if (first === ">" || first === "<") steps.push({ line: i + 1, sign: first, words: rest, body });
    else throw new Error(`line ${i + 1}: expected descriptor, > or <`);
  }
  return scenarios;
}

/** The lines below `> txn` or `> notify`. */
export function parseChanges(body: readonly string[]): [Key, MockValue | undefined][] {
  const changes: [Key, MockValue | undefined][] = [];
  const stack: { indent: number; value: Mutable<MockValue> }[] = [];
  for (const line of body) {
    const indent = line.length - line.trimStart().length;
    while (stack.length > 0 && stack.at(-1)!.indent >= indent) stack.pop();
    const [key = "", sign, ...rest] = line.trim().split(/\s+/);
    const parent = stack.at(-1)?.value;
    if (sign === "-") {
      changes.push([key, undefined]);
      continue;
    }
    if (sign !== "=") throw new Error(`expected KEY = VALUE or KEY -: ${line}`);
    const value = parseValue(rest);
    stack.push({ indent, value });
    if (parent === undefined) changes.push([key, value]);
    else ((parent.derived ??= []) as KeyValue<MockValue>[]).push({ key, value });
  }
  return changes;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** `10 needs if/1 ~vrf/1 or:a/|b/ invalid recreate` */
export function parseValue(words: readonly string[]): Mutable<MockValue> {
  const [v = "", ...rest] = words;
  const value: Mutable<MockValue> = { v };
  const needs: Dependency[] = [];
  let inNeeds = false;
  for (const word of rest) {
    if (word === "needs") inNeeds = true;
    else if (word === "invalid") value.invalid = true;
    else if (word === "recreate") value.recreate = true;
    else if (!inNeeds) throw new Error(`unknown word in a value: ${word}`);
    else if (word.startsWith("or:")) needs.push({ label: word, anyOf: { prefixes: word.slice(3).split("|") } });
    else if (word.startsWith("~")) needs.push({ label: word.slice(1), key: word.slice(1), carries: true });
    else needs.push({ label: word, key: word });
  }
  if (needs.length > 0) value.deps = needs;
  return value;
}

export interface Flags {
  readonly names: ReadonlySet<string>;
  readonly values: ReadonlyMap<string, string>;
}

export function parseFlags(words: readonly string[]): Flags {
  const names = new Set<string>();
  const values = new Map<string, string>();
  for (const word of words) {
    const at = word.indexOf("=");
    if (at < 0) names.add(word);
    else values.set(word.slice(0, at), word.slice(at + 1));
  }
  return { names, values };
}

export function descriptorOptions({ names, values }: Flags): Omit<MockDescriptorOptions, "group"> {
  const known = new Set(["no-update", "no-retrieve", "retrieve-one", "not-exclusive"]);
  for (const n of names) if (!known.has(n)) throw new Error(`unknown flag of a descriptor: ${n}`);
  const limit = values.get("limit");
  const after = values.get("after");
  return {
    update: !names.has("no-update"),
    retrieve: !names.has("no-retrieve"),
    retrieveOne: names.has("retrieve-one"),
    exclusive: !names.has("not-exclusive"),
    ...(limit !== undefined && { concurrency: Number(limit) }),
    ...(after !== undefined && { retrieveAfter: after.split(",") }),
  };
}

export function parseFault(word: string | undefined): Fault {
  if (word === "before" || word === "after" || word === "hang") return word;
  throw new Error(`not a fault: ${word}`);
}
