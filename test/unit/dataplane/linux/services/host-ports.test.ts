import { describe, expect, it } from "vitest";
import { serviceBase } from "../../../../../src/dataplane/linux/services/base.ts";
import { hostPortItems, redirectedFlows } from "../../../../../src/dataplane/linux/services/host-ports.ts";
import type { GroupOp } from "../../../../../src/kvscheduler/api/descriptor.ts";
import type { NftChainValue, NftElementValue } from "../../../../../src/models/nft.ts";
import type { HostPort } from "../../../../../src/pods/api.ts";
import { CLIENTS } from "../../../../../src/services/api.ts";
import { engineOf, HOST_POD, hostPorts } from "../../../../support/services/objects.ts";

describe("host ports", () => {
  const elements = (ips: readonly string[], ...ports: Partial<HostPort>[]) =>
    engineOf([
      hostPorts(
        ports.map((p) => ({ hostPort: 80, containerPort: 8080, ...p })),
        { ips },
      ),
    ])
      .hostPortsOf(HOST_POD)
      .flatMap((frontend) => [...hostPortItems(frontend)])
      .map(({ key, value }) => {
        const { set, key: k, data } = value as NftElementValue;
        expect(key).toBe(`linux/nft/element/${set}/${k}`);
        return data === undefined ? `${set} ${k}` : `${set} ${k} : ${data}`;
      });
  const [v4, v6] = ["10.0.0.2", "fd00::2"];
  const any = { 4: "hostports4 tcp . 80 : 10.0.0.2 . 8080", 6: "hostports6 tcp . 80 : fd00::2 . 8080" };

  it.each<[string, readonly string[], Partial<HostPort>, string[]]>([
    ["on every address, for both families", [v4, v6], {}, [any[4], any[6]]],
    ["on every address, for a pod of IPv4", [v4], {}, [any[4]]],
    ["on every IPv4 address", [v4, v6], { hostIp: "0.0.0.0" }, [any[4]]],
    ["on every IPv6 address", [v4, v6], { hostIp: "::" }, [any[6]]],
    [
      "on one IPv4 address",
      [v4, v6],
      { hostIp: "192.0.2.1", protocol: "udp" },
      ["hostports4_ip 192.0.2.1 . udp . 80 : 10.0.0.2 . 8080"],
    ],
    [
      "on one IPv6 address",
      [v4, v6],
      { hostIp: "2001:db8::1", protocol: "sctp" },
      ["hostports6_ip 2001:db8::1 . sctp . 80 : fd00::2 . 8080"],
    ],
    ["on the IPv6 loopback, where there can be none", [v4, v6], { hostIp: "::1" }, []],
    ["of a family that the pod does not have", [v4], { hostIp: "2001:db8::1" }, []],
  ])("%s", (_what, ips, port, expected) => {
    expect(elements(ips, port)).toEqual(expected);
  });

  it("are nothing for a pod without any", () => {
    expect(elements([v4, v6])).toEqual([]);
  });

  it("are an element each", () => {
    expect(elements([v4], {}, { hostPort: 81 }, { protocol: "udp" })).toEqual([
      any[4],
      "hostports4 tcp . 81 : 10.0.0.2 . 8080",
      "hostports4 udp . 80 : 10.0.0.2 . 8080",
    ]);
  });
});

describe("the base of host ports", () => {
  const chains = new Map(
    [...serviceBase(CLIENTS)].map(({ key, value }) => [key.replace("linux/nft/chain/", ""), value as NftChainValue]),
  );

  it("leaves ::1 alone, which no packet could leave the node from", () => {
    expect(chains.get("hostports")?.rules[0]).toBe("ip6 daddr ::1 return");
  });

  it("comes behind services, for whoever asks", () => {
    for (const client of CLIENTS) {
      for (const family of [4, 6]) {
        const rules = chains.get(`service_from_${client}${family}`)?.rules ?? [];
        const at = rules.findIndex((rule) => rule.endsWith("fib daddr type local jump hostports"));
        expect(rules.slice(at + 1)).toEqual(["ct mark set ct mark & 0xfffff7ff"]);
      }
    }
  });
});

describe("flows that must not stay where they were", () => {
  const op = (kind: GroupOp["kind"], set: string, key: string, descriptor = "nft-element"): GroupOp => ({
    ...{ kind, descriptor, key: `linux/nft/element/${set}/${key}` },
    value: { set, key, data: "10.0.0.2 . 8080" },
  });
  const udp = { protocol: "udp", destinationPort: 53 };
  const sctp = { protocol: "sctp", destinationPort: 132 };

  it.each<[string, GroupOp, object[]]>([
    ["of UDP, when a port becomes a pod's", op("create", "hostports4", "udp . 53"), [{ family: 4, ...udp }]],
    ["of UDP, when it becomes another pod's", op("update", "hostports6", "udp . 53"), [{ family: 6, ...udp }]],
    ["of UDP, when the pod goes", op("delete", "hostports4", "udp . 53"), [{ family: 4, ...udp }]],
    [
      "of UDP, to one address",
      op("create", "hostports4_ip", "192.0.2.1 . udp . 53"),
      [{ family: 4, ...udp, destination: "192.0.2.1" }],
    ],
    [
      "of UDP, to one IPv6 address",
      op("delete", "hostports6_ip", "2001:db8::1 . udp . 53"),
      [{ family: 6, ...udp, destination: "2001:db8::1" }],
    ],
    ["of SCTP, when the pod goes", op("delete", "hostports4", "sctp . 132"), [{ family: 4, ...sctp }]],
    [
      "of SCTP, when the port becomes another pod's",
      op("update", "hostports4", "sctp . 132"),
      [{ family: 4, ...sctp }],
    ],
    [
      "none of SCTP, when a port becomes a pod's: associations with the node live on",
      op("create", "hostports4", "sctp . 132"),
      [],
    ],
    ["none of TCP", op("delete", "hostports4", "tcp . 80"), []],
    ["none, when another set changes", op("delete", "hairpin4", "10.0.0.2 . 10.0.0.2"), []],
    ["none, when a set itself changes", op("delete", "hostports4", "udp . 53", "nft-set"), []],
  ])("are those %s", (_what, operation, expected) => {
    expect([...redirectedFlows([operation])]).toEqual(expected);
  });
});
