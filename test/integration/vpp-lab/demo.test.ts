import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import type { DemoReport } from "../../../src/lab/demo/report.ts";
import { listNetns } from "../../../src/lab/net/ip.ts";
import { findExecutables } from "../../../src/lab/paths.ts";
import { markedProcesses } from "../../../src/lab/process/daemon.ts";
import { exec, execOk } from "../../../src/lab/process/exec.ts";
import { identify } from "../../../src/lab/process/proc.ts";
import type { LabStatus } from "../../../src/lab/status.ts";
import { kill9 } from "../../support/kill.ts";
import { noVppLab, vppLabNote } from "../../support/vpp/vpp-lab.ts";

const { heddlectl } = findExecutables();
const cli = (args: readonly string[], env: Record<string, string> = {}) =>
  exec([...heddlectl, ...args], { timeoutMs: 110_000, env });

describe.skipIf(noVppLab)(`heddlectl with VPP nodes${vppLabNote}`, () => {
  const dir = join(tmpdir(), `hdt-vl-${randomBytes(3).toString("hex")}`);
  afterEach(async () => {
    await cli(["lab", "down", "--state", dir]);
  });

  it.each([
    ["vpp", "vxlan", 3],
    ["mixed", "vxlan", 2],
    ["vpp", "none", 1],
    ["mixed", "none", 1],
  ] as const)(
    "demo: every cell is as expected and nothing is left, %s, overlay %s",
    async (dataplane, overlay, pods) => {
      const args = ["--dataplane", dataplane, "--overlay", overlay, "--pods", String(pods), "--state", dir];
      const { code, stdout, stderr } = await cli(["demo", "-o", "json", ...args]);
      expect(stdout, stderr).not.toBe("");
      const report = JSON.parse(stdout) as DemoReport;
      expect(report.problems).toEqual([]);
      expect(report).toMatchObject({ ok: true, dataplane: dataplane === "vpp" ? "vpp" : "linux + vpp", removed: true });
      expect(code).toBe(0);
      expect(existsSync(dir)).toBe(false);
    },
  );

  it("lab: says which VPP a node has, starts it again, and ends one whose agent is gone", async () => {
    expect(await cli(["lab", "up", "--dataplane", "mixed", "--state", dir])).toMatchObject({ code: 0 });
    const status = async () =>
      JSON.parse(await execOk([...heddlectl, "lab", "status", "--state", dir, "-o", "json"])) as LabStatus;
    const before = await status();
    const [linux, vpp] = before.nodes;
    expect(linux).toMatchObject({ dataplane: "linux", vppPid: null });
    expect(identify(vpp?.vppPid ?? 0)).toBeDefined();

    expect(await cli(["lab", "restart", "n1", "vpp", "--state", dir])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("linux dataplane"),
    });
    const restarted = await cli(["lab", "restart", "n2", "vpp", "--state", dir]);
    expect(restarted).toMatchObject({ code: 0 });
    const now = (await status()).nodes[1];
    expect(now?.vppPid).toBe(Number(restarted.stdout));
    expect(now?.vppPid).not.toBe(vpp?.vppPid);
    expect(now?.agentPid).toBe(vpp?.agentPid);

    kill9(now?.agentPid);
    expect((await status()).nodes[1]).toMatchObject({ agentPid: null, vppPid: now?.vppPid });
    expect(await cli(["lab", "down", "--state", dir])).toMatchObject({ code: 0 });
    expect(markedProcesses(before.id)).toEqual([]);
    expect(listNetns().filter((name) => name.startsWith(`hd${before.id}`))).toEqual([]);
    expect(existsSync(dir)).toBe(false);
  });
});

describe("heddlectl lab up without a VPP", () => {
  it.each(["vpp", "mixed"])("with --dataplane %s ends with 2 and says where it looked for one", async (dataplane) => {
    const dir = join(tmpdir(), `hdt-vl-${randomBytes(3).toString("hex")}`);
    const args = ["lab", "up", "--dataplane", dataplane, "--state", dir];
    const { code, stderr } = await cli(args, { HEDDLE_VPP_PREFIX: "/nonexistent/vpp" });
    expect(stderr).toContain("no VPP was found in /nonexistent/vpp");
    expect(code).toBe(2);
    expect(existsSync(dir)).toBe(false);
  });
});
