import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ipJson } from "../../../src/lab/net/ip.ts";
import { ECHO_PORT } from "../../../src/lab/probe/client.ts";
import { kill9 } from "../../support/kill.ts";
import { sent } from "../../support/restart-lab.ts";
import { everyKind } from "../../support/restart-node.ts";
import { until } from "../../support/until.ts";
import { Flow } from "../../support/vpp/flow.ts";
import { transfer } from "../../support/vpp/transfer.ts";
import { vhostNetNote, withTaps } from "../../support/vpp/vhost-net.ts";
import { noVppLab, VppLab, vppLabNote } from "../../support/vpp/vpp-lab.ts";

const TAPS = ["t/a", "t/b"] as const;
/** Its limits make it a veth pair. */
const LIMITED = "t/limited";
const FAR = "t/far";
const PODS = [...TAPS, LIMITED, FAR] as const;
const PORT = 8080;
const ports = ["tcp", "udp"].map((protocol) => ({ hostPort: PORT, containerPort: ECHO_PORT, protocol }));

describe.skipIf(noVppLab)(`pods with taps on a node with VPP${vhostNetNote}${vppLabNote}`, () => {
  let lab: VppLab;
  let flows: Flow[];

  const allReached = async () => (await lab.unreachable([...PODS, "n1", "n2"])).length === 0;
  const kinds = async () =>
    Promise.all(
      [...TAPS, LIMITED].map(async (pod) => {
        const [link] = await ipJson(lab.lab.netnsOf(pod), ["-d", "link", "show", "dev", "eth0"]);
        return (link?.["linkinfo"] as { info_kind: string } | undefined)?.info_kind;
      }),
    );
  const isServed = async (): Promise<boolean> => {
    const prober = await lab.lab.prober();
    const asked = lab.lab
      .node("n2")
      .underlay.flatMap((ip) =>
        ["outside", "t/b", "t/far"].flatMap((from) =>
          (["tcp", "udp"] as const).map((kind) => prober.probe(kind, lab.lab.netnsOf(from), ip, { port: PORT })),
        ),
      );
    return (await Promise.all(asked)).every(({ ok }) => ok);
  };

  beforeAll(async () => {
    lab = await VppLab.up({ nodes: 2, dataplane: "mixed", wrap: (agent) => withTaps(agent) });
    await lab.lab.addPod("t/a", "n2", { runtimeConfig: { portMappings: ports } });
    await lab.lab.addPod("t/b", "n2");
    await lab.lab.addPod(LIMITED, "n2", everyKind(8001));
    await lab.lab.addPod(FAR, "n1");
    await until("all reach each other", allReached);
    await (await lab.lab.prober()).serve(lab.lab.netnsOf("t/a"), ECHO_PORT);
    const flow = (from: string, to: string, family: 0 | 1) =>
      Flow.open(lab.lab.netnsOf(from), lab.lab.netnsOf(to), lab.lab.pod(to).ips[family] ?? "");
    flows = await Promise.all([flow("t/a", "t/b", 0), flow("t/a", "t/b", 1), flow("t/far", "t/a", 0)]);
  });
  afterAll(async () => {
    for (const flow of flows ?? []) await flow[Symbol.asyncDispose]();
    await lab?.close();
  });

  it("are made so, but for those with limits, and pass CHECK", async () => {
    expect(await kinds()).toEqual(["tun", "tun", "veth"]);
    for (const pod of PODS) await lab.lab.pods.check(lab.lab.pod(pod));
    expect((await lab.vppctl("n2", "show tap")).match(/gso-enabled 1/g)).toHaveLength(TAPS.length);
  });

  it.each([
    ["one tap to the other", "t/a", "t/b"],
    ["a tap to a veth pair", "t/a", LIMITED],
    ["a veth pair to a tap", LIMITED, "t/a"],
    ["a tap to another node", "t/a", FAR],
    ["another node to a tap", FAR, "t/a"],
  ])("send from %s what arrives as it was", async (_what, from, to) => {
    for (const ip of lab.lab.pod(to).ips) {
      expect(await transfer(lab.lab.netnsOf(from), lab.lab.netnsOf(to), ip, 4)).toBe(true);
    }
  });

  it("serve ports of the node", () => until("all are answered", isServed));

  it("are VPP's again after it was killed, by nobody's ADD, as they were", async () => {
    const [identities, requests] = [await lab.identities(PODS), await lab.cniRequests("n2")];
    await lab.lab.restart("n2", "vpp");
    await until("all reach each other", allReached);
    expect(await lab.identities(PODS)).toEqual(identities);
    expect(await lab.cniRequests("n2")).toBe(requests);
    for (const flow of flows) await flow.carries();
    for (const pod of TAPS) await lab.lab.pods.check(lab.lab.pod(pod));
  });

  it("are left alone by an agent that comes back, alone or with VPP", async () => {
    const since = Date.now();
    await lab.lab.restart("n2");
    expect(sent(await lab.nodes.history("n2", since))).toEqual([]);
    const identities = await lab.identities(PODS);
    kill9(lab.vppPid("n2"));
    await lab.lab.restart("n2");
    await until("all reach each other", allReached);
    expect(await lab.identities(PODS)).toEqual(identities);
    for (const flow of flows) await flow.carries();
  });

  it("have veth pairs as long as the kernel forwards, and taps again with VPP", async () => {
    for (const [to, kind] of [
      ["linux", "veth"],
      ["vpp", "tun"],
    ] as const) {
      await lab.lab.switch("n2", to);
      expect(await kinds()).toEqual([kind, kind, "veth"]);
      await until("all reach each other", allReached);
      for (const flow of flows) await flow.carries();
      for (const pod of PODS) await lab.lab.pods.check(lab.lab.pod(pod));
      await until("ports are answered", isServed);
    }
  });

  it("are gone after DEL, in VPP and in the kernel", async () => {
    const netns = lab.lab.netnsOf("t/b");
    await lab.lab.delPod("t/b");
    expect(await lab.vppctl("n2", "show tap")).not.toContain(netns);
    expect((await lab.vppctl("n2", "show tap")).match(/^ *Interface: tap/gm)).toHaveLength(1);
    await lab.lab.addPod("t/b", "n2");
    await until("all reach each other", allReached);
    expect(await kinds()).toEqual(["tun", "tun", "veth"]);
  });
});
