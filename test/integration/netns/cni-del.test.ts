import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import type { Snapshot } from "../../../src/lab/demo/snapshot.ts";
import { execOk } from "../../../src/lab/process/exec.ts";
import { onEachDataplane } from "../../support/agent-node/dataplanes.ts";
import { AgentNode, podSnapshot } from "../../support/agent-node.ts";

const silent = { exitCode: 0, result: undefined, error: undefined, stderr: "" };
const everything = {
  portMappings: [
    { hostPort: 8080, containerPort: 80, protocol: "tcp" },
    { hostPort: 8053, containerPort: 53, protocol: "udp", hostIP: "192.168.77.1" },
    { hostPort: 8132, containerPort: 132, protocol: "sctp", hostIP: "::" },
  ],
  bandwidth: { ingressRate: 80_000_000, ingressBurst: 8_000_000, egressRate: 80_000_000, egressBurst: 8_000_000 },
};

onEachDataplane("DEL", (dataplane) => {
  let node: AgentNode;
  let before: Snapshot;

  beforeAll(async () => {
    node = await AgentNode.start({ dataplane });
  });

  beforeEach(async () => {
    before = await node.snapshot();
  });

  afterAll(() => node?.close());

  it("leaves no link, route, neighbour, rule or address", async () => {
    const pod = await node.pod();
    const inPod = await podSnapshot(pod);
    await pod.add({ runtimeConfig: everything });
    const kinds = new Set((await node.differencesTo(before)).map((d) => d.kind));
    const forwarding = {
      linux: ["neighbour", "route"],
      vpp: ["interface", "list", "neighbour", "policer", "route", "translation"],
    };
    const inVpp = dataplane === "vpp" ? " in VPP" : "";
    const forwards = forwarding[dataplane].map((kind) => `${kind}${inVpp}`);
    for (const kind of ["link", "nft", "pod in status", "sandbox record", "used address", ...forwards]) {
      expect(kinds, "what ADD made").toContain(kind);
    }
    await pod.del({ runtimeConfig: everything });
    expect(await node.differencesTo(before)).toEqual([]);
    expect(await podSnapshot(pod)).toEqual(inPod);
    await node.deleteNetns(pod.netns);
  });

  it("succeeds without prevResult", async () => {
    const pod = await node.wiredPod();
    expect(await pod.call("DEL")).toEqual(silent);
    expect(await node.differencesTo(before)).toEqual([]);
    const another = await node.wiredPod();
    expect(await another.call("DEL", { conf: { prevResult: null } })).toEqual(silent);
    expect(await node.differencesTo(before)).toEqual([]);
  });

  it("succeeds twice, and for the unknown", async () => {
    const pod = await node.wiredPod();
    await pod.del();
    expect(await pod.call("DEL")).toEqual(silent);
    expect(await pod.call("DEL", { ifname: "net7" })).toEqual(silent);
    expect(await (await node.pod()).call("DEL")).toEqual(silent);
    expect(await node.differencesTo(before)).toEqual([]);
  });

  it("succeeds when the link is gone", async () => {
    for (const end of ["pod", "node"] as const) {
      const pod = await node.wiredPod({ runtimeConfig: everything });
      if (end === "pod") await execOk(["ip", "-n", pod.netns, "link", "del", "eth0"]);
      else await node.exec("ip", "link", "del", pod.hostIf());
      await pod.del({ runtimeConfig: everything });
      expect(await node.differencesTo(before), `after the ${end}'s end was removed`).toEqual([]);
    }
  });

  it("succeeds when routes, neighbours and host ports are gone", async () => {
    const pod = await node.wiredPod({ runtimeConfig: everything });
    const [ipv4, ipv6] = pod.ips();
    if (dataplane === "linux") {
      await node.exec("ip", "route", "del", `${ipv4}/32`);
      await node.exec("ip", "neigh", "del", ipv6, "dev", pod.hostIf());
    } else {
      const { vpp } = node;
      const [, translation] = /\[(\d+)\]/.exec(await vpp.ctl("show cnat translation")) ?? [];
      await vpp.ctl(`cnat translation del ${translation}`);
      await vpp.ctl(`ip route del ${ipv4}/32 via host-${pod.hostIf()}`);
      await vpp.ctl(`set ip neighbor del host-${pod.hostIf()} ${ipv6} ${pod.result().interfaces[1]?.mac}`);
    }
    await node.exec("nft", "delete", "element", "inet", "hd", "hostports4", "{ tcp . 8080 }");
    await node.exec("nft", "flush", "set", "inet", "hd", "hairpin4");
    await pod.del({ runtimeConfig: everything });
    expect(await node.differencesTo(before)).toEqual([]);
  });

  it("returns the addresses when the namespace is gone", async () => {
    for (const netns of ["/run/netns/hd-gone-for-good", null, ""]) {
      const pod = await node.wiredPod();
      await node.deleteNetns(pod.netns);
      expect(await pod.call("DEL", { netns }), `with CNI_NETNS ${netns}`).toEqual(silent);
      expect(await node.differencesTo(before)).toEqual([]);
    }
  });

  it("removes the pod's own wiring when its path leads to another namespace by now", async () => {
    const pod = await node.wiredPod();
    await node.deleteNetns(pod.netns);
    await node.addNetns(pod.netns);
    await execOk(["ip", "-n", pod.netns, "link", "add", "eth0", "type", "veth", "peer", "name", "other"]);
    const inPod = await podSnapshot(pod);
    await pod.del();
    expect(await podSnapshot(pod)).toEqual(inPod);
    expect(await node.differencesTo(before)).toEqual([]);
  });

  it("leaves an interface alone that somebody put in place of ours", async () => {
    const pod = await node.wiredPod();
    await execOk(["ip", "-n", pod.netns, "link", "del", "eth0"]);
    await execOk(["ip", "-n", pod.netns, "link", "add", "eth0", "type", "veth", "peer", "name", "other"]);
    const inPod = await podSnapshot(pod);
    await pod.del();
    expect(await podSnapshot(pod)).toEqual(inPod);
    expect(await node.differencesTo(before)).toEqual([]);
  });

  it("gives nobody else the addresses at once", async () => {
    const pod = await node.wiredPod();
    const ips = pod.ips();
    await node.removePod(pod);
    const another = await node.wiredPod();
    expect(another.ips().filter((ip) => ips.includes(ip))).toEqual([]);
    await node.removePod(another);
  });
});
