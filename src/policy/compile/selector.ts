import type { LabelSelector, Labels } from "../../models/k8s/selector.ts";
import type { ProblemSink } from "./problems.ts";

/** One requirement of a selector. */
type Requirement =
  | { readonly op: "exists" | "missing"; readonly key: string }
  | { readonly op: "in" | "not-in"; readonly key: string; readonly values: ReadonlySet<string> };

/** A checked selector. Two that require the same have the same text, whatever the order in which it was written. */
export interface Selector {
  /** Canonical; "" selects everything. */
  readonly text: string;
  readonly requirements: readonly Requirement[];
  /** No labels satisfy it: `a in (x), a notin (x)`. */
  readonly contradictory: boolean;
  /**
   * Labels as {@link labelPair} of which a match must have one; undefined if there is no such requirement. What indexes
   * file the selector under.
   */
  readonly anchors: readonly string[] | undefined;
}

/** One label as a key of indexes. Labels contain no NUL. */
export const labelPair = (key: string, value: string): string => `${key}\0${value}`;

export const EVERYTHING: Selector = make([]);

export function matches(selector: Selector, labels: Labels): boolean {
  for (const r of selector.requirements) {
    const value = Object.hasOwn(labels, r.key) ? labels[r.key] : undefined;
    switch (r.op) {
      case "in":
        if (value === undefined || !r.values.has(value)) return false;
        break;
      case "not-in":
        // Without the label it matches too (apimachinery: labels.Requirement.Matches).
        if (value !== undefined && r.values.has(value)) return false;
        break;
      case "exists":
        if (value === undefined) return false;
        break;
      case "missing":
        if (value !== undefined) return false;
        break;
    }
  }
  return true;
}

// Qualified names and label values: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/
const NAME = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;
const PREFIX = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;

function isLabelKey(key: string): boolean {
  const slash = key.lastIndexOf("/");
  return NAME.test(key.slice(slash + 1)) && (slash < 0 || PREFIX.test(key.slice(0, slash)));
}

const isLabelValue = (value: string): boolean => value === "" || NAME.test(value);

/** Undefined if the selector is invalid; says why to `sink`. */
export function compileSelector(selector: LabelSelector, at: string, sink: ProblemSink): Selector | undefined {
  let ok = sink.unknownMembers(selector, at);
  const bad = (place: string, message: string): void => {
    ok = false;
    sink.bad(place, message);
  };
  const requirements: Requirement[] = [];
  for (const [key, value] of Object.entries(selector.matchLabels ?? {})) {
    const place = `${at}.matchLabels`;
    if (!isLabelKey(key)) bad(place, `${JSON.stringify(key)} can't be a label's key`);
    if (!isLabelValue(value)) bad(place, `${JSON.stringify(value)} can't be a label's value`);
    requirements.push({ op: "in", key, values: new Set([value]) });
  }
  for (const [i, { key, operator, values = [], unknown }] of (selector.matchExpressions ?? []).entries()) {
    const place = `${at}.matchExpressions[${i}]`;
    if (!sink.unknownMembers({ unknown }, place)) ok = false;
    if (!isLabelKey(key)) bad(`${place}.key`, `${JSON.stringify(key)} can't be a label's key`);
    switch (operator) {
      case "In":
      case "NotIn": {
        if (values.length === 0) bad(`${place}.values`, `operator ${operator} needs values`);
        const wrong = values.find((v) => !isLabelValue(v));
        if (wrong !== undefined) bad(`${place}.values`, `${JSON.stringify(wrong)} can't be a label's value`);
        requirements.push({ op: operator === "In" ? "in" : "not-in", key, values: new Set(values) });
        break;
      }
      case "Exists":
      case "DoesNotExist":
        if (values.length > 0) bad(`${place}.values`, `operator ${operator} takes no values`);
        requirements.push({ op: operator === "Exists" ? "exists" : "missing", key });
        break;
      default:
        bad(`${place}.operator`, `${JSON.stringify(operator)} is not In, NotIn, Exists or DoesNotExist`);
    }
  }
  if (!ok) return undefined;
  const made = make(requirements);
  if (made.contradictory) sink.note(at, "the requirements contradict each other: nothing can match");
  return made;
}

function make(requirements: readonly Requirement[]): Selector {
  const byText = new Map(requirements.map((r) => [requirementText(r), r]));
  const texts = [...byText.keys()].sort();
  const list = texts.flatMap((t) => byText.get(t) ?? []);
  return {
    text: texts.join(","),
    requirements: list,
    contradictory: isContradictory(list),
    anchors: anchorsOf(list),
  };
}

// JSON strings, so that no key or value can look like the syntax around it.
function requirementText(r: Requirement): string {
  const key = JSON.stringify(r.key);
  if ("values" in r) return `${key} ${r.op} ${JSON.stringify([...r.values].sort())}`;
  return r.op === "exists" ? key : `!${key}`;
}

/** The fewest labels of which one is needed. */
function anchorsOf(list: readonly Requirement[]): readonly string[] | undefined {
  let best: readonly string[] | undefined;
  for (const r of list) {
    if (r.op !== "in" || (best && best.length <= r.values.size)) continue;
    best = [...r.values].map((v) => labelPair(r.key, v));
  }
  return best;
}

function isContradictory(list: readonly Requirement[]): boolean {
  for (const key of new Set(list.map((r) => r.key))) {
    const own = list.filter((r) => r.key === key);
    let allowed: Set<string> | undefined; // undefined: any value
    for (const r of own) {
      if (r.op === "in") allowed = allowed ? allowed.intersection(r.values) : new Set(r.values);
    }
    for (const r of own) {
      if (r.op === "not-in" && allowed) allowed = allowed.difference(r.values);
    }
    if (allowed?.size === 0) return true;
    const needed = allowed !== undefined || own.some((r) => r.op === "exists");
    if (needed && own.some((r) => r.op === "missing")) return true;
  }
  return false;
}
