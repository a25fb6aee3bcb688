import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { DEMO_NAMESPACE } from "../../../src/lab/demo/demo.ts";
import type { DemoReport } from "../../../src/lab/demo/report.ts";
import { deleteNetns, listNetns } from "../../../src/lab/net/ip.ts";
import { findExecutables, which } from "../../../src/lab/paths.ts";
import { exec } from "../../../src/lab/process/exec.ts";
import type { LabStatus } from "../../../src/lab/status.ts";
import { whyNoNetns } from "../../support/lab/toy.ts";

const executables = findExecutables();
const why =
  whyNoNetns() ?? (which(executables.cni) === undefined ? "needs dist/bin/heddle (npm run build)" : undefined);

const cli = (...args: string[]) => exec([...executables.heddlectl, ...args], { timeoutMs: 110_000 });

/** Runs the demo as a user does and returns its exit status, its report, and what it said on the way. */
async function demo(...args: string[]): Promise<{ code: number | null; report: DemoReport; stderr: string }> {
  const { code, stdout, stderr } = await cli("demo", "-o", "json", ...args);
  if (stdout === "") throw new Error(`the demo printed nothing: ${stderr}`);
  return { code, report: JSON.parse(stdout), stderr };
}

describe.skipIf(why !== undefined)(
  `heddlectl demo, with agents and the CNI plugin${why ? ` (skipped: ${why})` : ""}`,
  () => {
    const dir = join(tmpdir(), `hdt-demo-${randomBytes(3).toString("hex")}`);
    afterEach(async () => {
      await cli("lab", "down", "--state", dir);
    });

    it.each(["etcd", "embedded"])("finds every cell as expected and leaves nothing, on %s", async (store) => {
      const { code, report, stderr } = await demo("--store", store, "--state", dir);
      expect(report.problems).toEqual([]);
      expect(report).toMatchObject({ ok: true, dataplane: "linux", store, removed: true });
      expect(code).toBe(0);
      expect(report.cells).toHaveLength((6 * 6 + 4 * 6) * 6);
      expect(stderr).toMatch(/CNI ADD/);
      expect(existsSync(dir)).toBe(false);
    });

    it("works without an overlay, on a small underlay MTU, with more nodes", async () => {
      const { report } = await demo(
        "--nodes",
        "3",
        "--pods",
        "1",
        "--overlay",
        "none",
        "--mtu",
        "1300",
        "--state",
        dir,
      );
      expect(report.problems).toEqual([]);
    });

    it("exits with 1 and names the cells when a pod's route is removed", async () => {
      const { code, report, stderr } = await demo("--pods", "1", "--break-route", "n1-p1", "--state", dir);
      expect(code).toBe(1);
      expect(report.problems[0]).toMatch(/^n1-p1>n2-p1\/tcp\/ipv4: no answer/);
      expect(report.cells.filter((c) => !c.ok).every((c) => c.from === "n1-p1" || c.to === "n1-p1")).toBe(true);
      expect(stderr).toContain("n1-p1>n2-p1/tcp/ipv4");
    });

    it("exits with 1 and names the namespace that is left behind", async () => {
      const { code, report } = await demo("--pods", "1", "--leave-namespace", "--state", dir);
      const left = /namespace (hd[0-9a-f]{6}-left) is left behind/.exec(report.problems.join("\n"))?.[1] ?? "";
      try {
        expect(listNetns()).toContain(left);
        expect(code).toBe(1);
        expect(report.problems).toHaveLength(1);
      } finally {
        await deleteNetns(left);
      }
    });

    it("exits with 1 and names the cell of which the wrong thing is expected", async () => {
      const id = "n2-p1>outside/udp/ipv6";
      const { code, report } = await demo("--pods", "1", "--expect-wrong", id, "--state", dir);
      expect(code).toBe(1);
      expect(report.problems).toEqual([`${id}: it answered, and was expected not to`]);
    });

    it("leaves the lab up for a look around when asked to, and down removes it", async () => {
      const { code, stderr } = await demo("--pods", "1", "--keep", "--state", dir);
      expect(code).toBe(0);
      expect(stderr).toContain(`heddlectl lab down --state ${dir}`);
      const status: LabStatus = JSON.parse((await cli("lab", "status", "--state", dir, "-o", "json")).stdout);
      expect(status.nodes.map((n) => n.pods.map((p) => `${p.namespace}/${p.name}`))).toEqual([
        [`${DEMO_NAMESPACE}/n1-p1`],
        [`${DEMO_NAMESPACE}/n2-p1`],
      ]);
      const pid = status.nodes[0]?.agentPid;
      const restarted = await cli("lab", "restart", "n1", "--state", dir);
      expect(Number(restarted.stdout)).toBeGreaterThan(0);
      expect(Number(restarted.stdout)).not.toBe(pid);
      const added = await cli("lab", "add-pod", "demo/more", "--node", "n1", "--state", dir, "-o", "json");
      expect(JSON.parse(added.stdout)).toMatchObject({
        name: "more",
        ips: [expect.stringMatching(/^10\./), expect.stringMatching(/:/)],
      });
      expect((await cli("lab", "del-pod", "demo/more", "--state", dir)).code).toBe(0);
      expect((await cli("lab", "down", "--state", dir)).code).toBe(0);
      expect(existsSync(dir)).toBe(false);
      expect(listNetns().filter((n) => n.startsWith(`hd${status.id}`))).toEqual([]);
    });

    it("exits with 2 when the store that was asked for can't run", async () => {
      const { code, stderr } = await exec([...executables.heddlectl, "demo", "--store", "etcd", "--state", dir], {
        env: { HEDDLE_ETCD: "/nonexistent/etcd" },
      });
      expect(code).toBe(2);
      expect(stderr).toContain("no etcd was found");
      expect(existsSync(dir)).toBe(false);
    });
  },
);
