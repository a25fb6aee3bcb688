import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { millis, seconds } from "../../../src/base/clock/clock.ts";
import type { GraphView } from "../../../src/kvscheduler/api/graph-view.ts";
import type { RecordedTxn } from "../../../src/kvscheduler/api/record.ts";
import type { SchedulerStats } from "../../../src/kvscheduler/api/stats.ts";
import type { PlainStatus } from "../../../src/kvscheduler/introspect/plain.ts";
import { type ReadHistory, schedulerRoutes } from "../../../src/kvscheduler/introspect/routes.ts";
import { Rig } from "./rig.ts";

let rig: Rig;
beforeEach(async () => {
  rig = new Rig();
  await rig.apply({ "link/a": { n: 1 }, "route/1": { needs: "link/a" } }, { description: "first" });
  rig.clock.advance(seconds(10));
  await rig.apply({ "route/2": { needs: "link/b" }, "route/3": { any: "bond/" }, "link/x": { fail: true } });
  rig.clock.advance(seconds(10));
  await rig.apply({ "link/a": { n: 2 }, "odd/1": {}, "link/i": { invalid: true } });
});
afterEach(() => rig.scheduler.close());

const seqs = async (query: string): Promise<number[]> =>
  ((await rig.get(`/scheduler/history${query}`)).json as RecordedTxn[]).map((txn) => txn.seq);

describe("GET /scheduler/history", () => {
  it("lists transactions with what was planned and what was executed, oldest first", async () => {
    const { json } = await rig.get("/scheduler/history");
    const txns = json as RecordedTxn[];
    expect(txns.map((t) => t.seq)).toEqual([1, 2, 3]);
    expect(txns[0]).toMatchObject({ kind: "northbound", description: "first", mode: "best-effort" });
    expect(txns[0]?.planned.map((op) => `${op.op} ${op.key}`)).toEqual(["create link/a", "create route/1"]);
    expect(txns[1]?.executed.find((op) => op.key === "link/x")).toMatchObject({ error: "link/x is refused" });
  });

  it.each([
    ["?seq=2", [2]],
    ["?limit=2", [2, 3]],
    ["?kind=retry", []],
    ["?failed=true", [2]],
    ["?since=15s", [2, 3]],
    ["?until=15s", [1]],
    ["?since=15s&until=5s", [2]],
  ])("%s selects", async (query, expected) => {
    expect(await seqs(query)).toEqual(expected);
  });

  it("takes moments as RFC 3339 and as milliseconds", async () => {
    const at = rig.clock.wall() - 5000;
    expect(await seqs(`?since=${at}`)).toEqual([3]);
    expect(await seqs(`?since=${new Date(at).toISOString()}`)).toEqual([3]);
    expect(await seqs(`?since=${new Date(at).toISOString().replace("Z", "+00:00")}`)).toEqual([3]);
  });

  it("is text for people when that is asked for, by query or by Accept", async () => {
    const byQuery = await rig.get("/scheduler/history?seq=1&format=text");
    const byAccept = await rig.get("/scheduler/history?seq=1", { accept: "text/plain, */*;q=0.1" });
    expect(byQuery.text).toContain("#1 northbound from default\n  first\n");
    expect(byAccept).toEqual(byQuery);
  });

  it("writes a long transaction in full, a piece at a time", async () => {
    const keys = Array.from({ length: 1000 }, (_, i) => `link/n${String(i).padStart(4, "0")}`);
    await rig.apply(Object.fromEntries(keys.map((k) => [k, { n: 1 }])));
    const { json } = await rig.get("/scheduler/history?seq=4");
    expect((json as RecordedTxn[])[0]?.executed.map((op) => op.key)).toEqual(keys);
  });

  it("says so when it does not hold a transaction", async () => {
    const { status, json } = await rig.get("/scheduler/history?seq=99");
    expect([status, json]).toEqual([404, { error: "the history does not hold transaction 99 (any more)" }]);
  });

  it("reads what memory has let go from where it is kept", async () => {
    const old = { ...(rig.scheduler.history()[0] as RecordedTxn), seq: 0, planned: [], executed: [] };
    rig = new Rig(
      {},
      {
        readHistory: (_, memory) =>
          Promise.resolve({ txns: [old, ...memory], gaps: [{ first: 7, last: 9, count: 3 }], more: true }),
      },
    );
    await rig.apply({ "link/a": {} });
    expect(await seqs("")).toEqual([0, 1]);
    const { text } = await rig.get("/scheduler/history?format=text");
    expect(text).toContain("3 of the transactions 7 to 9 are lost");
    expect(text).toContain("there are older ones");
  });
});

describe("GET /scheduler/timeline", () => {
  it("shows every operation on a key, with its transaction", async () => {
    const { json } = await rig.get("/scheduler/timeline?key=link/a");
    expect(json).toMatchObject({
      key: "link/a",
      status: { state: "CONFIGURED" },
      entries: [
        { seq: 1, description: "first", op: { op: "create" } },
        { seq: 3, op: { op: "update", oldValue: '{"n":1}', value: '{"n":2}' } },
      ],
    });
  });

  it("ends where it is asked to", async () => {
    const { json } = await rig.get("/scheduler/timeline?key=link/a&until=5s");
    expect((json as { entries: { seq: number }[] }).entries.map((e) => e.seq)).toEqual([1]);
  });

  it("is one line an operation as text", async () => {
    const { text } = await rig.get("/scheduler/timeline?key=link/a&format=text");
    expect(text.trim().split("\n")).toHaveLength(3);
    expect(text).toMatch(/#3 {2}northbound from default {2}update {2}link\/a {2}CONFIGURED -> CONFIGURED/);
  });

  it("reaches back to what memory has let go", async () => {
    const [first] = rig.scheduler.history();
    const old = { ...(JSON.parse(JSON.stringify(first)) as RecordedTxn), seq: 1, startedAt: 5 };
    const store = { lastSeq: 1, add: () => undefined };
    const readHistory: ReadHistory = (_, memory) => Promise.resolve({ txns: [old, ...memory], gaps: [], more: false });
    const later = new Rig({ history: { store } }, { readHistory });
    await later.apply({ "link/a": { n: 2 } });
    const { json } = await later.get("/scheduler/timeline?key=link/a");
    expect(json).toMatchObject({ completeSince: 5, entries: [{ seq: 1 }, { seq: 2 }] });
    expect((await later.get("/scheduler/graph?format=dot&txn=1")).text).toContain("highlighted: transaction 1");
    await later.scheduler.close();
  });

  it("of an unknown key is empty, not an error", async () => {
    const { status, json } = await rig.get("/scheduler/timeline?key=link/none");
    expect([status, json]).toMatchObject([200, { status: { state: "NONEXISTENT" }, entries: [] }]);
  });
});

describe("GET /scheduler/status", () => {
  const keys = async (query: string) =>
    ((await rig.get(`/scheduler/status?${query}`)).json as PlainStatus[]).map((s) => s.key);

  it("says of a pending value what it waits for, and since when", async () => {
    const { json } = await rig.get("/scheduler/status?key=route/2");
    const since = rig.clock.wall() - 10_000;
    expect(json).toMatchObject({ state: "PENDING", unmet: [{ label: "device", wants: ["link/b"], since }] });
    const { text } = await rig.get("/scheduler/status?key=route/3&format=text");
    expect(text).toMatch(/^route\/3 {2}PENDING {2}\(route\) {2}waits for uplink: bond\/ since \d{4}-/);
  });

  it("says of a failed and of an invalid value why", async () => {
    expect((await rig.get("/scheduler/status?key=link/x")).json).toMatchObject({
      state: "FAILED",
      error: "link/x is refused",
    });
    expect((await rig.get("/scheduler/status?key=link/i")).json).toMatchObject({ state: "INVALID", fields: ["n"] });
  });

  it.each([
    ["", ["link/a", "link/i", "link/x", "odd/1", "route/1", "route/2", "route/3"]],
    ["prefix=route/", ["route/1", "route/2", "route/3"]],
    ["descriptor=link", ["link/a", "link/i", "link/x"]],
    ["state=PENDING,UNIMPLEMENTED", ["odd/1", "route/2", "route/3"]],
    ["prefix=route/&state=CONFIGURED", ["route/1"]],
  ])("selects by %s", async (query, expected) => {
    expect(await keys(query)).toEqual(expected);
  });
});

describe("GET /scheduler/dump", () => {
  it("shows what was asked for, what is believed, and what is there", async () => {
    rig.southbound.set("link/stray", { n: 7 });
    rig.southbound.set("link/a", { n: 8 });
    rig.southbound.delete("route/1");
    const view = async (name: string) => (await rig.get(`/scheduler/dump?view=${name}&prefix=link/a`)).json;
    expect(await view("northbound")).toEqual([{ key: "link/a", value: { n: 2 } }]);
    expect(await view("cached")).toEqual([{ key: "link/a", value: { n: 2 } }]);
    expect((await rig.get("/scheduler/dump?view=southbound")).json).toMatchObject({
      values: [
        { key: "link/a", value: { n: 8 }, differs: "value" },
        { key: "link/stray", value: { n: 7 }, differs: "unknown" },
      ],
      missing: ["route/1"],
    });
  });

  it("of one descriptor", async () => {
    const { json } = await rig.get("/scheduler/dump?descriptor=route");
    expect(json).toEqual([{ key: "route/1", value: { needs: "link/a" } }]);
  });

  it("shows values that JSON does not know", async () => {
    await rig.scheduler.transact({
      changes: [["link/odd", { big: 12345678901234567890n, bytes: new Uint8Array([1, 255]), set: new Set([1]) }]],
    });
    const { json } = await rig.get("/scheduler/dump?prefix=link/odd");
    expect(json).toEqual([{ key: "link/odd", value: { big: "12345678901234567890", bytes: "01ff", set: [1] } }]);
  });

  it("gives the event loop its turns in a long one", async () => {
    await rig.apply(Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`link/n${i}`, { n: i }])));
    let turns = 0;
    const timer = setInterval(() => turns++, 0);
    const { json } = await rig.get("/scheduler/dump");
    clearInterval(timer);
    expect(json).toHaveLength(20_002);
    expect(turns).toBeGreaterThan(5);
  });
});

describe("GET /scheduler/values", () => {
  it("shows each value as asked for and as in place", async () => {
    const { json } = await rig.get("/scheduler/values?differing=true&prefix=route/");
    expect(json).toEqual([
      { key: "route/2", state: "PENDING", descriptor: "route", same: false, northbound: { needs: "link/b" } },
      { key: "route/3", state: "PENDING", descriptor: "route", same: false, northbound: { any: "bond/" } },
    ]);
  });
});

describe("GET /scheduler/counts", () => {
  it.each([
    ["", { CONFIGURED: 2, FAILED: 1, INVALID: 1, PENDING: 2, UNIMPLEMENTED: 1 }],
    ["?by=descriptor", { "(none)": 1, link: 3, route: 3 }],
    ["?prefix=route/", { CONFIGURED: 1, PENDING: 2 }],
  ])("%s", async (query, counts) => {
    expect((await rig.get(`/scheduler/counts${query}`)).json).toMatchObject({ counts });
  });
});

describe("GET /scheduler/stats", () => {
  it("tells what was done, as data and as text", async () => {
    const stats = (await rig.get("/scheduler/stats")).json as SchedulerStats;
    expect(stats).toMatchObject({ lastSeq: 3, queue: { length: 0 }, history: { transactions: 3 } });
    expect(stats.calls.find((c) => c.descriptor === "link" && c.op === "create")?.outcomes).toMatchObject({
      ok: 1,
      failed: 1,
    });
    const { text } = await rig.get("/scheduler/stats?format=text");
    expect(text).toMatch(/^northbound {4}2 ok, 1 failed|^northbound {4}1 ok, 2 failed/m);
    expect(text).toMatch(/^link +create +1 ok, 1 failed/m);
  });
});

describe("GET /scheduler/graph", () => {
  const graph = async (query: string) =>
    (await rig.get(`/scheduler/graph${query}`)).json as GraphView & { txn?: unknown };

  it("is nodes and edges, both sorted", async () => {
    const { nodes, edges } = await graph("");
    expect(nodes.map((n) => n.key)).toEqual([...nodes.map((n) => n.key)].sort());
    expect(edges).toContainEqual({ from: "route/1", to: "link/a", kind: "key", label: "device", met: true });
    expect(edges).toContainEqual({ from: "route/2", to: "link/b", kind: "key", label: "device", met: false });
    expect(edges).toContainEqual({ from: "route/3", kind: "any-of", label: "uplink", met: false, prefixes: ["bond/"] });
  });

  it("can be a part of it", async () => {
    expect((await graph("?neighbours=link/a")).nodes.map((n) => n.key)).toEqual(["link/a", "route/1"]);
    expect((await graph("?txn=1&only=touched")).txn).toEqual({ seq: 1, touched: ["link/a", "route/1"] });
    expect((await graph("?limit=2")).omitted).toBe(6);
  });

  it("is drawn, and written for Graphviz", async () => {
    const svg = await rig.get("/scheduler/graph?txn=3", { accept: "image/svg+xml" });
    expect([svg.status, svg.type]).toEqual([200, "image/svg+xml"]);
    expect(svg.text).toMatch(/^<svg .*\n<title>8 values.*transaction 3/);
    const dot = await rig.get("/scheduler/graph?format=dot");
    expect(dot.text).toMatch(/^digraph scheduler \{\n/);
  });

  it("shows what a transaction removed, and nothing that it touched outside of what is asked for", async () => {
    await rig.apply({ "route/1": undefined, "link/q": {} });
    const shown = async (query: string) => {
      const { text } = await rig.get(`/scheduler/graph?format=dot&txn=4${query}`);
      return ["route/1", "link/q"].filter((key) => text.includes(`tooltip="${key}\\n`));
    };
    expect(await shown("")).toEqual(["route/1", "link/q"]);
    expect(await shown("&prefix=route/")).toEqual(["route/1"]);
    expect(await shown("&neighbours=link/q")).toEqual(["link/q"]);
    expect(await shown("&prefix=odd/")).toEqual([]);
  });

  it.each([
    ["?only=touched", 400, /wants txn=N/],
    ["?depth=2", 400, /depth wants neighbours=KEY/],
    ["?txn=1&only=touched&neighbours=link/a", 400, /exclude each other/],
    ["?format=svg&limit=5000", 400, /no more than 2000 are drawn/],
    ["?txn=77", 404, /does not hold transaction 77/],
  ])("%s is refused", async (query, status, error) => {
    const answer = await rig.get(`/scheduler/graph${query}`);
    expect([answer.status, answer.json]).toEqual([status, { error: expect.stringMatching(error) as unknown }]);
  });
});

describe("POST /scheduler/downstream-resync", () => {
  it("repairs what differs and answers when that is done", async () => {
    rig.southbound.delete("link/a");
    const { status, json } = await rig.post("/scheduler/downstream-resync");
    expect(status).toBe(200);
    expect(json).toMatchObject({ record: { resync: "downstream", description: "asked for by REST" } });
    expect(rig.southbound.get("link/a")).toEqual({ n: 2 });
  });

  it("repeats what fails if that is asked for", async () => {
    await rig.post("/scheduler/downstream-resync?retry=true&first=500");
    expect(rig.scheduler.status("link/x").state).toBe("RETRYING");
    rig.clock.advance(millis(1000));
    await rig.apply({}); // after the retry, which is queued before it
    expect(rig.scheduler.stats().retries.run).toBe(1);
  });

  it("does not repeat otherwise", async () => {
    await rig.post("/scheduler/downstream-resync");
    expect(rig.scheduler.status("link/x").state).toBe("FAILED");
  });
});

describe("POST /scheduler/plan", () => {
  it("tells what would be done, and does nothing", async () => {
    const before = (await rig.get("/scheduler/status")).text;
    const { json } = await rig.post("/scheduler/plan", {
      changes: [
        ["link/b", { n: 5 }],
        ["route/1", null],
      ],
    });
    const { record } = json as { record: RecordedTxn };
    expect(record.planned.map((op) => `${op.op} ${op.key} ${op.stateAfter}`)).toEqual([
      "delete route/1 NONEXISTENT",
      "create link/b CONFIGURED",
      "create route/2 CONFIGURED",
    ]);
    expect(rig.southbound.has("link/b")).toBe(false);
    expect((await rig.get("/scheduler/status")).text).toBe(before);
  });

  it("as text, with what would wait and what is invalid", async () => {
    const { text } = await rig.post("/scheduler/plan?format=text", {
      changes: [
        ["route/9", { needs: "link/z" }],
        ["link/j", { invalid: true }],
      ],
    });
    expect(text).toContain("route/9 would wait");
    expect(text).toContain("link/j is invalid: n is bad");
  });

  it("of a full resync: what is not in it goes", async () => {
    const { text } = await rig.post("/scheduler/plan?format=text", { changes: [["link/a", { n: 2 }]], resync: "full" });
    expect(text).toMatch(/^delete {2}route\/1 /m);
  });

  it.each([
    ["not JSON", "{changes", /^the body is not JSON/],
    ["no object", "[]", /is not an object with the fields changes, resync, mode, source/],
    ["an unknown field", { change: [] }, /no field "change"; allowed: changes, resync, mode, source/],
    ["no list", { changes: {} }, /changes is not a list of pairs/],
    ["no pair", { changes: [["a", 1], ["b"]] }, /changes\[1\] is not a pair/],
    ["no key", { changes: [[7, 1]] }, /changes\[0\]\[0\] is not a key/],
    [
      "a key twice",
      {
        changes: [
          ["a", 1],
          ["a", 2],
        ],
      },
      /changes\[1\]: a is there twice/,
    ],
    ["an unknown resync", { changes: [], resync: "half" }, /resync is none of full, upstream, downstream/],
    ["an unknown mode", { changes: [], mode: "hasty" }, /mode is none of best-effort, atomic/],
    ["a source that is no text", { changes: [], source: 1 }, /source is not a text/],
    ["downstream with changes", { changes: [["a", 1]], resync: "downstream" }, /downstream/],
  ])("refuses %s", async (_, body, error) => {
    const answer = await rig.post("/scheduler/plan", body);
    expect([answer.status, answer.json]).toEqual([400, { error: expect.stringMatching(error) as unknown }]);
    expect(rig.scheduler.stats().lastSeq).toBe(3);
  });

  it("refuses a body that is too large", async () => {
    const { status } = await rig.post("/scheduler/plan", { changes: [["a", "x".repeat(1024 * 1024)]] });
    expect(status).toBe(413);
  });

  it("refuses web pages", async () => {
    const { status, json } = await rig.post("/scheduler/plan", { changes: [] }, { origin: "https://example.com" });
    expect([status, json]).toMatchObject([403, { error: /Origin/ }]);
  });
});

describe("wrong queries", () => {
  it.each([
    ["/scheduler/status?keys=a", /no parameter "keys" here; allowed: key=KEY, prefix=KEY, .*format=json\|text/],
    ["/scheduler/status?key=a&key=b", /the parameter key is given twice/],
    ["/scheduler/status?key=", /^key=: is empty; KEY is wanted/],
    ["/scheduler/status?key=a&prefix=b", /key and prefix exclude each other/],
    ["/scheduler/status?state=BROKEN", /^state=BROKEN: is none of NONEXISTENT, MISSING/],
    ["/scheduler/status?format=xml", /^format=xml: is none of json, text/],
    ["/scheduler/history?limit=0", /^limit=0: is no whole number in 1\.\.100000/],
    ["/scheduler/history?limit=1e3", /^limit=1e3: is no whole number/],
    ["/scheduler/history?since=yesterday", /^since=yesterday: is no time: RFC 3339/],
    ["/scheduler/history?since=2026-13-77", /is no time/],
    ["/scheduler/timeline", /parameter key is missing/],
    ["/scheduler/snapshot", /parameter time is missing/],
    ["/scheduler/snapshot?time=10d", /nothing is known of before .*: the scheduler was started then/],
    ["/scheduler/dump?view=sideways", /is none of northbound, southbound, cached/],
    ["/scheduler/stats?verbose=1", /allowed: format=json\|text/],
    ["/scheduler?x=1", /allowed: none/],
    ["/scheduler/status?constructor=1", /no parameter "constructor"/],
  ])("%s", async (path, error) => {
    const answer = await rig.get(path);
    expect([answer.status, answer.json]).toEqual([400, { error: expect.stringMatching(error) as unknown }]);
  });
});

describe("the routes", () => {
  it("answer 503 before there is a scheduler, and after it has been closed", async () => {
    const none = schedulerRoutes({ scheduler: () => undefined });
    const { signal } = new AbortController();
    const request = { query: new URLSearchParams(), headers: {}, body: Buffer.of(), signal };
    expect((await none.get("GET /scheduler/status")!(request)).status).toBe(503);
    await rig.scheduler.close();
    expect((await rig.post("/scheduler/downstream-resync")).status).toBe(503);
  });

  it("are listed by the index, and all of them in the guide", async () => {
    const index = (await rig.get("/scheduler")).json as { method: string; path: string; params: object }[];
    expect(index.map(({ method, path }) => `${method} ${path}`).sort()).toEqual(
      [...rig.routes.keys()].filter((route) => route !== "GET /scheduler").sort(),
    );
    const guide = readFileSync(join(import.meta.dirname, "../../../docs/guide/scheduler-tools.md"), "utf8");
    for (const { method, path, params } of index) {
      const row = guide.split("\n").find((line) => line.includes(`\`${method} ${path}\``));
      expect(row, `${method} ${path} in the guide`).toBeDefined();
      for (const name of Object.keys(params)) expect(row, path).toContain(`\`${name}\``);
    }
  });
});
