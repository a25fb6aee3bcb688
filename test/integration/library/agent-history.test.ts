import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { RecordedTxn } from "../../../src/kvscheduler/api/record.ts";
import { AgentNode, whyNoNetns } from "../../support/agent-node.ts";
import { until } from "../../support/until.ts";

const why = whyNoNetns();

describe.skipIf(why !== undefined)(`the agent's history${why ? ` (skipped: ${why})` : ""}`, () => {
  let node: AgentNode;

  beforeAll(async () => {
    node = await AgentNode.start();
  });
  afterAll(() => node?.close());

  async function history(): Promise<RecordedTxn[]> {
    const { status, body } = await node.get("/scheduler/history");
    expect(status).toBe(200);
    return JSON.parse(body) as RecordedTxn[];
  }

  const onDisk = (seq: number): boolean =>
    globSync("**/history/*.jsonl", { cwd: node.dir }).some((file) =>
      readFileSync(join(node.dir, file), "utf8").includes(`{"seq":${seq},`),
    );

  it("survives kill -9, and its numbers go on", async () => {
    await node.wiredPod();
    const before = await history();
    const made = before.find((t) => t.executed.some((op) => op.op === "create" && op.key.startsWith("linux/carrier/")));
    expect(made?.seq).toBeGreaterThan(0);
    await until("it is on the disk", () => onDisk(made!.seq));
    await node.agent.end("SIGKILL");
    await node.startAgent();
    const after = await history();
    expect(after.find((t) => t.seq === made!.seq)).toEqual(made);
    expect(after.at(-1)!.seq).toBeGreaterThan(made!.seq);
    expect(new Set(after.map((t) => t.seq)).size).toBe(after.length);
  });
});
