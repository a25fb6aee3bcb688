import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { seconds } from "../../../src/base/clock/clock.ts";
import { runCli } from "../../../src/cli/program.ts";
import { HttpServer } from "../../../src/infra/http/http-server.ts";
import type { RecordedTxn } from "../../../src/kvscheduler/api/record.ts";
import { Rig } from "./rig.ts";

let rig: Rig;
let server: HttpServer;
let dir: string;
let socket: string;
const errors: string[] = [];

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "hd-cli-"));
  socket = join(dir, "rest.sock");
  errors.length = 0;
  rig = new Rig();
  server = await HttpServer.open({
    listen: { socket },
    routes: rig.routes,
    onError: (e, what) => errors.push(`${what}: ${e.message}`),
  });
  await rig.apply({ "link/a": { n: 1 }, "route/1": { needs: "link/a" } }, { description: "first" });
  rig.clock.advance(seconds(10));
  await rig.apply({ "route/2": { needs: "link/b" }, "link/x": { fail: true } });
});
afterEach(async () => {
  await server.close();
  await rig.scheduler.close();
  rmSync(dir, { recursive: true });
});

/** Runs `heddlectl scheduler …` against the rig. */
async function run(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  let out = "";
  let err = "";
  const outSpy = vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    out += String(text);
    return true;
  });
  const errSpy = vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    err += String(text);
    return true;
  });
  try {
    return { code: await runCli(["scheduler", ...argv, "--agent", socket]), out, err };
  } finally {
    outSpy.mockRestore();
    errSpy.mockRestore();
  }
}

describe("heddlectl scheduler", () => {
  it("history: one line a transaction, the newest last", async () => {
    const { code, out } = await run("history");
    expect(code).toBe(0);
    const [heading, ...lines] = out.trimEnd().split("\n");
    expect(heading).toMatch(/^SEQ +ENDED +KIND +SOURCE +TOOK +OPERATIONS +FAILED +DESCRIPTION$/);
    expect(lines[0]).toMatch(/^1 .* northbound +default .* 2 create +- +first$/);
    expect(lines[1]).toMatch(/^2 .* 1 create, 1 not sent +1$|^2 .* 1 not sent, 1 create +1$/);
  });

  it("history --seq: that one in full", async () => {
    expect((await run("history", "--seq", "1")).out).toContain("executed as planned");
    expect((await run("history", "--seq", "1", "-o", "json")).out).toMatch(/^\[\n {2}\{\n {4}"seq": 1,/);
  });

  it("history --failed: only those in which something did", async () => {
    const { out } = await run("history", "--failed", "-o", "json");
    expect((JSON.parse(out) as RecordedTxn[]).map((t) => t.seq)).toEqual([2]);
  });

  it("timeline", async () => {
    const { out } = await run("timeline", "link/a");
    expect(out).toMatch(/^1 .* create +NONEXISTENT -> CONFIGURED .*\{"n":1\}$/m);
    expect(out).toContain("(complete since 2026-01-01T00:00:00.000Z)");
  });

  it("status, all and one and selected", async () => {
    expect((await run("status")).out).toMatch(/^route\/2 +PENDING +route .* waits for device: link\/b since /m);
    expect((await run("status", "link/x")).out).toMatch(/^link\/x +FAILED .* create: link\/x is refused$/m);
    expect((await run("status", "--in-state", "FAILED,PENDING", "-o", "json")).out).not.toContain("CONFIGURED");
  });

  it("values --differing", async () => {
    const { out } = await run("values", "--differing", "--prefix", "route/");
    expect(out).toMatch(/^route\/2 +PENDING +\{"needs":"link\/b"\} +-$/m);
    expect(out).not.toContain("route/1");
  });

  it.each(["northbound", "cached", "southbound"])("dump --view %s", async (view) => {
    const { code, out } = await run("dump", "--view", view, "--prefix", "link/a");
    expect([code, out]).toEqual([0, expect.stringMatching(/^link\/a .*\{"n":1\}$/m)]);
  });

  it("snapshot", async () => {
    const { out } = await run("snapshot", "5s");
    expect(out).toContain("route/1");
    expect(out).not.toContain("route/2");
  });

  it("stats, and counts of values", async () => {
    expect((await run("stats")).out).toMatch(/^northbound +1 ok, 1 failed|^northbound +1 failed, 1 ok/m);
    expect((await run("stats", "--by", "state")).out).toMatch(/^CONFIGURED +2\nFAILED +1\nPENDING +1\ntotal +4$/m);
    expect((await run("stats", "-o", "yaml")).out).toContain("lastSeq: 2");
  });

  it("graph writes a drawing, Graphviz's text, or data", async () => {
    const file = join(dir, "graph.svg");
    expect((await run("graph", "--txn", "1", "-o", file)).code).toBe(0);
    expect(readFileSync(file, "utf8")).toMatch(/^<svg [^]*highlighted: transaction 1[^]*<\/svg>\n$/);
    expect((await run("graph", "--format", "dot")).out).toMatch(/^digraph/);
    expect((await run("graph", "--format", "json", "--prefix", "link/")).out).toContain('"key":"link/a"');
    expect((await run("graph", "-o", join(dir, "none", "x.svg"))).err).toContain("cannot write");
  });

  it("resync repairs; its exit code says whether all went well", async () => {
    rig.southbound.delete("route/1");
    const { code, out, err } = await run("resync");
    expect(rig.southbound.has("route/1")).toBe(true);
    expect(out).toContain("downstream resync");
    expect([code, err]).toEqual([1, "heddlectl: 1 of the values cannot be brought about\n"]);
    await rig.apply({ "link/x": undefined });
    expect((await run("resync")).code).toBe(0);
  });

  it("plan reads YAML or JSON, and changes nothing", async () => {
    const file = join(dir, "plan.yaml");
    writeFileSync(file, "changes:\n  - [link/b, {n: 3}]\n  - [route/1, null]\n");
    const { code, out } = await run("plan", file);
    expect(out).toBe(
      [
        'delete  route/1  CONFIGURED -> NONEXISTENT  {"needs":"link/a"}',
        'create  link/b   NONEXISTENT -> CONFIGURED  {"n":3}',
        'create  route/2  PENDING -> CONFIGURED  {"needs":"link/b"}',
        "",
      ].join("\n"),
    );
    expect(code).toBe(0);
    expect(rig.southbound.has("link/b")).toBe(false);
    writeFileSync(file, '[["link/i", {"invalid": true}]]');
    const bad = await run("plan", file);
    expect([bad.code, bad.out]).toEqual([1, expect.stringContaining("link/i is invalid: n is bad")]);
  });

  it("report holds everything", async () => {
    const { out } = await run("report");
    expect(Object.keys(JSON.parse(out) as object)).toEqual([
      "stats",
      "history",
      "status",
      "northbound",
      "cached",
      "southbound",
      "graph",
    ]);
  });
});

describe("heddlectl scheduler, used wrongly", () => {
  it.each([
    ["an unknown state", ["status", "--in-state", "BROKEN"], 2, "state=BROKEN: is none of"],
    ["a key and a prefix", ["status", "a", "--prefix", "b"], 2, "key and prefix exclude each other"],
    ["a moment that is none", ["history", "--since", "yesterday"], 2, "since=yesterday: is no time"],
    ["a transaction that is gone", ["history", "--seq", "77"], 1, "does not hold transaction 77"],
    ["a file that is not there", ["plan", "/nonexistent/x"], 2, "/nonexistent/x"],
    ["an unknown format", ["graph", "--format", "png"], 2, "Allowed choices are svg, dot, json"],
    ["a timeline of nothing", ["timeline"], 2, "missing required argument 'key'"],
  ])("%s", async (_, argv, code, message) => {
    const result = await run(...argv);
    expect([result.code, result.err]).toEqual([code, expect.stringContaining(message)]);
  });

  it.each([
    ["no agent", "/nonexistent/x.sock", 1, "no answer from the agent at /nonexistent/x.sock"],
    ["no address", "https://agent", 2, "HOST:PORT"],
  ])("%s", async (_, agent, code, message) => {
    socket = agent;
    const result = await run("stats");
    expect([result.code, result.err]).toEqual([code, expect.stringContaining(message)]);
  });
});

describe("a client that goes away in the middle of a long answer", () => {
  it("costs the server nothing", async () => {
    await rig.apply(Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`link/n${i}`, { n: i }])));
    await new Promise<void>((resolve, reject) => {
      const req = request({ socketPath: socket, path: "/scheduler/dump" }, (res) => {
        res.once("data", () => {
          res.destroy();
          resolve();
        });
      });
      req.on("error", reject);
      req.end();
    });
    expect((await run("stats", "--by", "descriptor")).out).toMatch(/^link +20002$/m);
    expect(errors).toEqual([]);
  });
});
