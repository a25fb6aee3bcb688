import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { plainEqual } from "../../../src/kvscheduler/graph/equal.ts";
import { Node } from "../../../src/kvscheduler/graph/node.ts";
import { PrefixWatchers } from "../../../src/kvscheduler/graph/prefix-watchers.ts";
import { SortedNodes } from "../../../src/kvscheduler/graph/sorted-nodes.ts";

describe("plainEqual", () => {
  const table: [string, unknown, unknown, boolean][] = [
    ["numbers", 1, 1, true],
    ["a number and a string", 1, "1", false],
    ["NaN", Number.NaN, Number.NaN, true],
    ["null and undefined", null, undefined, false],
    ["bigints", 5n, 5n, true],
    ["an absent and an undefined field", { a: 1, b: undefined }, { a: 1 }, true],
    ["the order of fields", { a: 1, b: 2 }, { b: 2, a: 1 }, true],
    ["one field more", { a: 1 }, { a: 1, b: 2 }, false],
    ["nested", { a: [{ b: [1, 2] }] }, { a: [{ b: [1, 2] }] }, true],
    ["a longer list", [1, 2], [1, 2, 3], false],
    ["a list and an object", [1], { 0: 1 }, false],
    ["bytes", new Uint8Array([1, 2]), new Uint8Array([1, 2]), true],
    ["other bytes", new Uint8Array([1, 2]), new Uint8Array([1, 3]), false],
    ["bytes of another type", new Uint8Array([1]), new Int8Array([1]), false],
    ["maps", new Map([["a", { x: 1 }]]), new Map([["a", { x: 1 }]]), true],
    ["sets", new Set([1, 2]), new Set([2, 1]), true],
    ["other sets", new Set([1, 2]), new Set([1, 3]), false],
    ["dates", new Date(5), new Date(5), true],
  ];
  test.each(table)("%s", (_, a, b, equal) => {
    expect(plainEqual(a, b)).toBe(equal);
    expect(plainEqual(b, a)).toBe(equal);
  });

  test("a clone of anything is equal to it", () => {
    fc.assert(fc.property(fc.anything({ withNullPrototype: false }), (x) => plainEqual(x, structuredClone(x))));
  });
});

describe("SortedNodes", () => {
  test("finds by prefix what a scan finds, after any additions and removals", () => {
    const key = fc.stringMatching(/^[ab/]{1,5}$/);
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.boolean(), key), { maxLength: 60 }), key, (changes, prefix) => {
        const sorted = new SortedNodes();
        const plain = new Map<string, Node>();
        for (const [add, k] of changes) {
          const node = plain.get(k) ?? new Node(k, undefined);
          if (add) sorted.add(node);
          else sorted.delete(node);
          if (add) plain.set(k, node);
          else plain.delete(k);
        }
        const found: string[] = [];
        sorted.some(prefix, (n) => (found.push(n.key), false));
        expect(found).toEqual([...plain.keys()].filter((k) => k.startsWith(prefix)).sort());
      }),
    );
  });

  test("keeps thousands in order across its chunks", () => {
    const sorted = new SortedNodes();
    const keys = Array.from({ length: 5000 }, (_, i) => `k/${String((i * 7919) % 5000).padStart(4, "0")}`);
    const nodes = keys.map((k) => new Node(k, undefined));
    for (const n of nodes) sorted.add(n);
    for (const n of nodes) if (n.key.endsWith("7")) sorted.delete(n);
    const found: string[] = [];
    sorted.some("k/", (n) => (found.push(n.key), false));
    expect(found).toEqual(keys.filter((k) => !k.endsWith("7")).sort());
  });
});

describe("PrefixWatchers", () => {
  test("visits the watchers of every prefix of a key, and no others", () => {
    const watchers = new PrefixWatchers();
    const [a, b, c] = ["a", "b", "c"].map((k) => new Node(k, undefined)) as [Node, Node, Node];
    watchers.add("if/", a);
    watchers.add("if/tap", b);
    watchers.add("rt/", c);
    const visited = (key: string): string[] => {
      const found: string[] = [];
      watchers.forEach(key, (n) => found.push(n.key));
      return found.sort();
    };
    expect(visited("if/tap1")).toEqual(["a", "b"]);
    expect(visited("if/tap")).toEqual(["a", "b"]);
    expect(visited("if/1")).toEqual(["a"]);
    expect(visited("i")).toEqual([]);
    watchers.delete("if/", a);
    expect(visited("if/tap1")).toEqual(["b"]);
    watchers.delete("if/tap", b);
    watchers.delete("rt/", c);
    expect(watchers.size).toBe(0);
  });
});
