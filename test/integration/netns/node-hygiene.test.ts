import { afterEach, describe, expect, it } from "vitest";
import { differences, snapshotNetwork } from "../../../src/lab/demo/snapshot.ts";
import { AgentNode, execIn, podSnapshot, whyNoNetns } from "../../support/agent-node.ts";
import { until } from "../../support/until.ts";

const why = whyNoNetns();

/** Sends one router advertisement (RFC 4861, section 4.2) for 1,800 s to all nodes on eth0. */
const ADVERTISE = `
import socket, struct
s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
s.sendto(struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0), ("ff02::1", 0, 0, socket.if_nametoindex("eth0")))
`;

describe.skipIf(why !== undefined)(`what the agent does to a node${why ? ` (skipped: ${why})` : ""}`, () => {
  let node: AgentNode;

  afterEach(() => node?.close());

  /** Every sysctl of the IP layers in the node's namespace. */
  async function sysctls(): Promise<ReadonlySet<string>> {
    const text = await node.exec("sysctl", "-a", "-r", "^net\\.ipv[46]\\.(conf|neigh|ip_forward|route)");
    return new Set(text.trim().split("\n"));
  }

  it("cleanup takes everything down, pods' interfaces too, and restores the sysctls", async () => {
    node = await AgentNode.prepare();
    const before = new Map([...(await snapshotNetwork(node.netns)), ["sysctl", await sysctls()] as const]);
    await node.startAgent();
    const [one, two] = [await node.pod(), await node.pod()];
    const inPods = [await podSnapshot(one), await podSnapshot(two)];
    await one.add({ runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }] } });
    await two.add({
      runtimeConfig: {
        bandwidth: { ingressRate: 1_000_000, ingressBurst: 100_000, egressRate: 1_000_000, egressBurst: 100_000 },
      },
    });
    expect(await sysctls()).toContain("net.ipv4.conf.all.forwarding = 1");
    expect(await sysctls()).toContain("net.ipv6.conf.all.forwarding = 1");
    await node.agent.end("SIGTERM");
    // The agent's end alone changes nothing: pods keep their network.
    expect(await (await node.prober()).probe("icmp", one.netns, two.ips()[0])).toMatchObject({ ok: true });
    expect(await node.cleanup()).toMatchObject({ code: 0 });
    const after = new Map([...(await snapshotNetwork(node.netns)), ["sysctl", await sysctls()] as const]);
    expect(differences("node", before, after)).toEqual([]);
    expect([await podSnapshot(one), await podSnapshot(two)]).toEqual(inPods);
    expect(node.sandboxRecords()).toEqual([]);
    // Once more changes nothing, and a new agent starts where there was none.
    expect(await node.cleanup()).toMatchObject({ code: 0 });
    await node.startAgent();
    await node.removePod(await node.wiredPod());
  });

  it("cleanup after a crash takes down what the crash has left", async () => {
    node = await AgentNode.prepare();
    const before = await snapshotNetwork(node.netns);
    await node.startAgent();
    const pod = await node.wiredPod();
    await node.agent.end("SIGKILL");
    await node.deleteNetns(pod.netns);
    expect(await node.cleanup()).toMatchObject({ code: 0 });
    expect(differences("node", before, await snapshotNetwork(node.netns))).toEqual([]);
  });

  it("a default route learnt from a router advertisement survives, and is still listened for", async () => {
    node = await AgentNode.prepare();
    await node.exec("ip", "-6", "route", "del", "default");
    const learnt = async () => (await node.exec("ip", "-6", "route", "show", "default")).includes("proto ra");
    // Not at once: the sender needs its link-local address first, which comes a moment after its link is up.
    const advertise = () =>
      until("the default route is learnt", async () => {
        return (await execIn(node.outside, "python3", "-c", ADVERTISE)).code === 0 && (await learnt());
      });
    expect(await sysctls()).toContain("net.ipv6.conf.eth0.accept_ra = 1");
    await advertise();
    await node.startAgent();
    expect(await learnt()).toBe(true);
    expect(await sysctls()).toContain("net.ipv6.conf.all.forwarding = 1");
    await node.exec("ip", "-6", "route", "del", "default");
    await advertise();
    await node.agent.end("SIGTERM");
    expect(await node.cleanup()).toMatchObject({ code: 0 });
    expect(await sysctls()).toContain("net.ipv6.conf.eth0.accept_ra = 1");
    expect(await learnt()).toBe(true);
  });

  it("status names other tables that would drop pods' traffic, and a kube-proxy beside us", async () => {
    node = await AgentNode.start();
    expect((await node.status()).dataplane.warnings).toEqual([]);
    await node.exec(
      "nft",
      "add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }",
    );
    await node.exec("nft", "add table ip nat; add chain ip nat KUBE-SERVICES");
    await node.exec(
      "nft",
      "add table inet harmless; add chain inet harmless forward { type filter hook forward priority 0; policy accept; }",
    );
    const { warnings } = (await node.status()).dataplane;
    expect(warnings).toHaveLength(2);
    expect(warnings.join("\n")).toMatch(/chain FORWARD of table ip filter drops/);
    expect(warnings.join("\n")).toMatch(/kube-proxy.*table ip nat \(chain KUBE-SERVICES\)/);
    await node.exec("nft", "flush", "ruleset");
  });

  it("status names a firewall that rejects at the end of its chains, as firewalld and iptables-nft write them", async () => {
    node = await AgentNode.start();
    await node.exec(
      "nft",
      `table inet firewalld {
        chain policies { ct state invalid drop; }
        chain filter_FORWARD {
          type filter hook forward priority 10; policy accept;
          ct state { established, related } accept; jump policies; counter reject with icmpx admin-prohibited;
        }
        chain filter_INPUT { type filter hook input priority 10; policy accept; ct state invalid drop; }
      }`,
    );
    await node.exec("iptables-nft", "-A", "INPUT", "-i", "lo", "-j", "ACCEPT"); // the way to the agent's REST
    await node.exec("iptables-nft", "-A", "INPUT", "-j", "REJECT");
    expect((await node.status()).dataplane.warnings.toSorted()).toEqual([
      expect.stringContaining("chain INPUT of table ip filter drops"),
      expect.stringContaining("chain filter_FORWARD of table inet firewalld drops"),
    ]);
  });

  it("status names what nftables does not show: iptables-legacy, and a kube-proxy in IPVS mode", async () => {
    node = await AgentNode.start();
    await node.exec("iptables-legacy", "-P", "FORWARD", "DROP");
    await node.exec("ip6tables-legacy", "-A", "INPUT", "-j", "DROP");
    await node.exec("iptables-legacy", "-t", "nat", "-N", "KUBE-SERVICES");
    await node.exec("ip", "link", "add", "kube-ipvs0", "type", "bridge");
    const { warnings } = (await node.status()).dataplane;
    expect(warnings).toHaveLength(4);
    expect(warnings.join("\n")).toMatch(/^iptables-legacy: chain FORWARD of table filter drops/m);
    expect(warnings.join("\n")).toMatch(/^ip6tables-legacy: chain INPUT of table filter drops/m);
    expect(warnings.join("\n")).toMatch(/^iptables-legacy: a kube-proxy .*table nat \(chain KUBE-SERVICES\)/m);
    expect(warnings.join("\n")).toMatch(/^a kube-proxy in IPVS mode .*kube-ipvs0/m);
  });
});
