import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { GraphView } from "../../../src/kvscheduler/api/graph-view.ts";
import type { RecordedTxn } from "../../../src/kvscheduler/api/record.ts";
import type { SouthboundDump } from "../../../src/kvscheduler/api/southbound.ts";
import type { SchedulerStats } from "../../../src/kvscheduler/api/stats.ts";
import type { PlainStatus } from "../../../src/kvscheduler/introspect/plain.ts";
import { AgentNode, type TestPod, whyNoNetns } from "../../support/agent-node.ts";

const HEDDLECTL = join(import.meta.dirname, "../../../cmd/heddlectl/main.ts");

const why = whyNoNetns();

describe.skipIf(why !== undefined)(`the scheduler of a running agent${why ? ` (skipped: ${why})` : ""}`, () => {
  let node: AgentNode;
  let pods: TestPod[];
  beforeAll(async () => {
    node = await AgentNode.start();
    pods = [await node.wiredPod(), await node.wiredPod(), await node.wiredPod()];
  });
  afterAll(() => node?.close());

  const get = async <T>(path: string): Promise<T> => {
    const { status, body } = await node.get(`/scheduler/${path}`);
    expect([path, status]).toEqual([path, 200]);
    return JSON.parse(body) as T;
  };

  /** `heddlectl scheduler …` beside the agent, in its namespace. */
  function heddlectl(words: readonly string[], input = "") {
    const argv = [`--net=/run/netns/${node.netns}`, "--", process.execPath, HEDDLECTL, "scheduler", ...words];
    const { status, stdout, stderr } = spawnSync("nsenter", argv, { encoding: "utf8", timeout: 30_000, input });
    return { status, stdout, stderr };
  }

  const hostIf = async (i: number): Promise<string> => {
    const found = (await node.status()).pods.find((pod) => pod.containerId === pods[i]?.containerId);
    return found?.hostIf ?? "";
  };

  it("tells for each ADD what was planned and what was done", async () => {
    const txns = await get<RecordedTxn[]>("history");
    const adds = txns.filter((txn) => txn.description?.startsWith("CNI ADD"));
    expect(adds).toHaveLength(3);
    for (const { planned, executed } of adds) {
      expect(executed.map((op) => op.key).sort()).toEqual(planned.map((op) => op.key).sort());
      expect(executed.every((op) => op.error === undefined && op.stateAfter === "CONFIGURED")).toBe(true);
    }
  });

  it("has the life of a pod's link in its timeline, and in the past after its end", async () => {
    const pod = await node.wiredPod();
    pods.push(pod);
    const key = `linux/link/${await hostIf(3)}`;
    const before = Date.now();
    await pod.del();
    const { status, entries } = await get<{ status: PlainStatus; entries: { op: { op: string } }[] }>(
      `timeline?key=${key}`,
    );
    expect([status.state, entries.map((e) => e.op.op)]).toEqual(["NONEXISTENT", ["create", "delete"]]);
    const past = await get<{ key: string }[]>(`snapshot?time=${before}&prefix=linux/link/`);
    expect(past.map((v) => v.key)).toContain(key);
    expect((await get<PlainStatus[]>("status?prefix=linux/link/")).map((s) => s.key)).not.toContain(key);
  });

  it("finds in the kernel what it believes to be there, and nothing else", async () => {
    const { values, missing, unread } = await get<SouthboundDump>("dump?view=southbound");
    expect([missing, unread]).toEqual([[], []]);
    expect(values.filter((v) => v.differs !== undefined)).toEqual([]);
    expect(values.length).toBeGreaterThan(30);
  });

  it("plans the removal of a pod's link: what the kernel takes along is said to be carried", async () => {
    const key = `linux/link/${await hostIf(0)}`;
    const { status, stdout } = heddlectl(["plan", "-"], JSON.stringify([[key, null]]));
    expect(status).toBe(0);
    expect(stdout).toMatch(new RegExp(`^delete +${key} +CONFIGURED -> NONEXISTENT`, "m"));
    expect(stdout.match(/\(carried\)/g)?.length).toBeGreaterThan(5);
    expect(await node.exec("ip", "link", "show", await hostIf(0))).toContain(await hostIf(0));
  });

  it("repairs what somebody has broken when it is told to", async () => {
    const ip = pods[1]?.ips()[0] ?? "";
    await node.exec("ip", "route", "del", ip);
    const differing = await get<SouthboundDump>("dump?view=southbound&prefix=linux/route/");
    expect(differing.missing).toEqual([`linux/route/node/${ip}/32`]);
    const { status, stdout } = heddlectl(["resync"]);
    expect([status, stdout]).toEqual([0, expect.stringContaining(`create  linux/route/node/${ip}/32`)]);
    expect(await node.exec("ip", "route", "show", ip)).toContain(await hostIf(1));
  });

  it("draws its graph, an ADD highlighted", async () => {
    const graph = await get<GraphView>("graph");
    const link = `linux/link/${await hostIf(2)}`;
    expect(graph.edges.filter((e) => e.to === link).length).toBeGreaterThan(8);
    const seq = (await get<RecordedTxn[]>("history")).find((t) =>
      t.description?.includes(pods[2]!.containerId.slice(0, 12)),
    )?.seq;
    const file = join(node.dir, "graph.svg");
    expect(heddlectl(["graph", "--txn", String(seq), "-o", file])).toMatchObject({ status: 0, stderr: "" });
    const svg = readFileSync(file, "utf8");
    expect(svg).toContain(`highlighted: transaction ${seq}`);
    for (const { key } of graph.nodes) expect(svg).toContain(`<title>${key}\n`);
  });

  it("counts: in its statistics as in the metrics", async () => {
    const stats = await get<SchedulerStats>("stats");
    const created = stats.calls.find((c) => c.descriptor === "linux-link" && c.op === "create")?.outcomes.ok;
    const { body } = await node.get("/metrics");
    expect(body).toContain(
      `heddle_scheduler_operations_total{descriptor="linux-link",op="create",outcome="ok",process="agent"} ${created}\n`,
    );
    expect(body).toMatch(
      /^heddle_scheduler_transactions_total\{kind="northbound",outcome="ok",process="agent"\} \d+$/m,
    );
    expect(body).toMatch(/^heddle_scheduler_values\{state="CONFIGURED",process="agent"\} \d+$/m);
    expect(body).toMatch(/^heddle_event_loop_delay_seconds/m);
  });

  it("keeps what it tells of the past over a restart", async () => {
    const before = await get<RecordedTxn[]>("history");
    await node.agent.end("SIGTERM");
    await node.startAgent();
    const after = await get<RecordedTxn[]>("history");
    expect(after.map((t) => t.seq)).toEqual(expect.arrayContaining(before.map((t) => t.seq)));
    expect(after.at(-1)!.seq).toBeGreaterThan(before.at(-1)!.seq);
  });

  it("answers a wrong question with what is allowed", async () => {
    const { status, body } = await node.get("/scheduler/status?keys=x");
    expect([status, body]).toEqual([400, expect.stringContaining("allowed: key=KEY")]);
    expect((await node.get("/scheduler/nothing")).status).toBe(404);
    expect(heddlectl(["status", "--in-state", "BROKEN"])).toMatchObject({ status: 2 });
  });
});
