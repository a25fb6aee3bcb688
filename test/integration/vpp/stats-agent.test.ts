import { rmSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AGENT_REST } from "../../../src/lab/node/agent.ts";
import { until } from "../../support/until.ts";
import { noVppLab, VppLab, vppLabNote } from "../../support/vpp/vpp-lab.ts";

describe.skipIf(noVppLab)(`an agent's metrics of its VPP${vppLabNote}`, () => {
  let lab: VppLab;
  beforeAll(async () => {
    lab = await VppLab.up({ nodes: 1 });
    await lab.lab.addPod("shop/web", "n1");
  });
  afterAll(() => lab?.close());

  const metrics = async (): Promise<string[]> => {
    const prober = await lab.lab.prober();
    return (await prober.get(lab.lab.node("n1").netns, `http://${AGENT_REST}/metrics`)).body.split("\n");
  };
  /** The value of the line that begins so and has all of these labels. */
  const value = (lines: readonly string[], name: string, ...labels: readonly string[]): number | undefined => {
    const line = lines.find((l) => l.startsWith(name) && labels.every((label) => l.includes(label)));
    return line === undefined ? undefined : Number(line.split(" ").at(-1));
  };
  const OF_POD = ['namespace="shop"', 'pod="web"', 'interface="eth0"'];
  const warnings = async (): Promise<readonly string[]> =>
    ((await lab.lab.agentStatus("n1")) as { dataplane: { warnings: readonly string[] } }).dataplane.warnings;
  const reach = async (): Promise<void> => {
    await until("the pod is reached", async () => (await lab.unreachable(["n1", "shop/web"])).length === 0);
  };

  it("count what a pod sends, under its name, and what VPP has of errors, nodes, memory and buffers", async () => {
    await reach();
    const before = value(await metrics(), "heddle_vpp_interface_receive_packets_total", ...OF_POD) ?? Number.NaN;
    await reach();
    const lines = await metrics();
    expect(value(lines, "heddle_vpp_interface_receive_packets_total", ...OF_POD)).toBeGreaterThan(before);
    expect(value(lines, "heddle_vpp_interface_transmit_bytes_total", 'interface="uplink-eth0"')).toBeGreaterThan(0);
    expect(value(lines, "heddle_vpp_statistics_readable")).toBe(1);
    expect(lines.some((line) => line.startsWith("heddle_vpp_node_errors_total{node="))).toBe(true);
    await until("VPP's collector", async () => {
      const now = await metrics();
      const available = value(now, "heddle_vpp_buffers", 'state="available"') ?? 0;
      const calls = value(now, "heddle_vpp_node_calls_total", 'node="af-packet-input"') ?? 0;
      return (
        available > 0 && calls > 0 && (value(now, "heddle_vpp_heap_bytes", 'heap="main heap",state="used"') ?? 0) > 0
      );
    });
    expect(await warnings()).toEqual([]);
  });

  it("are those of the VPP that runs now after the one before was killed", async () => {
    const booted = value(await metrics(), "heddle_vpp_boot_time_seconds") ?? 0;
    await lab.lab.restart("n1", "vpp");
    await reach();
    await until("counters of the new VPP", async () => {
      const lines = await metrics();
      const packets = value(lines, "heddle_vpp_interface_receive_packets_total", ...OF_POD) ?? 0;
      return (value(lines, "heddle_vpp_boot_time_seconds") ?? 0) > booted && packets > 0;
    });
  });

  it("are missing without VPP's statistics socket, which status says and nothing else feels", async () => {
    rmSync(lab.lab.paths.node("n1").vpp.stats);
    const lines = await metrics();
    expect(value(lines, "heddle_vpp_statistics_readable")).toBe(0);
    expect(lines.filter((line) => line.startsWith("heddle_vpp_interface"))).toEqual([]);
    expect(value(lines, "heddle_resident_memory_bytes")).toBeGreaterThan(0);
    expect(await warnings()).toEqual([
      expect.stringMatching(/^no metrics of VPP: no statistics from VPP at .*stats\.sock/),
    ]);
    await lab.lab.addPod("shop/more", "n1");
    await reach();
  });
});
