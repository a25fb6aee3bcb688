import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import type { Snapshot } from "../../../src/lab/demo/snapshot.ts";
import { execOk } from "../../../src/lab/process/exec.ts";
import { onEachDataplane } from "../../support/agent-node/dataplanes.ts";
import { AgentNode, podSnapshot, type TestPod } from "../../support/agent-node.ts";

onEachDataplane("ADD", (dataplane) => {
  let node: AgentNode;
  let before: Snapshot;

  beforeAll(async () => {
    node = await AgentNode.start({ dataplane });
  });

  beforeEach(async () => {
    before = await node.snapshot();
  });

  afterAll(() => node?.close());

  /** Addresses of an interface in the pod, as a result writes them. */
  async function addresses(pod: TestPod, ifname: string): Promise<string[]> {
    const [link] = await pod.ip("addr", "show", "dev", ifname);
    const infos = link?.["addr_info"] as { local: string; prefixlen: number }[];
    return infos.map((a) => `${a.local}/${a.prefixlen}`);
  }

  /** Default routes of the pod as `GATEWAY dev IFNAME metric N`, best first in each family. */
  async function defaults(pod: TestPod): Promise<string[]> {
    const routes = [
      await pod.ip("-4", "route", "show", "default"),
      await pod.ip("-6", "route", "show", "default"),
    ].flat();
    return routes.map((r) => `${String(r["gateway"])} dev ${String(r["dev"])} metric ${Number(r["metric"] ?? 0)}`);
  }

  it("makes the interface in the pod, with the addresses and routes of its result", async () => {
    const pod = await node.pod();
    const result = await pod.add();
    const [ipv4, ipv6] = pod.ips();
    expect(result).toEqual({
      cniVersion: "1.1.0",
      interfaces: [
        { name: expect.stringMatching(/^hd[0-9a-f]{13}$/), mtu: 1450, sandbox: "" },
        { name: "eth0", mac: expect.stringMatching(/^02:/), mtu: 1450, sandbox: pod.path },
      ],
      ips: [
        { address: `${ipv4}/32`, gateway: "169.254.1.1", interface: 1 },
        { address: `${ipv6}/128`, gateway: "fe80::1", interface: 1 },
      ],
      routes: [
        { dst: "0.0.0.0/0", gw: "169.254.1.1" },
        { dst: "::/0", gw: "fe80::1" },
      ],
      dns: {},
    });
    const [link] = await pod.ip("link", "show", "eth0");
    expect(link).toMatchObject({ address: result.interfaces[1]?.mac, mtu: 1450, operstate: "UP" });
    expect(await addresses(pod, "eth0")).toEqual(result.ips.map((ip) => ip.address));
    expect(await defaults(pod)).toEqual(["169.254.1.1 dev eth0 metric 0", "fe80::1 dev eth0 metric 1024"]);
    const [hostLink] = JSON.parse(await node.exec("ip", "-j", "link", "show", pod.hostIf())) as Record<
      string,
      unknown
    >[];
    expect(hostLink).toMatchObject({ mtu: 1450, operstate: "UP" });
    await node.removePod(pod);
  });

  it.each(["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"])(
    "answers in the asked version's format: %s",
    async (cniVersion) => {
      const pod = await node.pod();
      const result = await pod.add({ conf: { cniVersion } });
      const [link] = result.interfaces;
      const old = cniVersion.startsWith("0");
      expect(result.cniVersion).toBe(cniVersion);
      expect(result.ips.map((ip) => ip.version)).toEqual(old ? ["4", "6"] : [undefined, undefined]);
      expect(link?.mtu).toBe(cniVersion === "1.1.0" ? 1450 : undefined);
      await pod.del({ conf: { cniVersion } });
      await node.deleteNetns(pod.netns);
    },
  );

  it("hands the configured DNS settings back", async () => {
    const dns = {
      nameservers: ["10.96.0.10", "fd96::a"],
      domain: "cluster.local",
      search: ["svc"],
      options: ["ndots:5"],
    };
    const pod = await node.pod();
    expect((await pod.add({ conf: { dns } })).dns).toEqual(dns);
    await node.removePod(pod);
  });

  it("names a netns path that is gone, or is no namespace", async () => {
    const file = join(node.dir, "file");
    writeFileSync(file, "");
    const paths: [path: string, words: string][] = [
      ["/run/netns/hd-no-such-namespace", "does not exist"],
      ["/proc/2147483647/ns/net", "does not exist"],
      [`${file}/below`, "cannot be used"],
      [file, "cannot be used"],
      [node.dir, "cannot be used"],
      ["/proc/self/ns/mnt", "cannot be used"],
    ];
    for (const [path, words] of paths) {
      const answer = await (await node.pod()).call("ADD", { netns: path });
      expect(answer, path).toMatchObject({ exitCode: 1, error: { code: 8 } });
      expect(answer.error?.msg, path).toContain(`CNI_NETNS ${path} ${words}`);
    }
    expect(await node.differencesTo(before)).toEqual([]);
  });

  it("refuses the node's own namespace, by whatever path", async () => {
    for (const path of [`/run/netns/${node.netns}`, `/proc/${node.agent.pid}/ns/net`]) {
      const answer = await (await node.pod()).call("ADD", { netns: path });
      expect(answer.error).toMatchObject({ code: 8, msg: `CNI_NETNS ${path} is the node's own namespace` });
    }
    expect(await node.differencesTo(before)).toEqual([]);
  });

  it("refuses an interface name that exists in the pod, and leaves that interface alone", async () => {
    const pod = await node.pod();
    await execOk(["ip", "-n", pod.netns, "link", "add", "eth0", "type", "veth", "peer", "name", "other"]);
    await execOk(["ip", "-n", pod.netns, "addr", "add", "192.0.2.1/24", "dev", "eth0"]);
    const inPod = await podSnapshot(pod);
    const answer = await pod.call("ADD");
    expect(answer).toMatchObject({ exitCode: 1, error: { code: 100 } });
    expect(answer.error?.msg).toBe(`an interface eth0 exists in ${pod.path}`);
    expect(await podSnapshot(pod)).toEqual(inPod);
    expect(await node.differencesTo(before)).toEqual([]);
    // What the failed ADD left behind must not keep a DEL, or an ADD under another name, from working.
    await pod.del();
    expect(await podSnapshot(pod)).toEqual(inPod);
    await pod.add({ ifname: "eth1" });
    await pod.del({ ifname: "eth1" });
    expect(await node.differencesTo(before)).toEqual([]);
    await node.deleteNetns(pod.netns);
  });

  it("adds two interfaces to one pod", async () => {
    const pod = await node.pod();
    const first = await pod.add();
    const second = await pod.add({ ifname: "net1" });
    expect(new Set([...first.ips, ...second.ips].map((ip) => ip.address)).size).toBe(4);
    expect(await addresses(pod, "eth0")).toEqual(first.ips.map((ip) => ip.address));
    expect(await addresses(pod, "net1")).toEqual(second.ips.map((ip) => ip.address));
    expect(second.routes).toEqual([
      { dst: "0.0.0.0/0", gw: "169.254.1.1", priority: 2048 },
      { dst: "::/0", gw: "fe80::1", priority: 2048 },
    ]);
    expect(await defaults(pod)).toEqual([
      "169.254.1.1 dev eth0 metric 0",
      "169.254.1.1 dev net1 metric 2048",
      "fe80::1 dev eth0 metric 1024",
      "fe80::1 dev net1 metric 2048",
    ]);
    for (const ifname of ["eth0", "net1"]) expect((await pod.check({ ifname })).error).toBeUndefined();
    const prober = await node.prober();
    for (const ip of [...pod.ips(), ...pod.ips("net1")]) {
      expect(await prober.probe("icmp", node.netns, ip), ip).toMatchObject({ ok: true });
    }
    await pod.del({ ifname: "net1" });
    expect((await pod.check()).error).toBeUndefined();
    expect(await prober.probe("icmp", pod.netns, "192.168.77.1")).toMatchObject({ ok: true });
    await node.removePod(pod);
    expect(await node.differencesTo(before)).toEqual([]);
  });

  it("repeats its answer for the same ADD, and refuses one with different data", async () => {
    const pod = await node.pod();
    const first = await pod.add();
    const wired = await node.snapshot();
    expect(await pod.add()).toEqual(first);
    const answer = await pod.call("ADD", { runtimeConfig: { mac: "02:00:00:00:00:99" } });
    expect(answer).toMatchObject({ exitCode: 1, error: { code: 101, details: expect.stringContaining("DEL") } });
    expect(await node.differencesTo(wired)).toEqual([]);
    expect((await pod.check()).error).toBeUndefined();
    await node.removePod(pod);
    expect(await node.differencesTo(before)).toEqual([]);
  });

  it("takes a namespace that was made anew under the same path for another pod", async () => {
    const pod = await node.pod();
    const first = await pod.add();
    await node.deleteNetns(pod.netns);
    await node.addNetns(pod.netns);
    const second = await pod.add();
    expect(second.ips).not.toEqual(first.ips);
    expect((await pod.check()).error).toBeUndefined();
    expect(await (await node.prober()).probe("icmp", node.netns, pod.ips()[0])).toMatchObject({ ok: true });
    await node.removePod(pod);
    expect(await node.differencesTo(before)).toEqual([]);
  });

  it("returns when the pod can be reached, and reach others, by IPv4 and IPv6", async () => {
    const prober = await node.prober();
    const peer = await node.wiredPod();
    await prober.serve(peer.netns);
    for (let i = 0; i < 8; i++) {
      const pod = await node.pod();
      await prober.serve(pod.netns);
      await pod.add();
      // A lost first packet would show: TCP sends its SYN again after a second, ping not at all.
      const probes = [
        ...pod.ips().map((ip) => [node.netns, ip] as const),
        ...peer.ips().map((ip) => [pod.netns, ip] as const),
      ];
      const failed = probes.flatMap(([from, ip]) =>
        (["icmp", "tcp"] as const).map(async (kind) => {
          const result = await prober.probe(kind, from, ip, { timeoutMs: 900 });
          return result.ok ? [] : [`round ${i}: ${kind} from ${from} to ${ip}: ${result.error}`];
        }),
      );
      expect((await Promise.all(failed)).flat()).toEqual([]);
      await prober.unserve(pod.netns);
      await node.removePod(pod);
    }
    await prober.unserve(peer.netns);
    await node.removePod(peer);
    expect(await node.differencesTo(before)).toEqual([]);
  });
});
