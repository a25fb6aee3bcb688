import { describe, expect, it } from "vitest";
import { renderPod } from "../../../../../src/dataplane/linux/pods/renderer.ts";
import { GATEWAY_MAC } from "../../../../../src/models/linux.ts";
import { podRow } from "../../../../support/pods/rows.ts";

const LINK = "hd0000000000001";
const row = (more: Parameters<typeof podRow>[0] = {}) => podRow({ hostIf: LINK, ...more });
const items = (more?: Parameters<typeof podRow>[0]): Record<string, unknown> =>
  Object.fromEntries([...renderPod(row(more))].map(({ key, value }) => [key, value]));

const V4 = [
  `linux/address/${LINK}/pod/10.244.1.2/32`,
  `linux/neighbour/${LINK}/pod/169.254.1.1`,
  `linux/route/${LINK}/pod/0.0.0.0/0`,
  "linux/route/node/10.244.1.2/32",
  `linux/neighbour/${LINK}/node/10.244.1.2`,
  "linux/nft/element/hairpin4/10.244.1.2 . 10.244.1.2",
];
const V6 = [
  `linux/address/${LINK}/pod/fd10:244:0:1::2/128`,
  `linux/neighbour/${LINK}/pod/fe80::1`,
  `linux/route/${LINK}/pod/::/0`,
  "linux/route/node/fd10:244:0:1::2/128",
  `linux/neighbour/${LINK}/node/fd10:244:0:1::2`,
  "linux/nft/element/hairpin6/fd10:244:0:1::2 . fd10:244:0:1::2",
];
const LINKS = [`linux/link/${LINK}`, `linux/carrier/${LINK}`];

describe("a pod", () => {
  it.each([
    [["10.244.1.2"], [...LINKS, ...V4]],
    [["fd10:244:0:1::2"], [...LINKS, ...V6]],
    [
      ["10.244.1.2", "fd10:244:0:1::2"],
      [...LINKS, ...V4, ...V6],
    ],
  ])("with %j has an address, a gateway and a way back for each family", (ips, expected) => {
    expect(Object.keys(items({ ips })).toSorted()).toEqual(expected.toSorted());
  });

  it("reaches everything through a gateway that always answers, and is reached by a host route", () => {
    const found = items({ ips: ["10.244.1.2"] });
    const gatewayMac = (found[`linux/link/${LINK}`] as { mac: string }).mac;
    expect(found).toMatchObject({
      [`linux/link/${LINK}`]: {
        ...{ kind: "veth", name: LINK, mtu: 1450, state: "up" },
        pod: { netns: "/run/netns/c1", netnsId: "4:1", ifName: "eth0", mac: "02:00:00:00:00:01", mtu: 1450 },
      },
      [`linux/neighbour/${LINK}/pod/169.254.1.1`]: { mac: gatewayMac },
      [`linux/route/${LINK}/pod/0.0.0.0/0`]: { gateway: "169.254.1.1", onLink: true, end: "pod" },
      "linux/route/node/10.244.1.2/32": { link: LINK, end: "node", type: "unicast" },
      [`linux/neighbour/${LINK}/node/10.244.1.2`]: { mac: "02:00:00:00:00:01" },
    });
    expect(found[`linux/route/${LINK}/pod/0.0.0.0/0`]).not.toHaveProperty("metric");
    expect(gatewayMac).toBe(GATEWAY_MAC);
  });

  it("whose interface is a further one has default routes that yield", () => {
    const found = items({ routeMetric: 2048 });
    for (const dst of ["0.0.0.0/0", "::/0"]) {
      expect(found[`linux/route/${LINK}/pod/${dst}`]).toMatchObject({ metric: 2048 });
    }
  });

  it("is rendered the same whenever it is asked for", () => {
    expect(items({ routeMetric: 7 })).toEqual(items({ routeMetric: 7 }));
  });

  it.each([
    [undefined, []],
    [{ ingressRate: 0, ingressBurst: 0, egressRate: 0, egressBurst: 0 }, []],
    [{ ingressRate: 8, ingressBurst: 9, egressRate: 0, egressBurst: 0 }, [`linux/shaper/${LINK}`]],
    [
      { ingressRate: 0, ingressBurst: 0, egressRate: 8, egressBurst: 9 },
      ["linux/link/hdi000000000000", `linux/redirect/${LINK}`, "linux/shaper/hdi000000000000"],
    ],
    [
      { ingressRate: 8, ingressBurst: 9, egressRate: 8, egressBurst: 9 },
      [`linux/shaper/${LINK}`, "linux/link/hdi000000000000", `linux/redirect/${LINK}`, "linux/shaper/hdi000000000000"],
    ],
  ])("with bandwidth %j is shaped by what that needs", (bandwidth, expected) => {
    const more = Object.keys(items({ bandwidth })).slice(LINKS.length + V4.length + V6.length);
    expect(more).toEqual(expected);
  });
});

describe("host ports", () => {
  const [v4, v6] = ["10.0.0.2", "fd00::2"];

  const localnet = (ips: readonly string[], hostIp?: string) =>
    items({
      ips,
      hostPorts: [{ protocol: "tcp", hostPort: 80, containerPort: 8080, ...(hostIp === undefined ? {} : { hostIp }) }],
    })[`linux/sysctl/net/ipv4/conf/${LINK}/route_localnet`];

  it.each([undefined, "0.0.0.0", "127.0.0.1", "127.1.2.3"])(
    "on %s let the loopback's packets out by the link",
    (ip) => {
      expect(localnet([v4, v6], ip)).toEqual({
        ...{ name: `net/ipv4/conf/${LINK}/route_localnet`, value: "1", after: [], link: LINK },
        requires: ["linux/nft/chain/loopback_guard"],
      });
    },
  );

  it.each([
    [[v4, v6], "::"],
    [[v4, v6], "::1"],
    [[v4, v6], "192.0.2.1"],
    [[v6], undefined],
  ])("of a pod %j on %s are none on the IPv4 loopback", (ips, ip) => {
    expect(localnet(ips, ip)).toBeUndefined();
  });
});

describe("a pod without host ports", () => {
  it("has nothing to do with the loopback", () => {
    expect(Object.keys(items()).filter((key) => key.includes("sysctl"))).toEqual([]);
  });
});
