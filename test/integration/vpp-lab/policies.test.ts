import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { seconds } from "../../../src/base/clock/clock.ts";
import { inNetns } from "../../../src/lab/net/ip.ts";
import { AGENT_REST } from "../../../src/lab/node/agent.ts";
import { exec } from "../../../src/lab/process/exec.ts";
import { execIn } from "../../support/agent-node.ts";
import { cpuShare } from "../../support/cpu.ts";
import { until } from "../../support/until.ts";
import { noVppLab, VppLab, vppLabNote } from "../../support/vpp/vpp-lab.ts";

const MANY = 30_000;
/** Sends an address a datagram each to so many ports: as many connections. */
const FLOWS = `
const socket = require("node:dgram").createSocket("udp4");
const [address] = process.argv.slice(-1);
(async () => {
  for (let port = 1; port <= ${MANY}; port++) await new Promise((sent) => socket.send("x", port, address, sent));
  socket.close();
})();`;

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

  it("forget connections that are over as fast as they come", async () => {
    const known = async (): Promise<number> => {
      await delay(1000); // VPP counts every 5 s
      const { body } = await (await lab.lab.prober()).get(lab.lab.netnsOf("n1"), `http://${AGENT_REST}/metrics`);
      return Number(/^heddle_vpp_connections (\d+)$/m.exec(body)?.[1]);
    };
    const [address = ""] = lab.lab.pod("t/b").ips;
    await exec([...inNetns(lab.lab.netnsOf("t/a")), process.execPath, "-e", FLOWS, address]);
    await until("VPP knows them", async () => (await known()) > MANY / 2);
    // 30 s after their last packet, and some seconds for a look at all.
    await until("VPP has forgotten them", async () => (await known()) < 1000, 45_000);
  });

  it("cost a VPP that has nothing to do next to nothing", async () => {
    expect(await cpuShare(lab.vppPid("n1") ?? 0, seconds(5))).toBeLessThan(0.06);
  });

  /** Packets of a family that a node's VPP has dropped for their source address. */
  async function dropped(node: string, family: 4 | 6): Promise<number> {
    const found = new RegExp(`^ *(\\d+) +ip${family}-rx-urpf-strict`, "m").exec(await lab.vppctl(node, "show errors"));
    return Number(found?.[1] ?? 0);
  }
});
