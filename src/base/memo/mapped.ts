/** So many elements in a row may be gone, or be others. */
const AHEAD = 32;

/**
 * What was made of a list's elements, for a list that is read again and again and mostly has the same objects in the same order: of
 * those it need not be made anew.
 */
export class Mapped<E, T> {
  #elements: readonly E[] = [];
  #made: readonly T[] = [];

  /**
   * `make` is given what it has made of this very element the last time, if it was there: that may still do. The same list as the
   * last time if it did for all.
   */
  of(elements: readonly E[], make: (element: E, former: T | undefined) => T): readonly T[] {
    const [before, formers] = [this.#elements, this.#made];
    let made: T[] | undefined;
    let next = 0;
    for (let i = 0; i < elements.length; i++) {
      const element = elements[i]!;
      const at = find(before, element, next);
      if (at >= 0) next = at + 1;
      const one = make(element, at < 0 ? undefined : formers[at]);
      if (!made && (at !== i || one !== formers[i])) made = formers.slice(0, i);
      made?.push(one);
    }
    this.#elements = elements;
    this.#made = made ?? (elements.length === formers.length ? formers : formers.slice(0, elements.length));
    return this.#made;
  }
}

function find<E>(all: readonly E[], element: E, from: number): number {
  for (let at = from; at < Math.min(from + 1 + AHEAD, all.length); at++) if (all[at] === element) return at;
  return -1;
}
