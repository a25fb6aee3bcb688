import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DumpMemory } from "../../../../../src/dataplane/vpp/binapi/client/dump-memory.ts";

type Element = { readonly text: string };

/** What a dump tells whose elements have these texts; how many of them were decoded. */
function dump(memory: DumpMemory, what: string, texts: readonly string[]) {
  const recollection = memory.recall(what);
  let decoded = 0;
  for (const text of texts) {
    // Somewhere in what was received.
    const b = Buffer.from(`..${text}..`);
    const until = b.length - 2;
    if (recollection.same(b, 2, until)) continue;
    decoded++;
    recollection.other(b, 2, until, { text });
  }
  return { elements: recollection.end() as readonly Element[], decoded };
}

const texts = (from: number, until: number) => Array.from({ length: until - from }, (_, i) => `element ${from + i}`);
const all = texts(0, 40);

describe("what dumps were answered with", () => {
  it("is the very same list when nothing has changed", () => {
    const memory = new DumpMemory();
    const first = dump(memory, "a", all);
    expect(first.decoded).toBe(40);
    expect(first.elements.map(({ text }) => text)).toEqual(all);
    const second = dump(memory, "a", all);
    expect(second.decoded).toBe(0);
    expect(second.elements).toBe(first.elements);
    expect(dump(memory, "b", all).decoded).toBe(40);
  });

  it("is decoded where it has changed alone", () => {
    const memory = new DumpMemory();
    dump(memory, "a", all);
    expect(dump(memory, "a", all.with(3, "another one")).decoded).toBe(1);
    expect(dump(memory, "a", all).decoded).toBe(1);
    expect(dump(memory, "a", all.toSpliced(7, 1)).decoded).toBe(0);
    expect(dump(memory, "a", all.toSpliced(7, 1, "in between", all[7]!)).decoded).toBe(2);
    expect(dump(memory, "a", [...all, "at the end"]).decoded).toBe(1);
    expect(dump(memory, "a", ["at the beginning", ...all]).decoded).toBe(1);
    expect(dump(memory, "a", all.toSpliced(5, 9, "x", "y", "z")).decoded).toBe(3);
  });

  it("is not kept when it is short, or very long", () => {
    const memory = new DumpMemory();
    dump(memory, "a", texts(0, 15));
    expect(dump(memory, "a", texts(0, 15)).decoded).toBe(15);
    const long = Array.from({ length: 40 }, (_, i) => `${i}`.repeat(30_000));
    dump(memory, "a", long);
    expect(dump(memory, "a", long).decoded).toBe(40);
    expect(dump(memory, "a", all).decoded).toBe(40);
    expect(dump(memory, "a", texts(0, 15)).decoded).toBe(0);
    expect(dump(memory, "a", all).decoded).toBe(40);
  });

  it("of a dump that ended halfway is the last whole one", () => {
    const memory = new DumpMemory();
    dump(memory, "a", all);
    const ended = memory.recall("a");
    ended.other(Buffer.from("x"), 0, 1, { text: "x" });
    expect(dump(memory, "a", all).decoded).toBe(0);
  });

  it("is what VPP tells, whatever it told before", () => {
    const lists = fc.array(fc.array(fc.nat(60), { minLength: 10, maxLength: 60 }), { maxLength: 8 });
    fc.assert(
      fc.property(lists, (answers) => {
        const memory = new DumpMemory();
        for (const answer of answers) {
          const wanted = answer.map((n) => `${n % 7} ${"x".repeat(n)}`);
          expect(dump(memory, "a", wanted).elements.map(({ text }) => text)).toEqual(wanted);
        }
      }),
      { numRuns: 300 },
    );
  });
});
