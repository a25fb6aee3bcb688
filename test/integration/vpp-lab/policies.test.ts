import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { inNetns } from "../../../src/lab/net/ip.ts";
import { exec } from "../../../src/lab/process/exec.ts";
import { execIn } from "../../support/agent-node.ts";
import { until } from "../../support/until.ts";
import { noVppLab, VppLab, vppLabNote } from "../../support/vpp/vpp-lab.ts";

const ALL = ["t/a", "t/b", "n1", "n2"] as const;

describe.skipIf(noVppLab)(`two nodes with VPP that enforce policies${vppLabNote}`, () => {
  let lab: VppLab;
  beforeAll(async () => {
    lab = await VppLab.up({ nodes: 2, policies: true });
    await lab.lab.addPod("t/a", "n1");
    await lab.lab.addPod("t/b", "n2");
  });
  afterAll(() => lab?.close());

  it("without a policy pods and nodes reach each other", async () => {
    await until("all are reached", async () => (await lab.unreachable(ALL)).length === 0);
  });

  it("nobody passes for a node, by whatever way its packets come", async () => {
    const [a, n1, n2] = [lab.lab.pod("t/a"), lab.lab.node("n1"), lab.lab.node("n2")];
    for (const [i, address] of n1.underlay.entries()) {
      const length = address.includes(":") ? 128 : 32;
      const family = length === 32 ? 4 : 6;
      const before = await dropped("n1", family);
      // The host of n2 sends it to VPP, VPP to n1.
      await execIn(
        n2.netns,
        "ip",
        "address",
        "add",
        `${address}/${length}`,
        "dev",
        "hdhost",
        ...(i > 0 ? ["nodad"] : []),
      );
      await exec([...inNetns(n2.netns), "ping", "-c", "2", "-W", "1", "-I", address, a.ips[i] ?? ""]);
      await execIn(n2.netns, "ip", "address", "del", `${address}/${length}`, "dev", "hdhost");
      expect(await dropped("n1", family), address).toBeGreaterThan(before);
    }
  });

  /** Packets of a family that a node's VPP has dropped for their source address. */
  async function dropped(node: string, family: 4 | 6): Promise<number> {
    const found = new RegExp(`^ *(\\d+) +ip${family}-rx-urpf-strict`, "m").exec(await lab.vppctl(node, "show errors"));
    return Number(found?.[1] ?? 0);
  }
});
