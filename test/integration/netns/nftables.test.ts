import { execFileSync } from "node:child_process";
import * as fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { RtNetlink } from "../../../src/dataplane/linux/netlink/client.ts";
import { NetlinkProtocol } from "../../../src/dataplane/linux/netlink/native.ts";
import { readChains } from "../../../src/dataplane/linux/nftables/chain-reader.ts";
import { nftDescriptors } from "../../../src/dataplane/linux/nftables/descriptors.ts";
import { FakeNft } from "../../../src/dataplane/linux/nftables/fake.ts";
import { NftProgram } from "../../../src/dataplane/linux/nftables/nft.ts";
import { parseTable } from "../../../src/dataplane/linux/nftables/parse.ts";
import { nftBaseItems } from "../../../src/dataplane/linux/nodes/nft-base.ts";
import { serviceBase } from "../../../src/dataplane/linux/services/base.ts";
import { renderServices } from "../../../src/dataplane/linux/services/renderer.ts";
import { createScheduler } from "../../../src/kvscheduler/scheduler.ts";
import { CLIENTS } from "../../../src/services/api.ts";
import { nftCompliance, outcome, tableOf } from "../../support/nft-compliance.ts";
import { engineOf, hostPorts } from "../../support/services/objects.ts";
import { isRoot, TestNamespaces } from "./netlink-support.ts";

const hasNft = (() => {
  try {
    execFileSync("nft", ["--version"]);
    return true;
  } catch {
    return false;
  }
})();

const names = ["a", "b", "c"];
const name = fc.constantFrom(...names);
const net = fc.constantFrom("10.0.0.0/8", "10.0.0.0/9", "10.128.0.0/9", "10.0.0.1", "192.0.2.0/24", "0.0.0.0/0");
const port = fc.constantFrom("tcp . 80", "udp . 80", "tcp . 0", "tcp . 70000");
const to = fc.constantFrom("10.0.0.1 . 1", "10.0.0.2 . 1");
const hook = fc.constantFrom(
  "",
  " { type nat hook prerouting priority -110; policy accept; }",
  " { type filter hook forward priority 0; policy accept; }",
);
const statement = fc.oneof(
  fc.tuple(name, hook).map(([n, h]) => `add chain inet hd ${n}${h}`),
  name.map((n) => `delete chain inet hd ${n}`),
  name.map((n) => `flush chain inet hd ${n}`),
  fc.tuple(name, name).map(([n, m]) => `add rule inet hd ${n} jump ${m} comment "hd:jump ${m}"`),
  name.map((n) => `add rule inet hd ${n} masquerade comment "hd:masquerade"`),
  fc.tuple(name, name).map(([n, m]) => `add rule inet hd ${n} ip daddr @net_${m} accept comment "hd:use ${m}"`),
  name.map((n) => `add set inet hd net_${n} { type ipv4_addr; flags interval; }`),
  name.map((n) => `delete set inet hd net_${n}`),
  fc.tuple(name, net).map(([n, k]) => `add element inet hd net_${n} { ${k} }`),
  fc.tuple(name, net).map(([n, k]) => `delete element inet hd net_${n} { ${k} }`),
  name.map((n) => `add map inet hd port_${n} { type inet_proto . inet_service : ipv4_addr . inet_service; }`),
  fc.tuple(name, port, to).map(([n, k, v]) => `add element inet hd port_${n} { ${k} : ${v} }`),
  fc.tuple(name, port).map(([n, k]) => `delete element inet hd port_${n} { ${k} }`),
);
const script = fc.array(statement, { minLength: 1, maxLength: 3 });

describe.skipIf(!isRoot || !hasNft)("the kernel's nftables (needs root and the program nft)", () => {
  const namespaces = new TestNamespaces();
  const nftIn = (path: string) => new NftProgram(["ip", "netns", "exec", path.split("/").at(-1) ?? "", "nft"]);
  const inNamespace = () => nftIn(namespaces.add());
  afterAll(() => namespaces[Symbol.dispose]());

  nftCompliance("NftProgram", inNamespace);

  it("list what Heddle writes as it was written, so that a restarted agent changes nothing", async () => {
    const netns = namespaces.add();
    const kernel = nftIn(netns);
    await using socket = await RtNetlink.open({ netns, protocol: NetlinkProtocol.NETFILTER });
    const chains = () => readChains(socket);
    const ports = (["tcp", "udp", "sctp"] as const).flatMap((protocol) =>
      [undefined, "192.0.2.1", "2001:db8::1"].map((hostIp, i) => ({
        protocol,
        hostPort: 80 + i,
        containerPort: 8080,
        hostIp,
      })),
    );
    const items = [
      ...nftBaseItems({
        podCIDRs: ["10.244.1.0/24", "fd10:244:0:1::/64"],
        clusterCIDRs: ["10.244.0.0/16", "10.245.0.0/16", "fd10:244::/48", "192.0.2.1/32", "2001:db8::1/128"],
        masquerade: true,
      }),
      ...serviceBase(CLIENTS),
      ...renderServices(engineOf([hostPorts(ports)]).rows(), CLIENTS),
    ].map(({ key, value }) => [key, value] as const);
    for (const expected of [items.length, 0]) {
      const scheduler = createScheduler();
      for (const descriptor of nftDescriptors(kernel, undefined, undefined, chains)) scheduler.register(descriptor);
      const { errors, record } = await scheduler.transact({ resync: "full", changes: items });
      expect([...errors]).toEqual([]);
      expect(record.executed).toHaveLength(expected);
      await scheduler.close();
    }
  });

  it("has the chains by netlink that nft lists", async () => {
    const netns = namespaces.add();
    const kernel = nftIn(netns);
    await using socket = await RtNetlink.open({ netns, protocol: NetlinkProtocol.NETFILTER });
    const rules = Array.from({ length: 300 }, (_, i) => `add rule inet hd some accept comment "hd:${i}"`);
    await kernel.run(
      [
        "add table inet hd",
        "add chain inet hd none",
        "add chain inet hd some",
        "add chain inet hd in { type filter hook input priority -5; policy drop; }",
        "add chain inet hd out { type nat hook postrouting priority 90; policy accept; }",
        'add chain inet hd link { type filter hook ingress device "lo" priority 7; policy accept; }',
        ...rules,
        "add rule inet hd some drop",
        "add table inet other",
        "add chain inet other some",
        'add rule inet other some accept comment "hd:1"',
        "add table ip hd",
        "add chain ip hd some",
        "add set inet hd nets { type ipv4_addr; flags interval; }",
        "add map inet hd ports { type inet_service : verdict; }",
        "add map inet other ports { type inet_service : verdict; }",
        "add element inet hd nets { 10.0.0.0/8 }",
        "add element inet hd ports { 80 : goto none }",
      ].join("\n"),
    );
    const listed = parseTable((await kernel.list("hd")) ?? []);
    const sets = parseTable((await kernel.sets("hd")) ?? []);
    expect(await readChains(socket)).toEqual(listed.chains);
    expect({ ...sets, chains: [] }).toEqual({ ...listed, chains: [] });
    expect(listed.chains.map((c) => c.digests.length)).toEqual([0, 301, 0, 0, 0]);
    expect(await kernel.sets("none")).toBeUndefined();
  });

  it("and the double come to the same, whatever is asked of them", async () => {
    const kernel = inNamespace();
    await fc.assert(
      fc.asyncProperty(fc.array(script, { minLength: 8, maxLength: 25 }), async (scripts) => {
        const fake = new FakeNft();
        const base = [
          "add table inet hd",
          "delete table inet hd",
          "add table inet hd",
          ...names.map((n) => `add chain inet hd ${n}`),
          ...names.map((n) => `add set inet hd net_${n} { type ipv4_addr; flags interval; }`),
        ];
        for (const nft of [kernel, fake]) await nft.run(`${base.join("\n")}\n`);
        for (const lines of scripts) {
          expect(await outcome(fake, ...lines), lines.join("\n")).toBe(await outcome(kernel, ...lines));
        }
        expect(await tableOf(fake)).toEqual(await tableOf(kernel));
      }),
      { numRuns: 15 },
    );
  });
});
