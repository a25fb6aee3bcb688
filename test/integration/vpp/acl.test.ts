import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { aclDescriptors } from "../../../src/dataplane/vpp/acl/acl.ts";
import { macipDescriptors } from "../../../src/dataplane/vpp/acl/macip.ts";
import {
  type AclRule,
  aclInterfaceKey,
  aclKey,
  type MacipRule,
  macipInterfaceKey,
  macipKey,
} from "../../../src/models/vpp/acl.ts";
import { type Items, ItemsLab, port } from "../../support/vpp/items-lab.ts";
import { VPP_BINARY, vppNote } from "../../support/vpp/real-vpp.ts";

const any4: AclRule = { action: "permit", src: "0.0.0.0/0", dst: "0.0.0.0/0" };
const any6: AclRule = { action: "deny", src: "::/0", dst: "::/0" };
const rules: AclRule[] = [
  { ...any4, proto: 1, icmpType: [3, 3], icmpCode: [0, 255] },
  { ...any6, action: "permit", proto: 58, icmpType: [133, 137] },
  {
    ...any4,
    action: "permit+reflect",
    src: "10.1.0.0/16",
    proto: 6,
    dstPorts: [80, 443],
    tcpFlags: { value: 2, mask: 18 },
  },
  { ...any6, action: "permit", src: "fd10::1/128", proto: 17, srcPorts: [53, 53] },
  { ...any4, proto: 132 },
  any6,
];
const acl = (name: string, list: AclRule[]) => [aclKey(name), { name, rules: list }] as const;
const bound = (name: string, input: string[], output: string[]) =>
  [aclInterfaceKey(name), { interface: name, input, output }] as const;
const macip = (name: string, list: MacipRule[]) => [macipKey(name), { name, rules: list }] as const;

describe.skipIf(VPP_BINARY === undefined)(`ACLs on a real VPP${vppNote}`, () => {
  let lab: ItemsLab;
  beforeAll(async () => {
    lab = await ItemsLab.start((scheduler, session) => {
      const { acl: lists, aclInterface } = aclDescriptors(session);
      const { macip: macLists, macipInterface } = macipDescriptors(session);
      scheduler.register(lists);
      scheduler.register(aclInterface);
      scheduler.register(macLists);
      scheduler.register(macipInterface);
    });
  });
  afterAll(() => lab?.[Symbol.asyncDispose]());

  it("makes, reads back, changes and removes lists and their bindings", async () => {
    const ports: Items = [port("hda"), port("hdb")];
    await lab.walk(
      ports,
      [acl("one", rules), acl("two", [any4]), bound("hda", ["one", "two"], ["two"]), bound("hdb", [], ["two"])],
      [acl("one", rules.slice(1)), acl("two", [any4]), acl("three", [any6]), bound("hda", ["three", "one"], [])],
    );
  });

  it("makes, reads back, changes and removes lists of MAC and IP addresses", async () => {
    const one: MacipRule = {
      action: "permit",
      mac: "02:00:00:00:00:01",
      macMask: "ff:ff:ff:ff:ff:ff",
      src: "10.1.0.2/32",
    };
    const six: MacipRule = { ...one, src: "fd10::2/128" };
    const rest: MacipRule = {
      action: "deny",
      mac: "00:00:00:00:00:00",
      macMask: "00:00:00:00:00:00",
      src: "0.0.0.0/0",
    };
    const on = (list: string) => [macipInterfaceKey("hda"), { interface: "hda", acl: list }] as const;
    await lab.walk(
      [port("hda")],
      [macip("m1", [one, six, rest]), on("m1")],
      [macip("m1", [one]), macip("m2", [six]), on("m2")],
    );
  });

  it("heals a binding to a list that somebody else made", async () => {
    const scheduler = lab.scheduler();
    const items: Items = [port("hda"), acl("one", [any4]), bound("hda", ["one"], [])];
    await scheduler.transact({ changes: items, resync: "full" });
    const wire = { acl_index: 0xffff_ffff, tag: "other", r: [] };
    const { acl_index } = await lab.client.request("acl_add_replace", wire);
    const sw_if_index = lab.session.indexOf("hda") ?? -1;
    await lab.client.request("acl_interface_set_acl_list", { sw_if_index, n_input: 1, acls: [acl_index] });
    const { record, errors } = await scheduler.transact({ resync: "downstream" });
    expect(errors).toEqual(new Map());
    expect(record.executed.map(({ op, key }) => [op, key])).toEqual([["update", aclInterfaceKey("hda")]]);
    const [list] = await lab.client.dump("acl_interface_list_dump", { sw_if_index });
    expect(list?.acls).not.toContain(acl_index);
    await scheduler.transact({ changes: [], resync: "full" });
    await scheduler.close();
  });
});
