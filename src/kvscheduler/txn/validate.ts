import { toError } from "../../base/errors/errors.ts";
import type { Key } from "../api/descriptor.ts";
import { InvalidValueError } from "../api/errors.ts";
import type { Invalid } from "../api/scheduler.ts";
import { checkDependencies, checkDerived, checkValidated } from "../graph/check.ts";
import type { Registry } from "../graph/registry.ts";
import { invalidFields } from "./staging.ts";
import { due, type Steps } from "./turn.ts";
import type { Change } from "./works.ts";

/** Deeper derivations are not followed; a circle of them would have no end. */
const MAX_DEPTH = 16;

/** What descriptors say against values, without regard to what is configured or in place. */
export function* invalidOnes(registry: Registry, changes: Iterable<Change>): Steps<Invalid[]> {
  const found: Invalid[] = [];
  for (const [key, value] of changes) {
    if (due()) yield;
    if (typeof key !== "string" || key === "") {
      found.push(invalid(key, undefined, new InvalidValueError("a key must be a string that is not empty")));
    } else if (value === null) {
      found.push(invalid(key, undefined, new InvalidValueError(`${key}: null is not a value; undefined deletes`)));
    } else if (value !== undefined) {
      yield* judge(registry, key, value, [], found);
    }
  }
  return found;
}

function* judge(registry: Registry, key: Key, value: unknown, bases: readonly Key[], found: Invalid[]): Steps<void> {
  if (due()) yield;
  const api = registry.forKey(key)?.api;
  if (api === undefined) return;
  try {
    if (api.validate !== undefined) checkValidated(key, api.validate(key, value));
    const deps = api.dependencies?.(key, value);
    if (deps !== undefined) checkDependencies(key, deps);
    const derived = api.derived?.(key, value);
    if (derived === undefined) return;
    checkDerived(key, derived);
    if (bases.length >= MAX_DEPTH) return;
    for (const d of derived) {
      if (d.value != null && d.key !== key) yield* judge(registry, d.key, d.value, [...bases, key], found);
    }
  } catch (e) {
    found.push(invalid(key, bases[0], toError(e)));
  }
}

function invalid(key: Key, base: Key | undefined, error: Error): Invalid {
  return { key, ...(base !== undefined && { base }), error, fields: invalidFields(error) };
}
