import type { Dependency, Key, KeyValue } from "../api/descriptor.ts";
import { InvalidValueError } from "../api/errors.ts";

/**
 * What descriptors return is checked before anything is made of it: they may be written without types, and a mistake
 * has to end with an error that names the key and the callback.
 */

/** @throws InvalidValueError if it is no list of dependencies, or two labels are equal. */
export function checkDependencies(key: Key, specs: readonly Dependency[]): void {
  if (!Array.isArray(specs)) throw new InvalidValueError(`${key}: dependencies did not return a list`);
  for (let i = 0; i < specs.length; i++) {
    const spec = specs[i]!;
    if (typeof spec !== "object" || spec === null || typeof spec.label !== "string" || !isDependency(spec)) {
      throw new InvalidValueError(`${key}: dependencies returned something that is no dependency, at ${i}`);
    }
    for (let j = 0; j < i; j++) {
      if (specs[j]!.label === spec.label) {
        throw new InvalidValueError(`${key}: two dependencies are labelled ${JSON.stringify(spec.label)}`);
      }
    }
  }
}

function isDependency(spec: Dependency): boolean {
  if ("key" in spec) return typeof spec.key === "string" && spec.key !== "";
  const { prefixes, selects } = spec.anyOf ?? {};
  if (!Array.isArray(prefixes) || !prefixes.every((p) => typeof p === "string")) return false;
  return selects === undefined || typeof selects === "function";
}

/** @throws InvalidValueError if it is no list of keys with values. A value that is absent is another matter. */
export function checkDerived(key: Key, list: readonly KeyValue[]): void {
  if (!Array.isArray(list)) throw new InvalidValueError(`${key}: derived did not return a list`);
  for (const kv of list) {
    if (typeof kv !== "object" || kv === null || typeof kv.key !== "string") {
      throw new InvalidValueError(`${key}: derived returned something that is no key with a value`);
    }
  }
}

/** @throws InvalidValueError if `validate` returned a promise: nobody waits for it. */
export function checkValidated(key: Key, result: unknown): void {
  if (typeof (result as PromiseLike<unknown> | undefined)?.then !== "function") return;
  (result as PromiseLike<unknown>).then(undefined, () => undefined);
  throw new InvalidValueError(`${key}: validate must answer at once, and returned a promise`);
}
