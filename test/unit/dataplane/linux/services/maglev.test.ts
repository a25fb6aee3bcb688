import { describe, expect, it } from "vitest";
import { maglevTable } from "../../../../../src/dataplane/linux/services/maglev.ts";

const names = (count: number): string[] => Array.from({ length: count }, (_, i) => `10.0.0.${i} 80`);
const sharesOf = (table: readonly number[], count: number): number[] =>
  Array.from({ length: count }, (_, i) => table.filter((n) => n === i).length);

describe("a table of Maglev", () => {
  it.each([1, 3, 25, 26, 100])("gives each of %d endpoints as much as any other", (count) => {
    const table = maglevTable(names(count));
    const shares = sharesOf(table, count);
    expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(1);
    expect(shares.reduce((a, b) => a + b)).toBe(table.length);
  });

  it("is the same whenever it is made", () => {
    expect(maglevTable(names(5))).toEqual(maglevTable(names(5)));
  });

  it("leaves the others nearly all of their places when one goes", () => {
    const before = maglevTable(names(10));
    const after = maglevTable(names(9));
    const moved = before.filter((n, place) => n !== 9 && after[place] !== n).length;
    expect(moved / before.length).toBeLessThan(0.08);
  });
});
