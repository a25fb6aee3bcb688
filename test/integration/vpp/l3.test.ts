import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { interfaceDescriptor } from "../../../src/dataplane/vpp/interface/descriptor.ts";
import { unnumberedDescriptor, vppAddressDescriptor } from "../../../src/dataplane/vpp/l3/address.ts";
import { interfaceVrfDescriptor } from "../../../src/dataplane/vpp/l3/interface-vrf.ts";
import { vppNeighbourDescriptor } from "../../../src/dataplane/vpp/l3/neighbour.ts";
import { vppRouteDescriptor, vrfDescriptor } from "../../../src/dataplane/vpp/l3/route.ts";
import { interfaceKey } from "../../../src/models/vpp/interface.ts";
import {
  interfaceVrfKey,
  type RoutePath,
  unnumberedKey,
  vppAddressKey,
  vppNeighbourKey,
  vppRouteKey,
  vrfKey,
} from "../../../src/models/vpp/l3.ts";
import { DescriptorLab } from "../../support/vpp/descriptor-suite.ts";
import { VPP_BINARY, vppNote } from "../../support/vpp/real-vpp.ts";

type Item = [key: string, value: unknown];
const loopback = (name: string, mac: string): Item => [interfaceKey(name), { kind: "loopback", name, mac, mtu: 1500 }];
const BASE: readonly Item[] = [loopback("hda", "02:fe:00:00:00:01"), loopback("hdb", "02:fe:00:00:00:02")];
const address = (value: { interface: string; address: string; vrf?: number }): Item => [vppAddressKey(value), value];
const route = (dst: string, ...paths: RoutePath[]): Item => [vppRouteKey({ dst, vrf: 0 }), { dst, vrf: 0, paths }];
const neighbour = (ip: string, mac: string): Item => {
  const value = { interface: "hda", address: ip, mac };
  return [vppNeighbourKey(value), value];
};
const VRF: Item = [vrfKey({ family: 4, id: 5 }), { family: 4, id: 5, name: "hd5" }];
const VRF6: Item = [vrfKey({ family: 6, id: 5 }), { family: 6, id: 5, name: "hd5" }];
const inVrf = (name: string, family: 4 | 6, vrf: number): Item => {
  const value = { interface: name, family, vrf };
  return [interfaceVrfKey(value), value];
};

describe.skipIf(VPP_BINARY === undefined)(`addresses, routes and neighbours on a real VPP${vppNote}`, () => {
  let lab: DescriptorLab;
  beforeAll(async () => {
    lab = await DescriptorLab.start((session) => [
      interfaceDescriptor(session),
      vppAddressDescriptor(session),
      unnumberedDescriptor(session),
      vrfDescriptor(session),
      interfaceVrfDescriptor(session),
      vppRouteDescriptor(session),
      vppNeighbourDescriptor(session),
    ]);
  });
  afterAll(() => lab?.[Symbol.asyncDispose]());

  const TABLE: readonly (readonly [name: string, items: readonly Item[]])[] = [
    ["IPv4 address", [address({ interface: "hda", address: "10.1.0.1/24" })]],
    ["IPv6 address", [address({ interface: "hda", address: "fd10::1/64" })]],
    [
      "unnumbered interface",
      [
        address({ interface: "hda", address: "169.254.1.1/32" }),
        [unnumberedKey("hdb"), { interface: "hdb", to: "hda" }],
      ],
    ],
    ["table", [VRF]],
    ["interface in a table", [VRF, inVrf("hda", 4, 5)]],
    ["interface in tables of both families", [VRF, VRF6, inVrf("hda", 4, 5), inVrf("hda", 6, 5), inVrf("hdb", 6, 5)]],
    ["address in a table", [VRF, inVrf("hda", 4, 5), address({ interface: "hda", address: "10.1.0.1/24", vrf: 5 })]],
    ["neighbour", [neighbour("10.1.0.9", "02:fe:00:00:00:09"), neighbour("fd10::9", "02:fe:00:00:00:09")]],
    ["route on an interface", [route("10.2.0.7/32", { type: "via", interface: "hda" })]],
    ["dropping route", [route("10.3.0.0/16", { type: "drop" })]],
    [
      "route of several paths",
      [
        route(
          "fd20::/64",
          { type: "via", interface: "hda", gateway: "fd10::2" },
          { type: "via", interface: "hdb", gateway: "fd10::3" },
        ),
      ],
    ],
    ["route into another table", [VRF, route("10.4.0.0/16", { type: "lookup", vrf: 5 })]],
  ];
  for (const [name, items] of TABLE) {
    it(`makes a ${name}, reads it back and removes it`, async () => {
      await lab.reaches(new Map([...BASE, ...items]));
      await lab.reaches(new Map(BASE));
      await lab.reaches(new Map());
    });
  }

  it("changes a route and a neighbour in place", async () => {
    await lab.reaches(
      new Map([...BASE, route("10.2.0.7/32", { type: "drop" }), neighbour("10.1.0.9", "02:fe:00:00:00:09")]),
    );
    const to = [route("10.2.0.7/32", { type: "via", interface: "hda" }), neighbour("10.1.0.9", "02:fe:00:00:00:0a")];
    const done = await lab.reaches(new Map([...BASE, ...to]));
    expect([...done].sort()).toEqual(to.map(([key]) => `update ${key}`).sort());
    await lab.reaches(new Map());
  });

  it("moves an interface with its addresses, and with those that borrow them, to another table", async () => {
    const VRF_6: Item = [vrfKey({ family: 4, id: 6 }), { family: 4, id: 6, name: "hd6" }];
    const all = (vrf?: number): Item[] => [
      ...BASE,
      VRF,
      VRF_6,
      ...(vrf === undefined ? [] : [inVrf("hda", 4, vrf), inVrf("hdb", 4, vrf)]),
      address({ interface: "hda", address: "10.1.0.1/24", ...(vrf === undefined ? {} : { vrf }) }),
      [unnumberedKey("hdb"), { interface: "hdb", to: "hda", ...(vrf === undefined ? {} : { vrf4: vrf }) }],
      neighbour("10.1.0.9", "02:fe:00:00:00:09"),
    ];
    for (const vrf of [undefined, 5, 6, undefined]) await lab.reaches(new Map(all(vrf)));
    await lab.reaches(new Map());
  });
});
