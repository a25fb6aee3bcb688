import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { INTERFACES_ANNOTATION } from "../../../src/pods/cni/interfaces.ts";
import { sent } from "../../support/restart-lab.ts";
import { until } from "../../support/until.ts";
import { sendBulk } from "../../support/vpp/bulk.ts";
import { NetworkFunction } from "../../support/vpp/network-function.ts";
import { noVppLab, VppLab, vppLabNote } from "../../support/vpp/vpp-lab.ts";
import { WireLab } from "../../support/vpp/wire-lab.ts";

const CLIENT = ["10.9.0.1", "fd09::1"] as const;
const SERVER = ["10.9.0.2", "fd09::2"] as const;
const VNI = 77;
const BULK = 4_000_000;

/** client – wire – network function – wire over VXLAN – server on the other node. */
describe.skipIf(noVppLab)(`wires between network functions${vppLabNote}`, () => {
  let vpp: VppLab;
  let wires: WireLab;
  let nf: NetworkFunction;

  const addPod = (name: string, node: string, interfaces: string) =>
    vpp.lab.addPod(name, node, { annotations: { [INTERFACES_ANNOTATION]: interfaces } });
  const address = async (pod: string, addresses: readonly string[]): Promise<void> => {
    for (const ip of addresses) {
      const prefix = ip.includes(":") ? ["64", "nodad"] : ["24"];
      await vpp.lab.exec(pod, ["ip", "address", "add", `${ip}/${prefix[0]}`, ...prefix.slice(1), "dev", "wire0"]);
    }
  };
  const underlay = (node: string): string => vpp.lab.node(node).underlay[0] ?? "";
  const pings = async (timeoutMs = 1000): Promise<string[]> => {
    const prober = await vpp.lab.prober();
    const from = vpp.lab.netnsOf("t/client");
    const results = await Promise.all(SERVER.map((ip) => prober.probe("icmp", from, ip, { timeoutMs })));
    return results.map((result) => (result.ok ? "ok" : result.error));
  };
  const passes = () => until("packets pass", async () => (await pings()).every((result) => result === "ok"));

  beforeAll(async () => {
    vpp = await VppLab.up({ nodes: 2 });
    wires = new WireLab(vpp);
    await wires.put("n1", {
      name: "in",
      layer: "l2",
      ends: [
        { pod: "t/client", interface: "wire0" },
        { pod: "t/nf", interface: "memif-in" },
      ],
    });
    await wires.put("n1", {
      name: "out",
      layer: "l2",
      ends: [{ pod: "t/nf", interface: "memif-out" }, { vxlan: { remote: underlay("n2"), vni: VNI } }],
    });
    await wires.put("n2", {
      name: "server",
      layer: "l2",
      ends: [{ vxlan: { remote: underlay("n1"), vni: VNI } }, { pod: "t/server", interface: "wire0" }],
    });
  });
  afterAll(async () => {
    await nf?.[Symbol.asyncDispose]();
    await vpp?.close();
  });

  it("wait for the pods at their ends, and are in force when ADD has answered", async () => {
    await wires.becomes("n1", { in: "waiting", out: "waiting" });
    await addPod("t/nf", "n1", "memif-in/memif, memif-out/memif");
    await wires.becomes("n1", { in: "waiting", out: "in-force" });
    await addPod("t/client", "n1", "wire0/veth");
    expect((await wires.status("n1")).map(({ state }) => state)).toEqual(["in-force", "in-force"]);
    await addPod("t/server", "n2", "wire0/veth");
    await wires.becomes("n2", { server: "in-force" });
    await address("t/client", CLIENT);
    await address("t/server", SERVER);
    nf = await NetworkFunction.start(vpp.lab.netnsOf("t/nf"), ["memif-in", "memif-out"]);
    await until("both memifs are connected", () => nf.isConnected(1) && nf.isConnected(2));
  });

  it("carry packets through the network function, and none around it", async () => {
    expect(await pings(300)).not.toContain("ok");
    nf.passOn();
    await passes();
    expect(nf.received(1)).toBeGreaterThan(0);
    expect(nf.received(2)).toBeGreaterThan(0);
    // CHECK looks at further interfaces as well.
    for (const name of ["t/client", "t/nf", "t/server"]) await vpp.lab.pods.check(vpp.lab.pod(name));
    await vpp.lab.exec("t/client", ["ethtool", "-K", "wire0", "tx", "on"]);
    await expect(vpp.lab.pods.check(vpp.lab.pod("t/client"))).rejects.toThrow("pod sends complete packets");
    await vpp.lab.exec("t/client", ["ethtool", "-K", "wire0", "tx", "off"]);
    await vpp.lab.pods.check(vpp.lab.pod("t/client"));
  });

  it("carry TCP with full segments", async () => {
    expect((await wires.status("n1")).map(({ mtu }) => mtu)).toEqual([1450, 1450]);
    for (const ip of SERVER) {
      expect(await sendBulk(vpp.lab.netnsOf("t/client"), vpp.lab.netnsOf("t/server"), ip, BULK)).toBe(BULK);
    }
  });

  it("carry nothing once one of them is removed, and all when it is back", async () => {
    await wires.remove("n2", "server");
    await wires.becomes("n2", {});
    expect(await pings(300)).not.toContain("ok");
    await wires.put("n2", {
      name: "server",
      layer: "l2",
      ends: [{ vxlan: { remote: underlay("n1"), vni: VNI } }, { pod: "t/server", interface: "wire0" }],
    });
    await wires.becomes("n2", { server: "in-force" });
    await passes();
  });

  it("are reported where they make no sense, and stop nobody else's", async () => {
    await wires.putText("n1", "bad", "{");
    await wires.put("n1", {
      name: "second",
      layer: "l2",
      ends: [{ pod: "t/client", interface: "wire0" }, { vxlan: { remote: underlay("n2"), vni: 78 } }],
    });
    await wires.becomes("n1", { bad: "refused", in: "in-force", out: "in-force", second: "refused" });
    const reasons = (await wires.status("n1")).flatMap(({ reason }) => reason ?? []);
    expect(reasons[0]).toContain("not JSON");
    expect(reasons[1]).toBe("wire0 of pod t/client is an end of wire in");
    await passes();
    await wires.remove("n1", "bad");
    await wires.remove("n1", "second");
  });

  it("are left alone by an agent that comes back, and made anew in a VPP that does", async () => {
    const restartedAt = Date.now();
    await vpp.lab.restart("n1");
    expect(sent(await vpp.nodes.history("n1", restartedAt))).toEqual([]);
    await passes();
    await vpp.lab.restart("n1", "vpp");
    await until("both memifs are connected again", () => nf.isConnected(1) && nf.isConnected(2));
    await passes();
  });

  it("go with a pod at an end, and come with it", async () => {
    await vpp.lab.delPod("t/server");
    await wires.becomes("n2", { server: "waiting" });
    await addPod("t/server", "n2", "wire0/veth");
    await address("t/server", SERVER);
    // The new pod has another Ethernet address; the client would believe in the former one for half a minute.
    await vpp.lab.exec("t/client", ["ip", "neigh", "flush", "dev", "wire0"]);
    await passes();
  });
});
