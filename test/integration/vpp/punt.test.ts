import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { puntRedirectDescriptor } from "../../../src/dataplane/vpp/punt/redirect.ts";
import { puntUnknownUdpDescriptor } from "../../../src/dataplane/vpp/punt/unknown-udp.ts";
import { type PuntRedirectValue, puntRedirectKey, puntUnknownUdpKey } from "../../../src/models/vpp/punt.ts";
import { until } from "../../support/until.ts";
import { ItemsLab, port } from "../../support/vpp/items-lab.ts";
import { VPP_BINARY, vppNote } from "../../support/vpp/real-vpp.ts";

const redirect = (value: PuntRedirectValue) => [puntRedirectKey(value), value] as const;
const unknownUdp = (family: 4 | 6) => [puntUnknownUdpKey(family), { family }] as const;

describe.skipIf(VPP_BINARY === undefined)(`what a real VPP punts${vppNote}`, () => {
  let lab: ItemsLab;
  beforeAll(async () => {
    lab = await ItemsLab.start((scheduler, session) => {
      scheduler.register(puntRedirectDescriptor(session));
      scheduler.register(puntUnknownUdpDescriptor(session));
    });
  });
  afterAll(() => lab?.[Symbol.asyncDispose]());

  it("is redirected, by the interface that it came by or by any", async () => {
    const to = (name: string, nextHop: string) => ({ interface: name, nextHop });
    await lab.walk(
      [port("hda"), port("hdb"), port("hdc")],
      [
        redirect({ family: 4, paths: [to("hda", "10.1.0.2")] }),
        redirect({ family: 4, rx: "hdb", paths: [to("hda", "10.1.0.3"), to("hdc", "10.2.0.3")] }),
        redirect({ family: 6, rx: "hda", paths: [to("hda", "fd10::2")] }),
      ],
      [
        redirect({ family: 4, paths: [to("hda", "10.1.0.3")] }),
        redirect({ family: 4, rx: "hda", paths: [to("hdb", "10.1.0.2")] }),
        redirect({ family: 6, paths: [to("hdb", "fe80::2")] }),
        redirect({ family: 6, rx: "hda", paths: [to("hda", "fd10::2"), to("hdb", "fe80::3")] }),
      ],
    );
  });

  it("is UDP to ports that nobody listens at, or is not", async () => {
    await lab.walk([], [unknownUdp(4)], [unknownUdp(6)]);
    await lab.walk([unknownUdp(6)], [unknownUdp(4)], []);
  });

  it("is not redirected any more when the last redirection is gone, however often they were changed", async () => {
    const node = () => lab.client.cli("show interface features local0");
    for (const items of [["10.1.0.2"], ["10.1.0.3"], ["10.1.0.2", "10.1.0.3"], []]) {
      const scheduler = lab.scheduler();
      const paths = items.map((nextHop) => ({ interface: "hda", nextHop }));
      const changes = paths.length === 0 ? [] : [redirect({ family: 4, paths })];
      await scheduler.transact({ resync: "full", changes: [port("hda"), ...changes] });
      await scheduler.close();
      expect((await node()).includes("ip4-punt-redirect")).toBe(items.length > 0);
    }
  });

  it("goes on to the next hop: UDP to a port that nobody listens at", async () => {
    const { client } = lab;
    const redirected = redirect({ family: 4, paths: [{ interface: "hda", nextHop: "10.9.0.2" }] });
    const scheduler = lab.scheduler();
    await scheduler.transact({ resync: "full", changes: [port("hda"), redirected, unknownUdp(4)] });
    await scheduler.close();
    const [hda] = await client.dump("sw_interface_dump", { name_filter_valid: true, name_filter: "loop" });
    const device = hda?.interface_name ?? "";
    const stream = "UDP: 192.0.2.2 -> 192.0.2.1 UDP: 1234 -> 5555 incrementing 20";
    for (const command of [
      `set interface state ${device} up`,
      `set interface ip address ${device} 10.9.0.1/24`,
      `set ip neighbor ${device} 10.9.0.2 02:fe:00:00:00:09`,
      "create packet-generator interface pg0",
      "set interface ip address pg0 192.0.2.1/24",
      "set interface state pg0 up",
      `packet-generator new { name hd limit 1 size 64-64 node ip4-input interface pg0 data { ${stream} } }`,
      "trace add pg-input 1",
      "packet-generator enable-stream hd",
    ]) {
      await client.cli(command);
    }
    let trace = "";
    await until("the packet's trace", async () => (trace = await client.cli("show trace")).includes("pg-input"));
    expect(trace).toContain("ip4-punt-redirect");
    expect(trace).toContain(`ipv4 via 10.9.0.2 ${device}`);
  });
});
