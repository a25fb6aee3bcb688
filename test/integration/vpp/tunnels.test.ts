import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { interfaceDescriptor } from "../../../src/dataplane/vpp/interface/descriptor.ts";
import { interfaceUpDescriptor } from "../../../src/dataplane/vpp/interface/up.ts";
import { vrfDescriptor } from "../../../src/dataplane/vpp/l3/route.ts";
import { VppSession } from "../../../src/dataplane/vpp/session/session.ts";
import { renderTxn } from "../../../src/kvscheduler/render.ts";
import { createScheduler } from "../../../src/kvscheduler/scheduler.ts";
import { type InterfaceValue, interfaceKey, interfaceUpKey } from "../../../src/models/vpp/interface.ts";
import { vrfKey } from "../../../src/models/vpp/l3.ts";
import { DescriptorLab } from "../../support/vpp/descriptor-suite.ts";
import { VPP_BINARY, vppNote } from "../../support/vpp/real-vpp.ts";

const KEY = Buffer.alloc(32, 0x17).toString("base64");
const GRE: InterfaceValue = {
  kind: "gre",
  name: "hdg",
  mtu: 1400,
  local: "192.0.2.1",
  remote: "192.0.2.2",
  vrf: 0,
  carries: "ip",
  key: 0,
};
const IPIP: InterfaceValue = { kind: "ipip", name: "hdi", mtu: 1400, local: "fd10::1", remote: "fd10::2", vrf: 6 };
const WIREGUARD: InterfaceValue = {
  kind: "wireguard",
  name: "hdw",
  mtu: 1400,
  local: "192.0.2.1",
  port: 51820,
  privateKey: KEY,
};
const IPSEC: InterfaceValue = { kind: "ipsec", name: "hds", mtu: 1400 };
const BOND: InterfaceValue = {
  kind: "bond",
  name: "hdb",
  mtu: 1500,
  mac: "02:fe:00:00:00:0b",
  mode: "lacp",
  balance: "l34",
};
const VRF: [string, unknown] = [vrfKey({ family: 6, id: 6 }), { family: 6, id: 6, name: "hd6" }];

describe.skipIf(VPP_BINARY === undefined)(`tunnels and bonds on a real VPP${vppNote}`, () => {
  let lab: DescriptorLab;
  beforeAll(async () => {
    lab = await DescriptorLab.start((session) => [
      interfaceDescriptor(session),
      interfaceUpDescriptor(session),
      vrfDescriptor(session),
    ]);
  });
  afterAll(() => lab?.[Symbol.asyncDispose]());

  const of = (...values: InterfaceValue[]): [string, unknown][] => [
    VRF,
    ...values.map((v) => [interfaceKey(v.name), v] as [string, unknown]),
  ];

  const TABLE: readonly (readonly [what: string, value: InterfaceValue, other: InterfaceValue])[] = [
    ["GRE tunnel", GRE, { ...GRE, key: 7 }],
    ["GRE tunnel of Ethernet", { ...GRE, carries: "ethernet", key: 7 }, { ...GRE, remote: "192.0.2.3" }],
    ["IP-in-IP tunnel", IPIP, { ...IPIP, vrf: 0 }],
    ["WireGuard interface", WIREGUARD, { ...WIREGUARD, port: 51821 }],
    ["IPsec interface", IPSEC, { ...IPSEC, name: "hds2" }],
    ["LACP bond", BOND, { kind: "bond", name: "hdb", mtu: 1500, mac: "02:fe:00:00:00:0b", mode: "round-robin" }],
    ["XOR bond", { ...BOND, mode: "xor", balance: "l2" }, { ...BOND, mode: "xor", balance: "l23" }],
    [
      "active-backup bond",
      { kind: "bond", name: "hdb", mtu: 1500, mac: "02:fe:00:00:00:0b", mode: "active-backup" },
      BOND,
    ],
  ];
  for (const [what, value, other] of TABLE) {
    it(`makes a ${what}, down, reads it back, changes and removes it`, async () => {
      const key = interfaceKey(value.name);
      expect(await lab.reaches(new Map(of(value)))).toContain(`create ${key}`);
      expect(await lab.reaches(new Map(of({ ...value, mtu: 1300 })))).toEqual([`update ${key}`]);
      const up: [string, unknown] = [interfaceUpKey(value.name), { interface: value.name, requires: [] }];
      expect(await lab.reaches(new Map([up, ...of({ ...value, mtu: 1300 })]))).toEqual([`create ${up[0]}`]);
      expect(await lab.reaches(new Map(of(other)))).toContain(`delete ${key}`);
      await lab.reaches(new Map());
    });
  }

  it("replaces tunnels that were left without a tag", async () => {
    await lab.reaches(new Map(of(GRE, IPIP)));
    for (const { sw_if_index, tag } of await lab.client.dump("sw_interface_dump", { name_filter_valid: false })) {
      if (tag !== "") await lab.client.request("sw_interface_tag_add_del", { is_add: false, sw_if_index });
    }
    await lab.reaches(new Map(of(GRE, IPIP)));
    await lab.reaches(new Map());
    expect(await lab.client.dump("ipip_tunnel_dump", { sw_if_index: 0xffff_ffff })).toEqual([]);
  });

  it("keeps private keys out of records and errors", async () => {
    using session = VppSession.of(lab.client);
    const scheduler = createScheduler();
    scheduler.register(interfaceDescriptor(session));
    const bad = `${KEY}x`;
    const values = [WIREGUARD, { ...WIREGUARD, name: "hdbad", privateKey: bad }] satisfies InterfaceValue[];
    const changes = values.map((v) => [interfaceKey(v.name), v] as const);
    const { errors, record } = await scheduler.transact({ resync: "full", changes });
    await scheduler.transact({ resync: "full", changes: [] });
    await scheduler.close();
    expect([...errors.keys()]).toEqual([interfaceKey("hdbad")]);
    const told = `${JSON.stringify(record)} ${renderTxn(record)} ${[...errors.values()].join(" ")}`;
    expect(told).toContain("privateKey");
    expect(told).not.toContain(KEY.slice(0, 8));
  });
});
