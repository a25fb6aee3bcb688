import type { Change } from "../api.ts";
import { compareText } from "../names.ts";
import { type ProblemObject, problemObjectText, type ServiceProblem, type ServiceProblems } from "../problems.ts";

/** What is wrong with which object. */
export class ProblemTable {
  readonly #rows = new Map<string, ServiceProblems>();
  /** Since {@link takeChanges}. */
  readonly #before = new Map<string, ServiceProblems | undefined>();

  get size(): number {
    return this.#rows.size;
  }

  get(object: ProblemObject): readonly ServiceProblem[] {
    return this.#rows.get(problemObjectText(object))?.problems ?? [];
  }

  /** All that is wrong with it. */
  put(object: ProblemObject, problems: readonly ServiceProblem[]): void {
    if (problems.length === 0 && this.#rows.size === 0) return;
    const key = problemObjectText(object);
    if (problems.length === 0 && !this.#rows.has(key)) return;
    if (!this.#before.has(key)) this.#before.set(key, this.#rows.get(key));
    const { kind, namespace, name } = object;
    if (problems.length === 0) this.#rows.delete(key);
    else this.#rows.set(key, { object: { kind, namespace, name }, problems: problems.toSorted(byPlace) });
  }

  /** Sorted by object. */
  takeChanges(): Change<ServiceProblems>[] {
    const changes = [...this.#before]
      .sort(([a], [b]) => compareText(a, b))
      .map(([key, old]) => ({ old, new: this.#rows.get(key) }))
      .filter((c) => JSON.stringify(c.old) !== JSON.stringify(c.new));
    this.#before.clear();
    return changes;
  }

  /** Sorted by object. */
  rows(): ServiceProblems[] {
    return [...this.#rows].sort(([a], [b]) => compareText(a, b)).map(([, row]) => row);
  }
}

const byPlace = (a: ServiceProblem, b: ServiceProblem): number =>
  compareText(a.at, b.at) || compareText(a.message, b.message);
