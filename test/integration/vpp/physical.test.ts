import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { interfaceDescriptor } from "../../../src/dataplane/vpp/interface/descriptor.ts";
import { interfaceUpDescriptor } from "../../../src/dataplane/vpp/interface/up.ts";
import { VppSession } from "../../../src/dataplane/vpp/session/session.ts";
import { createScheduler } from "../../../src/kvscheduler/scheduler.ts";
import {
  type InterfaceValue,
  interfaceKey,
  interfaceUpKey,
  validateInterface,
} from "../../../src/models/vpp/interface.ts";
import { DescriptorLab, type DescriptorsOf } from "../../support/vpp/descriptor-suite.ts";
import { VPP_BINARY, vppNote } from "../../support/vpp/real-vpp.ts";

const NIC: InterfaceValue = { kind: "physical", name: "hduplink", device: "pg0", mtu: 1500 };
const nic = (change: Partial<typeof NIC> = {}): [string, unknown] => [interfaceKey(NIC.name), { ...NIC, ...change }];
const up: [string, unknown] = [interfaceUpKey(NIC.name), { interface: NIC.name, requires: [] }];

describe.skipIf(VPP_BINARY === undefined)(`devices of VPP's own, on a real VPP${vppNote}`, () => {
  let lab: DescriptorLab;
  const descriptors: DescriptorsOf = (session) => [interfaceDescriptor(session), interfaceUpDescriptor(session)];
  beforeAll(async () => {
    lab = await DescriptorLab.start(descriptors);
    // Stand in for NICs: they are there before anything is asked for.
    for (const name of ["pg0", "pg10", "pg1"]) await lab.client.cli(`create packet-generator interface ${name}`);
  });
  afterAll(() => lab?.[Symbol.asyncDispose]());

  const seen = async () => {
    const all = await lab.client.dump("sw_interface_dump", { name_filter_valid: false });
    const { tag, flags, mtu } = all.find((d) => d.interface_name === "pg0")!;
    return { tag, flags: flags & 1, mtu: mtu[0] };
  };

  it("are used, read back, changed, and put down and released", async () => {
    await lab.client.cli("set interface state pg0 up");
    await lab.reaches(new Map([nic()]));
    expect(await seen()).toEqual({ tag: "heddle:hduplink", flags: 0, mtu: 1500 });
    await lab.reaches(new Map([nic(), up]));
    expect(await lab.reaches(new Map([nic({ mtu: 1400 }), up]))).toEqual([`update ${interfaceKey(NIC.name)}`]);
    expect(await seen()).toEqual({ tag: "heddle:hduplink", flags: 1, mtu: 1400 });
    await lab.reaches(new Map());
    expect(await seen()).toMatchObject({ tag: "", flags: 0 });
  });

  it("are another one when the name is", async () => {
    await lab.reaches(new Map([nic()]));
    await lab.reaches(new Map([nic({ device: "pg1" })]));
    expect(await seen()).toMatchObject({ tag: "" });
    await lab.reaches(new Map());
  });

  it.each([
    ["is not there", { device: "pg7" }, /no device pg7/],
    ["is in use", { name: "hdother" }, /in use/],
  ])("are refused where one %s", async (_what, change, why) => {
    await lab.reaches(new Map([nic()]));
    using session = VppSession.of(lab.client);
    const scheduler = createScheduler();
    for (const descriptor of descriptors(session)) scheduler.register(descriptor);
    const bad = { ...NIC, name: "hdbad", ...change };
    const { errors } = await scheduler.transact({ resync: "full", changes: [nic(), [interfaceKey(bad.name), bad]] });
    await scheduler.close();
    expect(errors.get(interfaceKey(bad.name))?.message).toMatch(why);
    await lab.reaches(new Map());
  });

  it.each(["local0", "", "a b"])("have no such name: %j", (device) => {
    expect(() => validateInterface({ ...NIC, device })).toThrow(/^device/);
  });
});
