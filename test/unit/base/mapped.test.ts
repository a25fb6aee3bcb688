import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Mapped } from "../../../src/base/memo/mapped.ts";

const element = (n: number) => ({ n });

describe("what is made of lists", () => {
  it("is the same list when nothing has changed", () => {
    const mapped = new Mapped<{ n: number }, string>();
    const elements = [1, 2, 3].map(element);
    const first = mapped.of(elements, ({ n }) => `${n}`);
    expect(first).toEqual(["1", "2", "3"]);
    expect(mapped.of([...elements], (_, former) => former ?? "new")).toBe(first);
  });

  it("is made anew of what was inserted, and not of what was beside it when one was removed or replaced", () => {
    const mapped = new Mapped<{ n: number }, { of: number }>();
    const [a, b, c, d] = [element(1), element(2), element(3), element(4)] as const;
    const made: number[] = [];
    const of = (...elements: { n: number }[]) => {
      made.length = 0;
      mapped.of(elements, ({ n }, former) => former ?? (made.push(n), { of: n }));
      return [...made];
    };
    expect(of(a, b, c)).toEqual([1, 2, 3]);
    expect(of(a, d, b, c)).toEqual([4]);
    expect(of(a, b, c)).toEqual([]);
    expect(of(a, d, c)).toEqual([4]);
    expect(of(c)).toEqual([]);
    expect(of(a, b, c)).toEqual([1, 2]);
    expect(of(d, c)).toEqual([4]);
  });

  it("is what each element was made to, whatever the lists were before", () => {
    const some = [0, 1, 2, 3, 4, 5].map(element);
    const lists = fc.array(fc.array(fc.nat(5), { maxLength: 8 }), { maxLength: 6 });
    fc.assert(
      fc.property(lists, (all) => {
        const mapped = new Mapped<{ n: number }, number>();
        for (const list of all) {
          const elements = list.map((i) => some[i]!);
          expect(mapped.of(elements, ({ n }, former) => former ?? n)).toEqual(list);
        }
      }),
    );
  });
});
