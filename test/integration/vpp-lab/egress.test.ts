import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EgressLab, FAMILIES, type Family } from "../../support/egress/egress-lab.ts";
import { until } from "../../support/until.ts";
import { noVppLab, vppLabNote } from "../../support/vpp/vpp-lab.ts";

const PODS = ["shop/s1", "shop/s2"] as const;

describe.skipIf(noVppLab)(`egress addresses on two nodes with VPP${vppLabNote}`, () => {
  let lab: EgressLab;
  /** A node's own addresses: VPP has those that the uplink had when it was taken. */
  const ofNode = (node: string): string => lab.services.ips(node).join();

  beforeAll(async () => {
    lab = await EgressLab.up("vpp");
    for (const pod of ["a", "b"]) for (const family of FAMILIES) await lab.soon(pod, family, pod === "a" ? "n1" : "n2");
  });
  afterAll(() => lab?.[Symbol.asyncDispose]());

  const expectAll = async (expected: string): Promise<void> => {
    for (const family of FAMILIES) {
      for (const pod of PODS) {
        await lab.soon(pod, family, expected);
        expect(await lab.seen(pod, family, "udp"), `${pod} ${family}`).toBe(expected);
        expect(await lab.pings(pod, family)).toBe(true);
      }
      expect(await lab.seen("a", family)).toBe("n1");
      expect(await lab.seen("b", family)).toBe("n2");
    }
  };

  it("pods of the namespace are seen as its address, from whatever node; others as their node", async () => {
    lab.ask(ofNode("n2"));
    await expectAll("n2");
    lab.ask(ofNode("n1"));
    await expectAll("n1");
    for (const node of ["n1", "n2"]) expect((await lab.status(node)).missing).toEqual([]);
  });

  it("inside of the cluster they are seen as they are", async () => {
    for (const ip of lab.services.ips("b")) {
      expect(await lab.services.hit("shop/s1", ip, { port: 7000 })).toBe("b saw s1");
    }
  });

  it("agents that start again change nothing for them", async () => {
    for (const node of ["n1", "n2"]) {
      await lab.services.nodes.lab.restart(node);
      await expectAll("n1");
    }
  });

  it("nothing gets out when no node has the address, of the family, or it can't be read", async () => {
    const closed = async (...families: readonly Family[]): Promise<void> => {
      for (const family of families) for (const pod of PODS) await lab.soon(pod, family, "ETIMEDOUT");
      expect(await lab.seen("a", 4)).toBe("n1");
    };
    lab.ask("192.0.2.9,2001:db8::9");
    await closed(...FAMILIES);
    lab.ask("nonsense");
    await until("it is said", async () => (await lab.problems("n1")).join().startsWith("INVALID"));
    await closed(...FAMILIES);
    lab.ask(lab.services.ips("n1")[0]);
    for (const pod of PODS) await lab.soon(pod, 4, "n1");
    await closed(6);
  });

  it("without the annotation all is as before", async () => {
    lab.ask(undefined);
    for (const family of FAMILIES) {
      await lab.soon("shop/s1", family, "n1");
      await lab.soon("shop/s2", family, "n2");
    }
  });
});

describe.skipIf(noVppLab).for([
  ["mixed", "vxlan"],
  ["vpp", "none"],
] as const)(`egress addresses, %s nodes, overlay %s${vppLabNote}`, ([dataplane, overlay]) => {
  it("pods of the namespace are seen as its address, from whatever node, or nothing gets out", async () => {
    await using lab = await EgressLab.up(dataplane, overlay);
    for (const node of ["n2", "n1"]) {
      lab.ask(lab.services.ips(node).join());
      for (const family of FAMILIES) {
        for (const pod of PODS) await lab.soon(pod, family, node);
        expect(await lab.seen("a", family)).toBe("n1");
        expect(await lab.seen("b", family)).toBe("n2");
      }
    }
    lab.ask("192.0.2.9,2001:db8::9");
    for (const family of FAMILIES) for (const pod of PODS) await lab.soon(pod, family, "ETIMEDOUT");
  });
});
