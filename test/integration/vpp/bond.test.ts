import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bondMemberDescriptor } from "../../../src/dataplane/vpp/bond/member.ts";
import { interfaceDescriptor } from "../../../src/dataplane/vpp/interface/descriptor.ts";
import { type BondMemberValue, bondMemberKey } from "../../../src/models/vpp/bond.ts";
import { type InterfaceValue, interfaceKey } from "../../../src/models/vpp/interface.ts";
import { DescriptorLab } from "../../support/vpp/descriptor-suite.ts";
import { VPP_BINARY, vppNote } from "../../support/vpp/real-vpp.ts";

type Item = [key: string, value: unknown];
const link = (value: InterfaceValue): Item => [interfaceKey(value.name), value];
const loopback = (name: string, last: number): Item =>
  link({ kind: "loopback", name, mtu: 1500, mac: `02:fe:00:00:00:0${last}` });
const member = (name: string, change: Partial<BondMemberValue> = {}): Item => {
  const value = { interface: name, bond: "hdbond", passive: false, longTimeout: false, weight: 0, ...change };
  return [bondMemberKey(name), value];
};

describe.skipIf(VPP_BINARY === undefined)(`members of bonds on a real VPP${vppNote}`, () => {
  let lab: DescriptorLab;
  beforeAll(async () => {
    lab = await DescriptorLab.start((session) => [interfaceDescriptor(session), bondMemberDescriptor(session)]);
  });
  afterAll(() => lab?.[Symbol.asyncDispose]());

  const bond = { kind: "bond", name: "hdbond", mtu: 1500, mac: "02:fe:00:00:00:0b" } as const;
  const base: Item[] = [loopback("hda", 1), loopback("hdb", 2)];

  it("are made, read back, changed and removed, and get their own MAC addresses back", async () => {
    const active = link({ ...bond, mode: "active-backup" });
    await lab.reaches(new Map([...base, active, member("hda"), member("hdb", { weight: 7 })]));
    const heavier = member("hda", { weight: 9 });
    expect(await lab.reaches(new Map([...base, active, heavier, member("hdb", { weight: 7 })]))).toEqual([
      `update ${heavier[0]}`,
    ]);
    expect(await lab.reaches(new Map([...base, active, heavier]))).toEqual([`delete ${bondMemberKey("hdb")}`]);
    expect(await lab.reaches(new Map(base))).not.toContain(`create ${interfaceKey("hda")}`);
    await lab.reaches(new Map());
  });

  it("follow when the bond is made anew", async () => {
    const lacp = link({ ...bond, mode: "lacp", balance: "l34" });
    const members = [member("hda", { passive: true, longTimeout: true }), member("hdb")];
    await lab.reaches(new Map([...base, lacp, ...members]));
    const done = await lab.reaches(new Map([...base, link({ ...bond, mode: "xor", balance: "l2" }), ...members]));
    expect(done.filter((op) => op.includes("vpp/interface/hda"))).toEqual([]);
    expect(done).toContain(`create ${bondMemberKey("hda")}`);
    await lab.reaches(new Map());
  });
});
