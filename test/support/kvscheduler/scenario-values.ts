import type { Dependency, Key, KeyValue } from "../../../src/kvscheduler/api/descriptor.ts";
import { FAULTS, type Fault, type MockValue } from "./mock-value.ts";

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export type Change = readonly [Key, MockValue | undefined];

/** The lines below `> txn` or `> notify`. */
export function parseChanges(body: readonly string[]): Change[] {
  const changes: Change[] = [];
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

/** The other way round. */
export function printChanges(changes: readonly Change[], indent = "  "): string[] {
  const lines: string[] = [];
  for (const [key, value] of changes) {
    if (value === undefined) {
      lines.push(`${indent}${key} -`);
      continue;
    }
    lines.push(`${indent}${key} = ${printValue(value)}`);
    const derived = (value.derived ?? []).map((d) => [d.key, d.value] as const);
    lines.push(...printChanges(derived, `${indent}  `));
  }
  return lines;
}

/** `10 invalid recreate needs if/1 ~vrf/1 or:a/|b/` */
export function parseValue(words: readonly string[]): Mutable<MockValue> {
  const [v = "", ...rest] = words;
  const value: Mutable<MockValue> = { v };
  const needs: Dependency[] = [];
  let inNeeds = false;
  for (const word of rest) {
    if (inNeeds) needs.push(parseNeed(word));
    else if (word === "needs") inNeeds = true;
    else if (word === "invalid") value.invalid = true;
    else if (word === "recreate") value.recreate = true;
    else throw new Error(`unknown word in a value: ${word}`);
  }
  if (needs.length > 0) value.deps = needs;
  return value;
}

/** One line; derived values are not in it. */
export function printValue(value: MockValue): string {
  const words = [String(value.v)];
  if (value.invalid === true) words.push("invalid");
  if (value.recreate === true) words.push("recreate");
  if (value.deps !== undefined && value.deps.length > 0) words.push("needs", ...value.deps.map((d) => d.label));
  return words.join(" ");
}

/**
 * `if/1`, `~if/1` (is carried by it), `or:if/|tap/` (any key that begins so), `or:if/*up` (any that begins and ends so).
 * The word is the label, too.
 */
export function parseNeed(word: string): Dependency {
  if (word.startsWith("~")) return { label: word, key: word.slice(1), carries: true };
  if (!word.startsWith("or:")) return { label: word, key: word };
  const [head = "", end] = word.slice(3).split("*");
  const prefixes = head.split("|");
  if (end === undefined) return { label: word, anyOf: { prefixes } };
  return { label: word, anyOf: { prefixes, selects: (key) => key.endsWith(end) } };
}

export function parseFault(word: string | undefined): Fault {
  const fault = FAULTS.find((f) => f === word);
  if (fault === undefined) throw new Error(`not a fault: ${word}; there are: ${FAULTS.join(" ")}`);
  return fault;
}
