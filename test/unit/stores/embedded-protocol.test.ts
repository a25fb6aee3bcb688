import { once } from "node:events";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { StoreError } from "../../../src/stores/api/store.ts";
import { EmbeddedClient } from "../../../src/stores/embedded/client.ts";
import { EmbeddedStore } from "../../../src/stores/embedded/embedded-store.ts";
import { encodeFrame, FrameDecoder, FrameError, MAX_FRAME } from "../../../src/stores/embedded/frames.ts";
import { parseRequest } from "../../../src/stores/embedded/protocol.ts";
import { type EmbeddedServer, serveEmbedded } from "../../../src/stores/embedded/server.ts";

describe("frames", () => {
  it("come out as they went in, however they are cut", () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue()), fc.array(fc.nat(30)), (messages, cuts) => {
        const all = Buffer.concat(messages.map(encodeFrame));
        const decoder = new FrameDecoder();
        const out: unknown[] = [];
        let at = 0;
        for (const cut of cuts) out.push(...decoder.push(all.subarray(at, (at += cut))));
        out.push(...decoder.push(all.subarray(at)));
        expect(JSON.stringify(out)).toBe(JSON.stringify(messages));
      }),
    );
  });

  const length = (n: number) => {
    const b = Buffer.alloc(4);
    b.writeUInt32BE(n);
    return b;
  };
  const garbage: [string, Buffer][] = [
    ["of no length", length(0)],
    ["above the bound", length(MAX_FRAME + 1)],
    ["of the greatest length", length(0xffffffff)],
    ["that is no JSON", Buffer.concat([length(3), Buffer.from("{x}")])],
    ["of another protocol", Buffer.from("GET / HTTP/1.1\r\n\r\n")],
  ];
  for (const [what, bytes] of garbage) {
    it(`refuses a frame ${what}`, () => {
      expect(() => [...new FrameDecoder().push(bytes)]).toThrow(FrameError);
    });
  }

  it("refuses to send what is above the bound", () => {
    expect(() => encodeFrame("x".repeat(MAX_FRAME))).toThrow(FrameError);
  });
});

describe("requests", () => {
  const valid: unknown[] = [
    { op: "get", id: 1, key: "a" },
    { op: "list", id: 1, prefix: "" },
    {
      op: "txn",
      id: 1,
      compare: [
        ["a", null],
        ["b", "7"],
      ],
      writes: [
        ["a", "eA=="],
        ["b", null],
        ["c", "eA==", "lease"],
      ],
    },
    { op: "grant", id: 1, ttl: 5 },
    { op: "renew", id: 1, lease: "x" },
    { op: "revoke", id: 1, lease: "x" },
    { op: "watch", id: 1, prefix: "a", resume: "x:1" },
    { op: "unwatch", id: 1, watch: 2 },
    { op: "ping", id: 1 },
  ];
  it("are taken when they are right", () => {
    for (const request of valid) expect(parseRequest(request)).toBe(request);
  });

  it("are refused when a field is missing or of another type", () => {
    for (const request of valid as Record<string, unknown>[]) {
      for (const field of Object.keys(request).filter((f) => f !== "resume")) {
        expect(() => parseRequest({ ...request, [field]: undefined }), `${String(request["op"])} ${field}`).toThrow(
          FrameError,
        );
        expect(() => parseRequest({ ...request, [field]: { a: 1 } }), `${String(request["op"])} ${field}`).toThrow(
          FrameError,
        );
      }
    }
    for (const odd of [null, 1, "x", [], {}, { op: "constructor", id: 1 }, { op: "get", id: 0, key: "a" }]) {
      expect(() => parseRequest(odd)).toThrow(FrameError);
    }
    for (const writes of [[["a"]], [["a", 1]], [["a", null, 1]], [["a", null, "l", "x"]], "a"]) {
      expect(() => parseRequest({ op: "txn", id: 1, compare: [], writes })).toThrow(FrameError);
    }
  });
});

describe("serveEmbedded", () => {
  let dir: string;
  let socket: string;
  let store: EmbeddedStore;
  let server: EmbeddedServer;
  const errors: Error[] = [];
  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), "hdembedded-"));
    socket = join(dir, "store.sock");
    store = await EmbeddedStore.open();
    errors.length = 0;
    server = await serveEmbedded(store, socket, { onError: (e) => errors.push(e) });
  });
  afterEach(async () => {
    await server.close();
    await store.close();
    rmSync(dir, { recursive: true });
  });

  it("listens for its owner only", () => {
    expect(statSync(socket).mode & 0o777).toBe(0o600);
  });

  it("closes a connection that sends garbage, says so, and serves the others", async () => {
    await using client = await EmbeddedClient.open({ socket });
    await client.put("a", Buffer.from("1"));
    const intruder = connect(socket);
    intruder.write("GET / HTTP/1.1\r\n\r\n");
    await once(intruder, "close");
    expect(errors).toMatchObject([{ code: "FRAME" }]);
    await client.ping();
    expect(server.connections).toBe(1);
  });

  it("survives any bytes", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(fc.uint8Array(), fc.jsonValue().map(encodeFrame)), { minLength: 1 }),
        async (pieces) => {
          const intruder = connect(socket);
          intruder.on("error", () => undefined);
          intruder.on("data", () => undefined);
          for (const piece of pieces) intruder.write(piece);
          intruder.end();
          await once(intruder, "close");
        },
      ),
      { numRuns: 50 },
    );
    await using client = await EmbeddedClient.open({ socket });
    await client.ping();
  });

  it("takes over a socket that nobody answers on, and leaves one that is served", async () => {
    await expect(serveEmbedded(store, socket)).rejects.toThrow(StoreError);
    const dead = join(dir, "dead.sock");
    writeFileSync(dead, "");
    await using second = await serveEmbedded(store, dead);
    await using client = await EmbeddedClient.open({ socket: second.socketPath });
    await client.ping();
  });

  it("merges for a client that does not read", async () => {
    await using client = await EmbeddedClient.open({ socket });
    await client.ping();
    const slow = connect(socket);
    slow.write(encodeFrame({ op: "watch", id: 1, prefix: "" }));
    await once(slow, "data");
    slow.pause();
    const value = Buffer.alloc(50_000, "x");
    // 1000 × 50 kB would fill any socket's buffers many times over.
    for (let i = 0; i < 1000; i++) await client.put("k", Buffer.concat([value, Buffer.from(String(i))]));
    const decoder = new FrameDecoder();
    let received = 0;
    let last = "";
    const done = new Promise<void>((resolve) => {
      slow.on("data", (chunk: Buffer) => {
        received += chunk.length;
        for (const m of decoder.push(chunk) as Iterable<{ kind: string; events?: [string, string, string][] }>) {
          if (m.kind === "events") last = m.events?.at(-1)?.[1] ?? "";
        }
        if (last === "1000") resolve();
      });
    });
    slow.resume();
    await done;
    expect(received).toBeLessThan(500 * value.length);
    slow.destroy();
  });
});
