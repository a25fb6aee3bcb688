import { afterAll, beforeAll, describe, it } from "vitest";
import { nat44DnatDescriptor } from "../../../src/dataplane/vpp/nat/dnat.ts";
import {
  nat44AddressDescriptor,
  nat44Descriptor,
  nat44InterfaceDescriptor,
} from "../../../src/dataplane/vpp/nat/global.ts";
import { nat44IdentityDescriptor } from "../../../src/dataplane/vpp/nat/identity.ts";
import {
  NAT44_KEY,
  NAT44_TIMEOUTS,
  type Nat44AddressValue,
  type Nat44DnatValue,
  type Nat44IdentityValue,
  type Nat44InterfaceValue,
  nat44AddressKey,
  nat44DnatKey,
  nat44IdentityKey,
  nat44InterfaceKey,
} from "../../../src/models/vpp/nat.ts";
import { type Items, ItemsLab, port } from "../../support/vpp/items-lab.ts";
import { VPP_BINARY, vppNote } from "../../support/vpp/real-vpp.ts";

const global = { sessions: 1024, forwarding: true, timeouts: NAT44_TIMEOUTS };
const nat = [NAT44_KEY, global] as const;
const side = (name: string, on: Nat44InterfaceValue["side"]) =>
  [nat44InterfaceKey(name), { interface: name, side: on }] as const;
const address = (value: Nat44AddressValue) => [nat44AddressKey(value), value] as const;
const dnat = (value: Nat44DnatValue) => [nat44DnatKey(value), value] as const;
const identity = (value: Nat44IdentityValue) => [nat44IdentityKey(value), value] as const;
const web: Nat44DnatValue = {
  address: "192.0.2.1",
  port: 80,
  proto: "tcp",
  backends: [
    { address: "10.1.0.2", port: 8080, weight: 70 },
    { address: "10.1.0.3", port: 8080, weight: 30 },
  ],
  affinity: 30,
  source: "keep",
  inOnly: false,
};

describe.skipIf(VPP_BINARY === undefined)(`NAT44 on a real VPP${vppNote}`, () => {
  let lab: ItemsLab;
  beforeAll(async () => {
    lab = await ItemsLab.start((scheduler, session) => {
      scheduler.register(nat44Descriptor(session));
      scheduler.register(nat44InterfaceDescriptor(session));
      scheduler.register(nat44AddressDescriptor(session));
      scheduler.register(nat44DnatDescriptor(session));
      scheduler.register(nat44IdentityDescriptor(session));
    });
  });
  afterAll(() => lab?.[Symbol.asyncDispose]());

  it("is enabled, changed, made anew with another size, and disabled with what is in it", async () => {
    const changed = { ...global, forwarding: false, timeouts: { ...NAT44_TIMEOUTS, udp: 30 } };
    const pool = address({ address: "192.0.2.1", twice: false });
    await lab.walk([], [nat, pool], [[NAT44_KEY, changed]]);
    await lab.walk([], [nat, pool], [[NAT44_KEY, { ...global, sessions: 2048 }], pool]);
  });

  it("makes, reads back, changes and removes interfaces and pools", async () => {
    const needed: Items = [port("hda"), port("hdb"), port("hdc"), nat];
    const twice = address({ address: "192.0.2.9", twice: true });
    await lab.walk(
      needed,
      [
        side("hda", "inside"),
        side("hdb", "outside"),
        side("hdc", "output"),
        address({ address: "192.0.2.1", twice: false }),
      ],
      [side("hda", "both"), side("hdb", "output"), side("hdc", "inside"), twice],
    );
  });

  it("makes, reads back, changes and removes translations of destinations", async () => {
    const [first, second] = web.backends;
    if (!first || !second) throw new Error("no backends");
    const needed: Items = [
      nat,
      address({ address: "192.0.2.1", twice: false }),
      address({ address: "192.0.2.1", twice: true }),
    ];
    const one: Nat44DnatValue = { ...web, port: 53, proto: "udp", affinity: 0, backends: [{ ...first, weight: 1 }] };
    await lab.walk(
      needed,
      [dnat(web), dnat(one), dnat({ ...web, port: 81, source: "twice", inOnly: true })],
      [dnat({ ...web, affinity: 60, backends: [second, first] }), dnat({ ...one, source: "self" })],
    );
    await lab.walk(needed, [dnat(web)], [dnat({ ...web, affinity: 0, backends: [{ ...second, weight: 1 }] })]);
  });

  it("makes, reads back, changes and removes identity mappings", async () => {
    const ssh: Nat44IdentityValue["port"] = { proto: "tcp", port: 22 };
    await lab.walk(
      [port("hda"), nat],
      [identity({ on: { address: "192.0.2.5" } }), identity({ on: { interface: "hda" }, port: ssh })],
      [identity({ on: { address: "192.0.2.5" }, port: ssh }), identity({ on: { interface: "hda" } })],
    );
  });
});
