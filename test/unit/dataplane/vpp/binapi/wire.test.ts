import { describe, expect, it } from "vitest";
import { millis } from "../../../../../src/base/clock/clock.ts";
import { ManualClock } from "../../../../../src/base/clock/manual-clock.ts";
import type { BoundRequest } from "../../../../../src/dataplane/vpp/binapi/client/bindings.ts";
import { Deadlines } from "../../../../../src/dataplane/vpp/binapi/client/deadlines.ts";
import { type Pending, PendingTable } from "../../../../../src/dataplane/vpp/binapi/client/pending.ts";
import { Fifo } from "../../../../../src/dataplane/vpp/binapi/client/queue.ts";
import { TraceRing } from "../../../../../src/dataplane/vpp/binapi/client/trace.ts";
import { VppProtocolError } from "../../../../../src/dataplane/vpp/binapi/errors.ts";
import {
  FRAME_HEADER,
  FrameReader,
  FrameWriter,
  MAX_MESSAGE,
} from "../../../../../src/dataplane/vpp/binapi/wire/frame.ts";
import { parseSockclntCreateReply, putSockclntCreate } from "../../../../../src/dataplane/vpp/binapi/wire/handshake.ts";

const frame = (message: Uint8Array): Buffer => {
  const header = Buffer.alloc(FRAME_HEADER);
  header.writeUInt32BE(message.length, 8);
  return Buffer.concat([header, message]);
};

/** Reads `bytes` in the given pieces; the messages as hex. */
function read(reader: FrameReader, bytes: Buffer, piece: number): string[] {
  const messages: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const space = reader.space();
    const n = Math.min(piece, space.length, bytes.length - at);
    space.set(bytes.subarray(at, at + n));
    reader.received(n);
    at += n;
    while (reader.next()) messages.push(reader.b.toString("hex", reader.at, reader.until));
  }
  return messages;
}

describe("frames", () => {
  const messages = [Buffer.from("0102"), Buffer.alloc(300, 7), Buffer.from("030405", "hex"), Buffer.alloc(5000, 9)];
  const bytes = Buffer.concat(messages.map(frame));
  const hex = messages.map((m) => m.toString("hex"));

  it.each([1, 2, 7, 15, 16, 17, 100, 4096, 1 << 20])("are found when they arrive in pieces of %i bytes", (piece) => {
    const reader = new FrameReader();
    expect(read(reader, bytes, piece)).toEqual(hex);
    expect(reader.partial).toBe(false);
  });

  it("use the same memory for ever, and more only for a longer message", () => {
    const reader = new FrameReader();
    const before = reader.b;
    for (let i = 0; i < 2000; i++) read(reader, bytes, 5000);
    expect(reader.b).toBe(before);
    const long = Buffer.alloc(1 << 20, 3);
    expect(read(reader, frame(long), 60_000)).toEqual([long.toString("hex")]);
    expect(reader.b.length).toBeLessThan(4 << 20);
  });

  it("of a length that was only announced take no memory", () => {
    const reader = new FrameReader();
    const header = Buffer.alloc(FRAME_HEADER);
    header.writeUInt32BE(MAX_MESSAGE, 8);
    expect(read(reader, header, 16)).toEqual([]);
    expect(reader.space().length).toBeLessThan(1 << 20);
    expect(reader.partial).toBe(true);
  });

  it.each([0, 1, MAX_MESSAGE + 1, 0xffff_ffff])("of %i bytes are refused", (length) => {
    const header = Buffer.alloc(FRAME_HEADER);
    header.writeUInt32BE(length, 8);
    expect(() => read(new FrameReader(), header, 16)).toThrow(VppProtocolError);
  });

  it("are written one after the other and sent together", () => {
    const sent: Buffer[] = [];
    const writer = new FrameWriter((b) => sent.push(Buffer.from(b)));
    for (const m of messages) {
      const o = writer.begin(m.length);
      m.copy(writer.b, o);
      writer.end(o + m.length);
    }
    writer.begin(10); // not ended: never there
    expect(sent).toEqual([]);
    writer.flush();
    writer.flush();
    expect(sent).toHaveLength(1);
    expect(sent[0]?.equals(bytes)).toBe(true);
  });

  it("fill chunk after chunk, also with a message larger than a chunk", () => {
    const sent: Buffer[] = [];
    const writer = new FrameWriter((b) => sent.push(Buffer.from(b)));
    const large = [1000, 200_000, 64_000, 64_000, 5].map((n, i) => Buffer.alloc(n, i + 1));
    for (const m of large) {
      const o = writer.begin(m.length);
      expect(writer.b.subarray(o, o + m.length).every((x) => x === 0)).toBe(true);
      m.copy(writer.b, o);
      writer.end(o + m.length);
    }
    writer.flush();
    expect(Buffer.concat(sent).equals(Buffer.concat(large.map(frame)))).toBe(true);
  });
});

describe("registration", () => {
  // sockclnt_create_reply of a VPP with two messages: number 16, client_index, context, response, index, count, table
  const entry = (id: number, name: string) => Buffer.concat([Buffer.from([0, id]), Buffer.from(name.padEnd(64, "\0"))]);
  const head = "0010 00000000 00000001 00000000 80000003 0002".replaceAll(" ", "");
  const reply = Buffer.concat([Buffer.from(head, "hex"), entry(23, "control_ping_51077d14"), entry(7, "a_00000000")]);

  it("tells VPP the client's name", () => {
    const b = Buffer.alloc(70);
    putSockclntCreate(b, 0, "x".repeat(100), 5);
    expect(b.toString("latin1")).toBe(`\0\x0f\0\0\0\x05${"x".repeat(63)}\0`);
  });

  it("learns VPP's numbers", () => {
    const { clientIndex, ids } = parseSockclntCreateReply(reply, 0, reply.length);
    expect(clientIndex).toBe(0x8000_0003);
    expect([...ids]).toEqual([
      ["control_ping_51077d14", 23],
      ["a_00000000", 7],
    ]);
  });

  it("is refused when cut off anywhere", () => {
    for (let end = 0; end < reply.length; end++) {
      expect(() => parseSockclntCreateReply(reply, 0, end)).toThrow(VppProtocolError);
    }
  });
});

describe("bookkeeping of requests", () => {
  const pending = (): Pending => ({
    request: {} as BoundRequest,
    value: {},
    element: undefined,
    deadline: 0,
    timeout: 0,
    resolve: () => {},
    reject: () => {},
    signal: undefined,
    context: 0,
    ended: false,
  });

  it("never gives two requests the same context while an answer to the first may still come", () => {
    const table = new PendingTable();
    const seen = new Set<number>();
    for (let i = 0; i < 1000; i++) {
      const p = pending();
      table.add(p);
      expect(seen.has(p.context) || p.context === 0).toBe(false);
      seen.add(p.context);
      expect(table.get(p.context)).toBe(p);
      table.delete(p);
      expect(table.get(p.context)).toBeUndefined();
      expect(table.wasUsed(p.context)).toBe(true);
    }
    expect(table.size).toBe(0);
    expect(table.wasUsed(0x7fff_0000)).toBe(false);
  });

  it("keeps first in, first out over many requests", () => {
    const fifo = new Fifo<number>();
    const out: number[] = [];
    for (let i = 0; i < 10_000; i++) {
      fifo.push(i);
      if (i % 3 !== 0) out.push(fifo.shift() ?? -1);
    }
    while (fifo.length > 0) out.push(fifo.shift() ?? -1);
    expect(out).toEqual(Array.from({ length: 10_000 }, (_, i) => i));
    expect(fifo.shift()).toBeUndefined();
  });

  it("uses one timer for all deadlines, set for the earliest", () => {
    const clock = new ManualClock();
    const due = new Set([30, 10, 20]);
    const fired: number[] = [];
    const deadlines = new Deadlines(clock, (now) => {
      for (const d of due) if (d <= now && due.delete(d)) fired.push(now);
      return Math.min(...due, Number.POSITIVE_INFINITY);
    });
    for (const d of due) deadlines.arm(d);
    expect(clock.pending).toBe(1);
    clock.advance(millis(25));
    expect(fired).toEqual([10, 20]);
    clock.advance(millis(25));
    expect(fired).toEqual([10, 20, 30]);
    expect(clock.pending).toBe(0);
  });

  it("remembers the last messages only, however long they are", () => {
    const ring = new TraceRing(undefined, 8, 1000);
    const b = Buffer.alloc(5000, 1);
    for (let i = 1; i <= 20; i++) ring.record("to VPP", `m${i}`, b, 0, i === 19 ? 900 : 100, i);
    const names = ring.entries().map((e) => e.message);
    expect(names.slice(-2)).toEqual(["m19", "m20"]);
    expect(names.length).toBeLessThanOrEqual(8);
    expect(ring.entries().at(-1)?.bytes).toEqual(new Uint8Array(100).fill(1));
  });
});
