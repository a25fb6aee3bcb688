import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { vrfDescriptor } from "../../../src/dataplane/vpp/l3/route.ts";
import { proxyArpInterfaceDescriptor, proxyArpRangeDescriptor } from "../../../src/dataplane/vpp/proxy/arp.ts";
import { proxyNdDescriptor, proxyNdInterfaceDescriptor } from "../../../src/dataplane/vpp/proxy/nd.ts";
import { vrfKey } from "../../../src/models/vpp/l3.ts";
import {
  type ProxyArpRangeValue,
  proxyArpInterfaceKey,
  proxyArpRangeKey,
  proxyNdInterfaceKey,
  proxyNdKey,
} from "../../../src/models/vpp/proxy.ts";
import { type Items, ItemsLab, port } from "../../support/vpp/items-lab.ts";
import { VPP_BINARY, vppNote } from "../../support/vpp/real-vpp.ts";

const range = (vrf: number, first: string, last: string) => {
  const value: ProxyArpRangeValue = { vrf, first, last };
  return [proxyArpRangeKey(value), value] as const;
};
const answersArp = (name: string) => [proxyArpInterfaceKey(name), { interface: name }] as const;
const answersNd = (name: string) => [proxyNdInterfaceKey(name), { interface: name }] as const;
const nd = (address: string, name: string) => [proxyNdKey({ address }), { address, interface: name }] as const;

describe.skipIf(VPP_BINARY === undefined)(`answers on behalf of others, on a real VPP${vppNote}`, () => {
  let lab: ItemsLab;
  beforeAll(async () => {
    lab = await ItemsLab.start((scheduler, session) => {
      scheduler.register(vrfDescriptor(session));
      scheduler.register(proxyArpRangeDescriptor(session));
      scheduler.register(proxyArpInterfaceDescriptor(session));
      scheduler.register(proxyNdDescriptor(session));
      scheduler.register(proxyNdInterfaceDescriptor(session));
    });
  });
  afterAll(() => lab?.[Symbol.asyncDispose]());

  const ports: Items = [port("hda"), port("hdb")];

  it("are made, read back, changed and removed for ARP", async () => {
    await lab.walk(
      [...ports, [vrfKey({ family: 4, id: 5 }), { family: 4, id: 5, name: "hd5" }]],
      [range(0, "10.1.0.0", "10.1.255.255"), range(5, "10.1.0.0", "10.1.0.0"), answersArp("hda")],
      [range(0, "10.1.0.0", "10.1.0.255"), answersArp("hda"), answersArp("hdb")],
    );
  });

  it("are made, read back, changed and removed for neighbour discovery", async () => {
    await lab.walk(
      ports,
      [nd("fd10::9", "hda"), nd("fd10::a", "hda"), answersNd("hda")],
      [nd("fd10::9", "hdb"), answersNd("hdb")],
    );
  });

  it("stack no node a second time on an interface that has it", async () => {
    await lab.walk(ports, [answersNd("hda")], [answersNd("hda")]);
    const scheduler = lab.scheduler();
    await scheduler.transact({ changes: [...ports, answersNd("hda")], resync: "full" });
    const descriptor = proxyNdInterfaceDescriptor(lab.session);
    const ctx = { signal: AbortSignal.timeout(1000), txn: 0, metadata: () => undefined };
    await descriptor.create("", { interface: "hda" }, ctx);
    await descriptor.delete("", { interface: "hda" }, undefined, ctx);
    expect(await lab.client.cli("show interface features loop0")).not.toContain("ip6-unicast-nd-proxy");
    await scheduler.transact({ changes: [], resync: "full" });
    await scheduler.close();
  });
});
