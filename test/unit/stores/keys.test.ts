import fc from "fast-check";
import { expect, it } from "vitest";
import { compareKeys, lowerBound } from "../../../src/stores/common/keys.ts";
import { prefixRange } from "../../../src/stores/etcd/keys.ts";

const key = fc.string({
  unit: fc.constantFrom("a", "b", "/", "\0", "\x7f", "ü", "\ud7ff", "\ue000", "\uffff", "😀", "\u{10ffff}"),
});

it("orders keys as their UTF-8 bytes", () => {
  fc.assert(
    fc.property(key, key, (a, b) => {
      expect(Math.sign(compareKeys(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)));
    }),
  );
});

it("finds the first key that is not before another", () => {
  fc.assert(
    fc.property(fc.array(key), key, (keys, wanted) => {
      const sorted = [...keys].sort(compareKeys);
      const index = lowerBound(sorted, wanted);
      expect(sorted.slice(0, index).every((k) => compareKeys(k, wanted) < 0)).toBe(true);
      expect(sorted.slice(index).every((k) => compareKeys(k, wanted) >= 0)).toBe(true);
    }),
  );
});

it("makes etcd ranges that hold a prefix's keys and no others", () => {
  fc.assert(
    fc.property(key, key, (prefix, other) => {
      const { key: start, range_end: end } = prefixRange(prefix);
      const bytes = Buffer.from(other);
      const toTheEnd = end.length === 1 && end[0] === 0;
      // An empty key is none in etcd.
      const inside = other !== "" && Buffer.compare(bytes, start) >= 0 && (toTheEnd || Buffer.compare(bytes, end) < 0);
      expect(inside).toBe(other !== "" && other.startsWith(prefix));
    }),
  );
});
