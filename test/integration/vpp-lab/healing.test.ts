import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { vtepMacOf } from "../../../src/nodes/api.ts";
import { sandboxId } from "../../../src/pods/api.ts";
import { hostIfName } from "../../../src/pods/sandbox.ts";
import { sent } from "../../support/restart-lab.ts";
import { until } from "../../support/until.ts";
import { Flow } from "../../support/vpp/flow.ts";
import { noVppLab, VppLab, vppLabNote } from "../../support/vpp/vpp-lab.ts";

const PODS = ["h/a", "h/b", "h/far"] as const;

/** What somebody does to VPP by its CLI, and the items that the history says were repaired: these, and maybe what lies on them. */
interface Damage {
  readonly what: string;
  /** With %names for what differs from run to run. */
  readonly harm: string;
  readonly repairs: readonly string[];
}

const DAMAGES: readonly Damage[] = [
  {
    what: "a pod's interface is set down",
    harm: "set interface state host-%link down",
    repairs: ["interface-up/%link"],
  },
  { what: "a pod's interface is deleted", harm: "delete host-interface name %link", repairs: ["interface/%link"] },
  {
    what: "a pod's interface gets another MTU",
    harm: "set interface mtu packet 1300 host-%link",
    repairs: ["interface/%link"],
  },
  {
    what: "a pod's interface gets another MAC address",
    harm: "set interface mac address host-%link 02:00:00:00:00:99",
    repairs: ["interface/%link"],
  },
  {
    what: "a pod's interface no longer borrows the gateway's address",
    harm: "set interface unnumbered del host-%link",
    repairs: ["unnumbered/%link"],
  },
  {
    what: "a pod's neighbour is deleted",
    harm: "set ip neighbor del host-%link %ip4 %mac",
    repairs: ["neighbour/%link/%ip4"],
  },
  {
    what: "the overlay's interface is set down",
    harm: "set interface state loop1 down",
    repairs: ["interface-up/bvi"],
  },
  { what: "a peer's forwarding entry is deleted", harm: "l2fib del %peerMac 1", repairs: ["l2-fib/1/%peerMac"] },
  {
    what: "a peer's tunnel is deleted",
    harm: "create vxlan tunnel src %ownIp dst %peerIp vni 4096 del",
    repairs: ["interface/vxlan-%peerId"],
  },
  {
    what: "the uplink loses an address",
    harm: "set interface ip address del host-eth0 %ownIp/24",
    repairs: ["address/uplink-eth0/%ownIp/24"],
  },
  { what: "the uplink is set down", harm: "set interface state host-eth0 down", repairs: ["interface-up/uplink-eth0"] },
  { what: "the uplink is deleted", harm: "delete host-interface name eth0", repairs: ["interface/uplink-eth0"] },
  {
    what: "the way to the host is deleted",
    harm: "delete host-interface name hdhostvpp",
    repairs: ["interface/host"],
  },
];

describe.skipIf(noVppLab)(`what somebody changes by VPP's CLI${vppLabNote}`, () => {
  let lab: VppLab;
  let names: Record<string, string>;
  let flows: Flow[];
  const fill = (text: string): string => text.replace(/%(\w+)/g, (_, name: string) => names[name] ?? `no ${name}`);

  beforeAll(async () => {
    lab = await VppLab.up({ nodes: 2, healing: 0.5 });
    for (const [i, pod] of PODS.entries()) await lab.lab.addPod(pod, i < 2 ? "n1" : "n2");
    await until("all reach each other", async () => (await lab.unreachable([...PODS, "n1", "n2"])).length === 0);
    const pod = lab.lab.pod("h/a");
    const { containerId } = pod;
    const peerId = (await lab.nodes.status("n2")).node.id;
    const neighbours = await lab.vppctl("n1", "show ip neighbors");
    const link = hostIfName(sandboxId(containerId, "eth0"));
    names = {
      link,
      ip4: pod.ips[0] ?? "",
      mac:
        /^ .* ([0-9a-f:]{17}) +/m.exec(neighbours.split("\n").find((l) => l.includes(`${pod.ips[0]} `)) ?? "")?.[1] ??
        "",
      ownIp: lab.lab.node("n1").underlay[0] ?? "",
      peerIp: lab.lab.node("n2").underlay[0] ?? "",
      peerMac: vtepMacOf(peerId),
      peerId: String(peerId),
    };
    flows = [
      await Flow.open(lab.lab.netnsOf("h/b"), lab.lab.netnsOf("h/a"), pod.ips[0] ?? ""),
      await Flow.open(lab.lab.netnsOf("h/far"), lab.lab.netnsOf("h/a"), pod.ips[1] ?? ""),
    ];
  });
  afterAll(async () => {
    for (const flow of flows ?? []) await flow[Symbol.asyncDispose]();
    await lab?.close();
  });

  it.each(DAMAGES)("is healed and in the history when $what", async ({ harm, repairs }) => {
    const seq = (await lab.nodes.history("n1")).at(-1)?.seq ?? 0;
    const pid = lab.vppPid("n1");
    const said = await lab.vppctl("n1", fill(harm));
    expect(said).not.toMatch(/unknown|error|fail|not found/i);
    const done = await until("a comparison that repairs, and one that finds nothing", async () => {
      const history = (await lab.nodes.history("n1")).filter((txn) => txn.seq > seq);
      const repaired = history.findIndex((txn) => sent([txn]).length > 0);
      // Harm that is done while VPP is being read may be seen in part, and repaired at the second attempt.
      const last = new Map(sent(history).map((op) => [op.key, op.error]));
      const isDone = repaired >= 0 && sent(history.slice(-1)).length === 0 && history.length > repaired + 1;
      return isDone && [...last.values()].every((error) => error === undefined) ? last : undefined;
    });
    expect([...done.keys()]).toEqual(expect.arrayContaining(repairs.map((key) => `vpp/${fill(key)}`)));
    expect(lab.vppPid("n1")).toBe(pid);
    await until("all reach each other", async () => (await lab.unreachable([...PODS, "n1", "n2"])).length === 0);
    for (const flow of flows) await flow.carries();
  });
});
