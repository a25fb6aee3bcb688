import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { execOk } from "../../../src/lab/process/exec.ts";
import { type DataplaneName, onEachDataplane } from "../../support/agent-node/dataplanes.ts";
import { AgentNode, type TestPod } from "../../support/agent-node.ts";

const silent = { exitCode: 0, result: undefined, error: undefined, stderr: "" };
const runtimeConfig = {
  portMappings: [
    { hostPort: 8080, containerPort: 80, protocol: "tcp" },
    { hostPort: 8053, containerPort: 53, protocol: "udp", hostIP: "192.168.77.1" },
  ],
};

onEachDataplane("CHECK", (dataplane) => {
  let node: AgentNode;

  beforeAll(async () => {
    // No repair meanwhile: what a test removed would be back.
    node = await AgentNode.start({ dataplane, config: { healing: { periodSeconds: 0 } } });
  });

  afterAll(() => node?.close());

  it("succeeds at once after every ADD", async () => {
    for (let i = 0; i < 5; i++) {
      const pod = await node.wiredPod(i % 2 === 0 ? {} : { runtimeConfig });
      expect(await pod.check({ runtimeConfig })).toEqual(silent);
      await node.removePod(pod);
    }
  });

  it("answers code 3 for a pod it never added", async () => {
    const [pod, stranger] = [await node.wiredPod(), await node.pod()];
    const prevResult = pod.result();
    expect(await stranger.call("CHECK", { conf: { prevResult } })).toMatchObject({ exitCode: 1, error: { code: 3 } });
    expect(await pod.call("CHECK", { ifname: "net7", conf: { prevResult } })).toMatchObject({ error: { code: 3 } });
    await node.removePod(pod);
    expect(await pod.call("CHECK", { conf: { prevResult } })).toMatchObject({ error: { code: 3 } });
  });

  it("refuses a result that is another pod's", async () => {
    const [pod, another] = [await node.wiredPod(), await node.wiredPod()];
    const answer = await pod.call("CHECK", { conf: { prevResult: another.result() } });
    expect(answer).toMatchObject({ exitCode: 1, error: { code: 102, details: expect.stringContaining("eth0") } });
    await node.removePod(pod);
    await node.removePod(another);
  });

  describe("names the address, route, link or neighbour that someone removed", () => {
    let pod: TestPod;

    beforeEach(async () => {
      pod = await node.wiredPod();
    });

    afterEach(async () => {
      await node.removePod(pod);
    });

    const inPod = (...words: string[]) => execOk(["ip", "-n", pod.netns, ...words]);
    const onNode = (...words: string[]) => node.exec("ip", ...words);

    const inVpp = (command: string) => node.vpp.ctl(command);

    type Case = readonly [what: string, remove: () => Promise<unknown>, words: () => string[]];
    /** What the node has for the pod to be reached, where the kernel forwards and where VPP does. */
    const onNodes: Record<DataplaneName, readonly Case[]> = {
      linux: [
        [
          "the node's IPv4 route",
          () => onNode("route", "del", `${pod.ips()[0]}/32`),
          () => [`route ${pod.ips()[0]}/32`, pod.hostIf()],
        ],
        [
          "the node's IPv6 route",
          () => onNode("-6", "route", "del", `${pod.ips()[1]}/128`),
          () => [`route ${pod.ips()[1]}/128`],
        ],
        [
          "the node's neighbour",
          () => onNode("neigh", "del", pod.ips()[0], "dev", pod.hostIf()),
          () => [`neighbour ${pod.ips()[0]}`],
        ],
      ],
      // A route of VPP's API can't be taken away by its CLI, which has its own.
      vpp: [
        [
          "VPP's IPv4 neighbour",
          () => inVpp(`set ip neighbor del host-${pod.hostIf()} ${pod.ips()[0]} ${pod.result().interfaces[1]?.mac}`),
          () => [`neighbour ${pod.ips()[0]}`],
        ],
        [
          "VPP's IPv6 neighbour",
          () => inVpp(`set ip neighbor del host-${pod.hostIf()} ${pod.ips()[1]} ${pod.result().interfaces[1]?.mac}`),
          () => [`neighbour ${pod.ips()[1]}`],
        ],
        [
          "VPP's interface borrowing the gateway's address",
          () => inVpp(`set interface unnumbered del host-${pod.hostIf()}`),
          () => ["unnumbered as gateway"],
        ],
        [
          "VPP's interface being up",
          () => inVpp(`set interface state host-${pod.hostIf()} down`),
          () => [`vpp-interface-up of ${pod.hostIf()} is missing`],
        ],
        [
          "VPP's interface",
          () => inVpp(`delete host-interface name ${pod.hostIf()}`),
          () => ["vpp-interface af-packet, mtu 1450 is missing"],
        ],
      ],
    };
    const cases: readonly Case[] = [
      ...onNodes[dataplane],
      [
        "the pod's IPv4 address",
        () => inPod("addr", "del", `${pod.ips()[0]}/32`, "dev", "eth0"),
        () => ["address", pod.ips()[0]],
      ],
      [
        "the pod's IPv6 address",
        () => inPod("addr", "del", `${pod.ips()[1]}/128`, "dev", "eth0"),
        () => ["address", pod.ips()[1]],
      ],
      [
        "the pod's IPv4 default route",
        () => inPod("route", "del", "default"),
        () => ["route 0.0.0.0/0", "169.254.1.1"],
      ],
      ["the pod's IPv6 default route", () => inPod("-6", "route", "del", "default"), () => ["route ::/0", "fe80::1"]],
      [
        "the pod's IPv4 neighbour",
        () => inPod("neigh", "del", "169.254.1.1", "dev", "eth0"),
        () => ["neighbour 169.254.1.1"],
      ],
      ["the pod's IPv6 neighbour", () => inPod("neigh", "del", "fe80::1", "dev", "eth0"), () => ["neighbour fe80::1"]],
      ["the pod's end", () => inPod("link", "del", "eth0"), () => ["link", `eth0 in ${pod.path}`]],
      ["the node's end", () => onNode("link", "del", pod.hostIf()), () => ["link", `eth0 in ${pod.path}`]],
      ["the pod's end being up", () => inPod("link", "set", "eth0", "down"), () => ["link", "down"]],
      ["the node's end being up", () => onNode("link", "set", pod.hostIf(), "down"), () => ["link", "down"]],
      ["the MTU", () => inPod("link", "set", "eth0", "mtu", "1300"), () => ["mtu 1300"]],
      [
        "the MAC address",
        () => inPod("link", "set", "eth0", "address", "02:00:00:00:00:01"),
        () => ["02:00:00:00:00:01"],
      ],
      [
        "the pod's end being its own: another link has its name",
        async () => {
          await inPod("link", "del", "eth0");
          await inPod("link", "add", "eth0", "type", "veth", "peer", "name", "other");
        },
        () => ["link", `eth0 in ${pod.path}`],
      ],
    ];

    it.each(cases)("%s", async (_what, remove, words) => {
      expect(await pod.check()).toEqual(silent);
      await remove();
      const answer = await pod.check();
      expect(answer).toMatchObject({
        exitCode: 1,
        error: { code: 102, msg: expect.stringContaining(pod.containerId) },
      });
      for (const word of words()) expect(answer.error?.details).toContain(word);
    });

    it("the namespace", async () => {
      await node.deleteNetns(pod.netns);
      const answer = await pod.check();
      expect(answer).toMatchObject({ exitCode: 1, error: { code: 102 } });
      expect(answer.error?.details).toContain(`eth0 in ${pod.path}`);
    });
  });

  it("names the host port rule that someone removed", async () => {
    const pod = await node.wiredPod({ runtimeConfig });
    const [ipv4, ipv6] = pod.ips();
    for (const [map, key, data] of [
      ["hostports4", "tcp . 8080", `${ipv4} . 80`],
      ["hostports6", "tcp . 8080", `${ipv6} . 80`],
      ["hostports4_ip", "192.168.77.1 . udp . 8053", `${ipv4} . 53`],
    ] as const) {
      await node.exec("nft", "delete", "element", "inet", "hd", map, `{ ${key} }`);
      const answer = await pod.check({ runtimeConfig });
      expect(answer).toMatchObject({ exitCode: 1, error: { code: 102, details: expect.stringContaining(key) } });
      expect(answer.error?.details).toContain(map);
      await node.exec("nft", "add", "element", "inet", "hd", map, `{ ${key} : ${data} }`);
      expect(await pod.check({ runtimeConfig })).toEqual(silent);
    }
    await node.removePod(pod);
  });

  if (dataplane === "vpp") {
    // Ports of the node that others than the node itself come by.
    it("names the translation that someone removed", async () => {
      const pod = await node.wiredPod({ runtimeConfig });
      for (const ip of ["192.168.77.1", "fd77::1"]) {
        const shown = await node.vpp.ctl("show cnat translation");
        const [, id] = shown.match(new RegExp(`^\\[(\\d+)\\] ${ip};8080 TCP`, "m")) ?? [];
        await node.vpp.ctl(`cnat translation del ${id}`);
        const answer = await pod.check({ runtimeConfig });
        expect(answer).toMatchObject({ exitCode: 1, error: { code: 102 } });
        expect(answer.error?.details).toMatch(new RegExp(`vpp-cnat-translation \\[?${ip}\\]?:8080 to .* is missing`));
      }
      await node.removePod(pod);
    });
  }

  it("names the shaping, and the way from the loopback, that someone removed", async () => {
    const rates = { ingressRate: 8_000_000, ingressBurst: 800_000, egressRate: 8_000_000, egressBurst: 800_000 };
    const everything = { runtimeConfig: { ...runtimeConfig, bandwidth: rates } };
    type Removal = readonly [remove: (link: string) => Promise<unknown>, words: string];
    const shaper: Removal = [(link) => node.exec("tc", "qdisc", "del", "dev", link, "root"), "shaper 8000000 bit/s"];
    const removals: Record<DataplaneName, readonly Removal[]> = {
      linux: [
        shaper,
        [(link) => node.exec("tc", "qdisc", "del", "dev", link, "ingress"), "redirect"],
        [(link) => node.exec("ip", "link", "del", `hdi${link.slice(2, 14)}`), "is missing"],
        [(link) => node.exec("sysctl", "-q", "-w", `net.ipv4.conf.${link}.route_localnet=0`), "route_localnet"],
      ],
      // The way from the loopback is the node's there, and the same for all pods.
      vpp: [shaper, [(link) => node.vpp.ctl(`policer input name heddle:${link} host-${link} unapply`), "not in force"]],
    };
    for (const [remove, words] of removals[dataplane]) {
      const pod = await node.wiredPod(everything);
      expect(await pod.check(everything)).toEqual(silent);
      await remove(pod.hostIf());
      const answer = await pod.check(everything);
      expect(answer).toMatchObject({ exitCode: 1, error: { code: 102, details: expect.stringContaining(words) } });
      await pod.del(everything);
      await node.deleteNetns(pod.netns);
    }
  });

  it("finds the address of a pod that somebody gave to another interface", async () => {
    const pod = await node.wiredPod();
    const [ipv4] = pod.ips();
    await execOk(["ip", "-n", pod.netns, "addr", "del", `${ipv4}/32`, "dev", "eth0"]);
    await execOk(["ip", "-n", pod.netns, "addr", "add", `${ipv4}/32`, "dev", "lo"]);
    expect(await pod.check()).toMatchObject({ exitCode: 1, error: { details: expect.stringContaining(ipv4) } });
    await node.removePod(pod);
  });
});
