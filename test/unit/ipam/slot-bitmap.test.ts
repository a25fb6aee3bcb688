import * as fc from "fast-check";
import { expect, it } from "vitest";
import { SlotBitmap } from "../../../src/ipam/slot-bitmap.ts";

it.each([1, 2, 31, 32, 33, 64, 1023, 1024, 1025, 33_000])(
  "finds the only clear slot among %i, and none when there is none",
  (size) => {
    const bitmap = new SlotBitmap(size);
    for (let slot = 0; slot < size; slot++) bitmap.set(slot);
    expect(bitmap.nextClear(0)).toBe(-1);
    for (const slot of [0, size >> 1, size - 1]) {
      bitmap.clear(slot);
      expect(bitmap.nextClear(0)).toBe(slot);
      expect(bitmap.nextClear(slot)).toBe(slot);
      expect(bitmap.nextClear(slot + 1)).toBe(-1);
      bitmap.set(slot);
    }
  },
);

it("finds what a scan finds, after any sequence of changes", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 2100 }),
      fc.array(fc.tuple(fc.boolean(), fc.nat(2100), fc.nat(2100)), { maxLength: 60 }),
      (size, changes) => {
        const bitmap = new SlotBitmap(size);
        const model = Array.from({ length: size }, () => false);
        for (const [busy, from, length] of changes) {
          for (let slot = from % size; slot < Math.min(size, (from % size) + length); slot++) {
            if (busy) bitmap.set(slot);
            else bitmap.clear(slot);
            model[slot] = busy;
          }
          const start = (from * 7) % (size + 1);
          expect(bitmap.nextClear(start)).toBe(model.indexOf(false, start));
          expect(bitmap.has(from % size)).toBe(model[from % size]);
        }
      },
    ),
    { numRuns: 50 },
  );
});
