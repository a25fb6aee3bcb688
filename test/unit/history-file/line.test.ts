import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { systemClock } from "../../../src/base/clock/clock.ts";
import { encodeTxn } from "../../../src/kvscheduler/history-file/encode.ts";
import { decodeLine, encodeLine, gapLine, lastEntry, linesOf } from "../../../src/kvscheduler/history-file/line.ts";
import { storable } from "../../support/history-file/txn.ts";

const body = (line: Buffer): Buffer => line.subarray(0, -1);

describe("a line", () => {
  // $ printf '{"gap":{"first":1,"last":2,"count":2}}' | gzip -c | tail -c8 | od -An -tx4 -N4
  test("is the CRC-32 of the JSON, a space, the JSON and a line feed", () => {
    expect(gapLine({ first: 1, last: 2, count: 2 }).toString()).toBe(
      '3650582f {"gap":{"first":1,"last":2,"count":2}}\n',
    );
  });

  test("carries any text", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const txn = { seq: 1, endedAt: 2, planned: [], executed: [], source: text.toWellFormed() };
        expect(decodeLine(body(encodeLine(JSON.stringify(txn))))).toEqual({ txn });
      }),
    );
  });

  test("that is cut off anywhere, or has any byte changed, is not read", async () => {
    const line = body(await encodeTxn(storable(7, 1000), 10_000, systemClock));
    for (let i = 0; i < line.length; i++) {
      expect(decodeLine(line.subarray(0, i))).toBeUndefined();
      const changed = Buffer.from(line);
      changed[i]! ^= 0x04;
      expect(decodeLine(changed)).toBeUndefined();
    }
    expect(decodeLine(line)?.txn?.seq).toBe(7);
  });

  const strange: [string, unknown][] = [
    ["null", null],
    ["a number", 5],
    ["a record without operations", { seq: 1, endedAt: 1 }],
    ["a gap without numbers", { gap: {} }],
  ];
  test.each(strange)("that holds %s is not read", (_, value) => {
    expect(decodeLine(body(encodeLine(JSON.stringify(value))))).toBeUndefined();
  });
});

describe("a segment", () => {
  test("ends with its last whole line, wherever it was torn", async () => {
    const lines = await Promise.all([1, 2].map((seq) => encodeTxn(storable(seq, seq), 10_000, systemClock)));
    const content = Buffer.concat(lines);
    const first = lines[0]!.length;
    for (let length = 0; length <= content.length; length++) {
      const found = lastEntry(content.subarray(0, length));
      if (length < first) expect(found).toBeUndefined();
      else if (length < content.length) expect(found).toMatchObject({ entry: { txn: { seq: 1 } }, end: first });
      else expect(found).toMatchObject({ entry: { txn: { seq: 2 } }, end: content.length });
    }
    expect([...linesOf(content.subarray(0, -1))]).toHaveLength(1);
  });

  test("that a power failure has filled up with zeros ends before them", async () => {
    const line = await encodeTxn(storable(3, 3), 10_000, systemClock);
    expect(lastEntry(Buffer.concat([line, Buffer.alloc(500)]))?.end).toBe(line.length);
    expect(lastEntry(Buffer.concat([line, Buffer.alloc(500), Buffer.from("\n")]))?.end).toBe(line.length);
  });
});

describe("a transaction that is too long", () => {
  test("keeps the first operations of both lists and counts the others", async () => {
    const line = await encodeTxn(storable(1, 1, 1000), 20_000, systemClock);
    expect(line.length).toBeLessThanOrEqual(20_000);
    expect(line.length).toBeGreaterThan(19_000);
    const { txn } = decodeLine(body(line))!;
    expect(txn!.planned).toHaveLength(txn!.executed.length);
    expect(txn!.planned.length + txn!.omitted!).toBe(1000);
    expect(txn!.planned[0]!.key).toBe("k/1/0");
  });

  test("does not hold up the event loop while its text is made", async () => {
    const txn = storable(1, 1, 60_000, "x".repeat(400));
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    await encodeTxn(txn, Number.POSITIVE_INFINITY, systemClock);
    clearInterval(timer);
    expect(turns).toBeGreaterThan(2);
  });
});
