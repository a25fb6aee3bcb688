import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EgressLab, FAMILIES, type Family } from "../../support/egress/egress-lab.ts";
import { whyNoNetns } from "../../support/lab/toy.ts";
import { sent } from "../../support/restart-lab.ts";
import { until } from "../../support/until.ts";

/** Addresses that a node gets beside its own. */
const FIRST: Readonly<Record<Family, string>> = { 4: "192.168.77.150", 6: "fd77::150" };
const SECOND: Readonly<Record<Family, string>> = { 4: "192.168.77.151", 6: "fd77::151" };
const both = (ips: Readonly<Record<Family, string>>): string => `${ips[4]}, ${ips[6]}`;
const PODS = ["shop/s1", "shop/s2"] as const;
/** The agent looks at its node's addresses every 10 s. */
const LOOKED_MS = 15_000;

const whyNot = whyNoNetns();
describe.skipIf(whyNot !== undefined)(`egress addresses, linux${whyNot ? ` (skipped: ${whyNot})` : ""}`, () => {
  let lab: EgressLab;

  beforeAll(async () => {
    lab = await EgressLab.up("linux");
    for (const ip of Object.values(FIRST)) await lab.address("add", "n2", ip);
  });
  afterAll(() => lab?.[Symbol.asyncDispose]());

  /** Everybody is seen as they should be. */
  const expectAll = async (expected: Readonly<Record<Family, string>>): Promise<void> => {
    for (const family of FAMILIES) {
      for (const pod of PODS) {
        await lab.soon(pod, family, expected[family]);
        expect(await lab.seen(pod, family, "udp"), `${pod} ${family}`).toBe(expected[family]);
      }
      expect(await lab.seen("a", family)).toBe("n1");
      expect(await lab.seen("b", family)).toBe("n2");
    }
  };

  it("pods of the namespace are seen as its address, from whatever node; others as their node", async () => {
    lab.ask(undefined);
    for (const family of FAMILIES) await lab.soon("shop/s1", family, "n1");
    lab.ask(both(FIRST));
    await expectAll(FIRST);
    for (const family of FAMILIES) for (const pod of PODS) expect(await lab.pings(pod, family)).toBe(true);
    for (const node of ["n1", "n2"]) {
      const { namespaces, missing } = await lab.status(node);
      const addresses = FAMILIES.map((family) => ({ address: FIRST[family], node: "n2" }));
      // The node that has the address knows of the other's pods, too.
      expect(namespaces).toEqual([{ namespace: "shop", addresses, pods: node === "n2" ? 4 : 2, problems: [] }]);
      expect(missing).toEqual([]);
    }
  });

  it("inside of the cluster they are seen as they are, and by nodes as always", async () => {
    const { services } = lab;
    for (const [index] of FAMILIES.entries()) {
      for (const [from, name] of [
        ["shop/s1", "s1"],
        ["shop/s2", "s2"],
      ] as const) {
        for (const to of ["a", "b"]) {
          const ip = services.ips(to)[index] ?? "";
          expect(await services.hit(from, ip, { port: 7000 })).toBe(`${to} saw ${name}`);
        }
      }
      expect(await services.hit("shop/s1", services.ips("n2")[index] ?? "", { port: 7000 })).toBe("n2 saw n1");
      expect(await services.hit("shop/s2", services.ips("n1")[index] ?? "", { port: 7000 })).toBe("n1 saw n2");
    }
  });

  it("answers to clients from outside go by the node that they came to", async () => {
    const { services } = lab;
    services.service("door", {
      type: "NodePort",
      externalTrafficPolicy: "Local",
      clusterIPs: ["10.96.7.7"],
      ports: [{ port: 80, nodePort: 30_090 }],
    });
    const [address = ""] = services.ips("shop/s1");
    services.endpoints("door", 4, [{ address, node: "n1" }]);
    const [n1 = ""] = services.ips("n1");
    await services.soon("outside", n1, /^s1 saw outside$/, { port: 30_090 });
    services.delete("Service", "door");
  });

  it("a pod that comes is seen so from its first connection, where the address is; elsewhere as soon as it is known there", async () => {
    const { lab: nodes } = lab.services.nodes;
    for (const node of ["n1", "n2"]) {
      const name = `shop/new-${node}`;
      await nodes.addPod(name, node);
      if (node === "n2") expect(await lab.seen(name, 4)).toBe(FIRST[4]);
      for (const family of FAMILIES) await lab.soon(name, family, FIRST[family]);
      await nodes.delPod(name);
    }
  });

  it("nothing is sent to the kernel when agents start again, and it holds meanwhile", async () => {
    for (const node of ["n1", "n2"]) {
      await lab.services.nodes.stopAgent(node);
      for (const family of FAMILIES) for (const pod of PODS) expect(await lab.seen(pod, family)).toBe(FIRST[family]);
      const since = Date.now();
      await lab.services.nodes.startAgent(node);
      for (const family of FAMILIES) for (const pod of PODS) expect(await lab.seen(pod, family)).toBe(FIRST[family]);
      const ops = sent(await lab.services.nodes.history(node, since));
      expect(ops.map(({ op, key }) => `${op} ${key}`)).toEqual([]);
    }
  });

  it("flows that began with another source get the right one, or nothing", async () => {
    const flow = { kind: "udp", sourcePort: 5555 } as const;
    const expectFlows = async (expected: Readonly<Record<(typeof PODS)[number], string>>): Promise<void> => {
      for (const pod of PODS) await lab.soon(pod, 4, expected[pod], flow);
    };
    const nodes = { "shop/s1": "n1", "shop/s2": "n2" };
    lab.ask(undefined);
    await expectFlows(nodes);
    lab.ask(both(FIRST));
    await expectFlows({ "shop/s1": FIRST[4], "shop/s2": FIRST[4] });
    lab.ask(undefined);
    await expectFlows(nodes);
  });

  it("the address may move to another node: until it has one, nothing gets out", async () => {
    lab.ask(both(SECOND));
    for (const family of FAMILIES) for (const pod of PODS) await lab.soon(pod, family, "ETIMEDOUT");
    expect(await lab.problems("n1")).toEqual(
      FAMILIES.map((f) => `NO_NODE no node has ${SECOND[f]}; what leaves the cluster by IPv${f} is dropped`),
    );
    expect(await lab.seen("a", 4)).toBe("n1");
    for (const ip of Object.values(SECOND)) await lab.address("add", "n1", ip);
    for (const family of FAMILIES) await lab.soon("shop/s2", family, SECOND[family], { withinMs: LOOKED_MS });
    await expectAll(SECOND);
    for (const ip of Object.values(SECOND)) await lab.address("add", "n2", ip);
    await until("n1 says that n2 has it, too", async () => (await lab.problems("n1")).length === 2, LOOKED_MS);
    expect((await lab.problems("n1"))[0]).toBe(
      `SEVERAL_NODES ${SECOND[4]} is taken to be node n2's, which got it last; n1 says so, too`,
    );
    for (const ip of Object.values(SECOND)) await lab.address("del", "n1", ip);
    await until("n1 has it no more", async () => (await lab.problems("n2")).length === 0, LOOKED_MS);
    await expectAll(SECOND);
  });

  it("a family without address gets nothing out, nor does a namespace with an annotation that can't be read", async () => {
    lab.ask(FIRST[4]);
    for (const pod of PODS) {
      await lab.soon(pod, 4, FIRST[4]);
      await lab.soon(pod, 6, "ETIMEDOUT");
    }
    expect(await lab.problems("n2")).toEqual([
      "NO_FAMILY no IPv6 address is named; what leaves the cluster by IPv6 is dropped",
    ]);
    for (const [text, why] of [
      ["10.244.9.9", "10.244.9.9 is in 10.244.0.0/16, which is the cluster's"],
      ["192.0.2.1, 192.0.2.2", "there are two IPv4 addresses"],
      ["n2", '"n2" is not an IP address'],
    ] as const) {
      lab.ask(text);
      await until(why, async () => (await lab.problems("n1")).join().startsWith(`INVALID ${why};`));
      for (const family of FAMILIES) for (const pod of PODS) await lab.soon(pod, family, "ETIMEDOUT");
      expect(await lab.seen("a", 4)).toBe("n1");
    }
  });

  it("what somebody breaks is repaired; meanwhile nothing leaves as somebody else", async () => {
    lab.ask(both(FIRST));
    await expectAll(FIRST);
    const { id } = await lab.services.nodes.status("n2").then(({ node }) => node);
    const mark = `0x${(0x6800_0000 + id).toString(16)}`;
    await lab.services.exec("n1", "ip", "rule", "del", "fwmark", mark);
    await lab.services.exec("n1", "ip", "-6", "route", "flush", "table", String(0x6800_0000 + id));
    for (const family of FAMILIES) expect(await lab.seen("shop/s1", family)).not.toMatch(/n[12]|:|\d/);
    await lab.services.nodes.lab.restart("n1");
    await expectAll(FIRST);
  });

  it("without the annotation all is as before, and nothing is left", async () => {
    lab.ask(undefined);
    for (const family of FAMILIES) {
      await lab.soon("shop/s1", family, "n1");
      await lab.soon("shop/s2", family, "n2");
    }
    for (const node of ["n1", "n2"]) {
      expect(await lab.services.exec(node, "nft", "list", "table", "inet", "hd")).not.toMatch(
        /(set|map|chain) egress_/,
      );
      expect(await lab.services.exec(node, "ip", "rule")).not.toContain("fwmark");
      expect(await lab.services.exec(node, "ip", "-6", "rule")).not.toContain("fwmark");
      expect(await lab.services.exec(node, "ip", "route", "show", "table", "all")).not.toContain("table 17448");
    }
  });
});

describe.skipIf(whyNot !== undefined)(
  `egress addresses without overlay, linux${whyNot ? ` (skipped: ${whyNot})` : ""}`,
  () => {
    it("pods of the namespace are seen as its address, from whatever node, or nothing gets out", async () => {
      await using lab = await EgressLab.up("linux", "none");
      lab.ask(lab.services.ips("n2").join());
      for (const family of FAMILIES) {
        for (const pod of PODS) await lab.soon(pod, family, "n2");
        expect(await lab.seen("a", family)).toBe("n1");
      }
      lab.ask(both(FIRST));
      for (const family of FAMILIES) for (const pod of PODS) await lab.soon(pod, family, "ETIMEDOUT");
      lab.ask(undefined);
      for (const family of FAMILIES) await lab.soon("shop/s1", family, "n1");
    });
  },
);
