import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type DemoOptions, runDemo } from "../../../src/lab/demo/demo.ts";
import { leftNamespace } from "../../../src/lab/demo/faults.ts";
import { formatReport } from "../../../src/lab/demo/report.ts";
import { Lab } from "../../../src/lab/lab.ts";
import { deleteNetns, listNetns } from "../../../src/lab/net/ip.ts";
import { ToyBench, whyNoNetns } from "../../support/lab/toy.ts";

const why = whyNoNetns();

// What the demo would notice, tried on pods that are wired by hand, so that nothing but the demo is tried.
describe.skipIf(why !== undefined)(`the demo's own checks${why ? ` (skipped: ${why})` : ""}`, () => {
  let bench: ToyBench;
  const demo = (more: Partial<DemoOptions> = {}) =>
    runDemo({ dir: bench.labDir, nodes: 2, pods: 2, store: "embedded", executables: bench.executables, ...more });

  beforeEach(() => {
    bench = new ToyBench();
  });
  afterEach(async () => {
    await Lab.down(bench.labDir);
    bench[Symbol.dispose]();
  });

  it("find nothing wrong with a cluster that works", async () => {
    const report = await demo();
    expect(report.problems).toEqual([]);
    expect(report).toMatchObject({ ok: true, dataplane: "linux", store: "embedded", removed: true });
    expect(report.cells).toHaveLength((4 * 4 + 4 * 4) * 6);
    expect(report.cells.every((c) => c.ok && c.us !== undefined && c.us > 0)).toBe(true);
    const seen = report.cells.find((c) => c.id === "n2-p1>outside/tcp/ipv6")?.seenAs;
    expect(seen).toBe("fd77::2");
    expect(formatReport(report)).toMatch(/^OK$/m);
  });

  it("name the cells behind a node's route that was removed, and the route", async () => {
    const report = await demo({ faults: { breakRoute: "n1" } });
    expect(report.ok).toBe(false);
    const wrong = report.cells.filter((c) => !c.ok);
    expect(wrong.map((c) => c.id)).toContain("n1-p1>n2-p2/udp/ipv6");
    expect(wrong.every((c) => c.from.slice(0, 2) !== c.to.slice(0, 2))).toBe(true);
    expect(report.left).toContain("node n1: route 10.244.2.0/24 via 169.254.2.2 dev hdvx is gone");
    expect(formatReport(report)).toContain("n1-p1>n2-p1/tcp/ipv4: no answer");
  });

  it("name the cells of a pod whose routes were removed, and no others", async () => {
    const report = await demo({ faults: { breakRoute: "n2-p1" } });
    const wrong = report.cells.filter((c) => !c.ok);
    expect(wrong.length).toBeGreaterThan(0);
    expect(wrong.every((c) => c.from === "n2-p1" || c.to === "n2-p1")).toBe(true);
    expect(report.left).toEqual([]);
  });

  it("name a namespace that is left behind", async () => {
    const report = await demo({ faults: { leaveNamespace: true } });
    const name = listNetns().find((n) => n.endsWith("-left")) ?? "";
    try {
      expect(report.cells.every((c) => c.ok)).toBe(true);
      expect(report.problems).toEqual([`this machine: namespace ${name} is left behind`]);
      expect(name).toBe(leftNamespace(name.slice(2, 8)));
    } finally {
      await deleteNetns(name);
    }
  });

  it("name a cell that does not come out as expected", async () => {
    const id = "n1-p2>n2-p1/icmp/ipv6";
    const report = await demo({ faults: { expectWrong: id } });
    expect(report.problems).toEqual([`${id}: it answered, and was expected not to`]);
  });

  it("name what a DEL leaves on a node", async () => {
    const flag = join(bench.labDir, "nodes", "n2", "state", "leak");
    const progress = (line: string): void => {
      if (line.startsWith("CNI DEL")) writeFileSync(flag, "");
    };
    const report = await demo({ progress });
    expect(report.problems).toEqual([
      "node n2: route 10.244.2.2 dev eth0 is left behind",
      "node n2: route 10.244.2.3 dev eth0 is left behind",
    ]);
  });

  it("refuse a cell or a place that does not exist, and remove the lab", async () => {
    await expect(demo({ faults: { expectWrong: "a>b/tcp/ipv4" } })).rejects.toMatchObject({ code: "USAGE" });
    await expect(demo({ faults: { breakRoute: "n9" } })).rejects.toMatchObject({ code: "NOT_FOUND" });
    expect(await Lab.down(bench.labDir)).toEqual({ existed: false, left: [] });
  });

  it("leave the lab up when asked to", async () => {
    const report = await demo({ keep: true, pods: 1 });
    expect(report).toMatchObject({ ok: true, removed: false });
    await using lab = Lab.open(bench.labDir, { executables: bench.executables });
    expect(lab.status().nodes.map((n) => n.pods.length)).toEqual([1, 1]);
    expect(lab.status().nodes.every((n) => n.agentPid !== null)).toBe(true);
  });
});
