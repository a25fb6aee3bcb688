import { execFileSync } from "node:child_process";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { interfaceDescriptor } from "../../../src/dataplane/vpp/interface/descriptor.ts";
import { gsoDescriptor } from "../../../src/dataplane/vpp/interface/gso.ts";
import { memifSocketDescriptor } from "../../../src/dataplane/vpp/interface/memif-socket.ts";
import { interfaceUpDescriptor } from "../../../src/dataplane/vpp/interface/up.ts";
import {
  gsoKey,
  type InterfaceValue,
  interfaceKey,
  interfaceUpKey,
  memifSocketKey,
} from "../../../src/models/vpp/interface.ts";
import { DescriptorLab } from "../../support/vpp/descriptor-suite.ts";
import { VPP_BINARY, vppNote } from "../../support/vpp/real-vpp.ts";

const mac = (last: number): string => `02:fe:00:00:00:0${last}`;
const LOOPBACK: InterfaceValue = { kind: "loopback", name: "hdl", mac: mac(1), mtu: 1500 };
const AF_PACKET: InterfaceValue = {
  kind: "af-packet",
  name: "hda",
  device: "hdtest0",
  mac: mac(2),
  mtu: 1400,
  queues: 1,
  offload: true,
  qdisc: false,
};
const MEMIF: InterfaceValue = {
  kind: "memif",
  name: "hdm",
  mac: mac(3),
  mtu: 1500,
  socket: 7,
  id: 1,
  role: "master",
  mode: "ethernet",
  queues: 2,
};
const VXLAN: InterfaceValue = {
  kind: "vxlan",
  name: "hdx",
  mtu: 1400,
  local: "192.0.2.1",
  remote: "192.0.2.2",
  vni: 42,
  port: 4789,
  vrf: 0,
};
const VLAN: InterfaceValue = { kind: "vlan", name: "hdl.7", parent: "hdl", vlan: 7, mtu: 1400 };

describe.skipIf(VPP_BINARY === undefined)(`interfaces on a real VPP${vppNote}`, () => {
  let lab: DescriptorLab;
  beforeAll(async () => {
    lab = await DescriptorLab.start((session) => [
      interfaceDescriptor(session),
      memifSocketDescriptor(session),
      interfaceUpDescriptor(session),
      gsoDescriptor(session),
    ]);
    const args = ["-t", String(lab.vpp.pid), "-n", "ip", "link", "add", "hdtest0", "type", "veth", "peer", "hdtest1"];
    execFileSync("nsenter", args);
  });
  afterAll(() => lab?.[Symbol.asyncDispose]());

  const socket = (): [string, unknown] => [
    memifSocketKey(7),
    { id: 7, filename: `${lab.vpp.directory}/hd-memif.sock` },
  ];
  const of = (...values: InterfaceValue[]): [string, unknown][] => values.map((v) => [interfaceKey(v.name), v]);

  for (const [value, ...needed] of [[LOOPBACK], [AF_PACKET], [MEMIF], [VXLAN], [VLAN, LOOPBACK]] as const) {
    it(`makes ${value.kind}, reads it back, changes and removes it`, async () => {
      const rest = value.kind === "memif" ? [socket()] : of(...needed);
      const key = interfaceKey(value.name);
      expect(await lab.reaches(new Map([...rest, ...of(value)]))).toContain(`create ${key}`);
      expect(await lab.reaches(new Map([...rest, ...of({ ...value, mtu: 1300 })]))).toEqual([`update ${key}`]);
      expect(await lab.reaches(new Map())).toContain(`delete ${key}`);
    });
  }

  it("brings an interface up after what it requires, and reads that back", async () => {
    const up: [string, unknown] = [interfaceUpKey("hdl"), { interface: "hdl", requires: [interfaceKey("hdx")] }];
    const done = await lab.reaches(new Map([up, ...of(LOOPBACK, VXLAN)]));
    expect(done.at(-1)).toBe(`create ${up[0]}`);
    expect(await lab.reaches(new Map(of(LOOPBACK, VXLAN)))).toEqual([`delete ${up[0]}`]);
    await lab.reaches(new Map());
  });

  it("has frames segmented on an interface, once, and reads that back where VPP says yes for all", async () => {
    const gso: [string, unknown] = [gsoKey("hdl"), { interface: "hdl" }];
    const ask = async (name: string): Promise<boolean> => {
      const [found] = await lab.client.dump("sw_interface_dump", { name_filter_valid: true, name_filter: name });
      const feature = { arc_name: "ip4-output", feature_name: "gso-ip4", sw_if_index: found?.sw_if_index ?? 0 };
      return (await lab.client.request("feature_is_enabled", feature)).is_enabled;
    };
    await lab.reaches(new Map(of(LOOPBACK, VXLAN)));
    // Nobody has enabled anything on the arc.
    expect(await ask("vxlan")).toBe(true);
    expect(await lab.reaches(new Map([gso, ...of(LOOPBACK, VXLAN)]))).toEqual([`create ${gso[0]}`]);
    expect((await lab.client.cli("show interface features loop0")).match(/gso-ip4/g)).toHaveLength(1);
    expect(await lab.reaches(new Map(of(LOOPBACK, VXLAN)))).toEqual([`delete ${gso[0]}`]);
    expect(await lab.client.cli("show interface features loop0")).not.toContain("gso");
    await lab.reaches(new Map());
  });

  it("passes the device's queueing discipline only when asked to", async () => {
    for (const qdisc of [true, false]) {
      await lab.reaches(new Map(of({ ...AF_PACKET, queues: 2, qdisc })));
      expect((await lab.client.cli("show hardware-interfaces")).includes("qdisc-bpass-enabled")).toBe(!qdisc);
    }
    await lab.reaches(new Map());
  });

  it("makes an interface anew when what can't be changed is another", async () => {
    await lab.reaches(new Map(of(AF_PACKET)));
    const done = await lab.reaches(new Map(of({ ...AF_PACKET, offload: false })));
    expect(done).toEqual([`delete ${interfaceKey("hda")}`, `create ${interfaceKey("hda")}`]);
    await lab.reaches(new Map());
  });

  it("replaces an interface that was left without a tag", async () => {
    await lab.reaches(new Map(of(VXLAN)));
    const [left] = await lab.client.dump("vxlan_tunnel_v2_dump", { sw_if_index: 0xffff_ffff });
    await lab.client.request("sw_interface_tag_add_del", { is_add: false, sw_if_index: left!.sw_if_index });
    await lab.reaches(new Map(of(VXLAN)));
    await lab.reaches(new Map());
    expect(await lab.client.dump("vxlan_tunnel_v2_dump", { sw_if_index: 0xffff_ffff })).toEqual([]);
  });
});
