import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { abfAttachmentDescriptor } from "../../../src/dataplane/vpp/abf/attachment.ts";
import { abfPolicyDescriptor } from "../../../src/dataplane/vpp/abf/policy.ts";
import { aclDescriptors } from "../../../src/dataplane/vpp/acl/acl.ts";
import { vrfDescriptor } from "../../../src/dataplane/vpp/l3/route.ts";
import { renderTxn } from "../../../src/kvscheduler/render.ts";
import {
  type AbfAttachmentValue,
  type AbfPolicyValue,
  abfAttachmentKey,
  abfPolicyKey,
  validateAbfPolicy,
} from "../../../src/models/vpp/abf.ts";
import { aclKey } from "../../../src/models/vpp/acl.ts";
import { type RoutePath, vrfKey } from "../../../src/models/vpp/l3.ts";
import { disposable, type Items, ItemsLab, port } from "../../support/vpp/items-lab.ts";
import { VPP_BINARY, vppNote } from "../../support/vpp/real-vpp.ts";

const policy = (id: number, family: 4 | 6, acl: string, ...paths: RoutePath[]) => {
  const value: AbfPolicyValue = { id, family, acl, paths };
  return [abfPolicyKey(id), value] as const;
};
const attached = (value: AbfAttachmentValue) => [abfAttachmentKey(value), value] as const;
const acl = (name: string, any: string) =>
  [aclKey(name), { name, rules: [{ action: "permit", src: any, dst: any }] }] as const;
const via = (name: string, gateway?: string, weight?: number): RoutePath => ({
  type: "via",
  interface: name,
  ...(gateway === undefined ? {} : { gateway }),
  ...(weight === undefined ? {} : { weight }),
});

describe.skipIf(VPP_BINARY === undefined)(`ACL-based forwarding on a real VPP${vppNote}`, () => {
  let lab: ItemsLab;
  beforeAll(async () => {
    lab = await ItemsLab.start((scheduler, session) => {
      const { acl: lists, aclInterface } = aclDescriptors(session);
      scheduler.register(lists);
      scheduler.register(aclInterface);
      scheduler.register(vrfDescriptor(session));
      scheduler.register(abfPolicyDescriptor(session));
      scheduler.register(abfAttachmentDescriptor(session));
    });
  });
  afterAll(() => lab?.[Symbol.asyncDispose]());

  const needed: Items = [
    port("hda"),
    port("hdb"),
    acl("four", "0.0.0.0/0"),
    acl("six", "::/0"),
    [vrfKey({ family: 4, id: 5 }), { family: 4, id: 5, name: "hd5" }],
  ];
  const one = policy(1, 4, "four", via("hda", "10.0.0.1"), via("hdb", "10.0.0.2"));

  it("makes, reads back, changes and removes policies and their attachments", async () => {
    await lab.walk(
      needed,
      [
        one,
        policy(2, 6, "six", via("hda", "fd10::1", 3)),
        policy(3, 4, "four", { type: "lookup", vrf: 5 }),
        attached({ interface: "hda", policy: 1, priority: 10 }),
        attached({ interface: "hda", policy: 2, priority: 7 }),
        attached({ interface: "hdb", policy: 3, priority: 0 }),
      ],
      [
        policy(1, 4, "four", via("hdb", "10.0.0.2"), via("hdb", "10.0.0.3")),
        policy(2, 6, "six", via("hda", "fd10::1", 4)),
        policy(3, 4, "four", { type: "drop" }),
        attached({ interface: "hda", policy: 1, priority: 20 }),
        attached({ interface: "hda", policy: 3, priority: 10 }),
      ],
    );
  });

  it("attaches anew when a policy changes its family", async () => {
    const attachment = attached({ interface: "hda", policy: 1, priority: 1 });
    await lab.walk(needed, [one, attachment], [policy(1, 6, "six", via("hda", "fd10::1")), attachment]);
  });

  // Two are deleted, so that the number of the policy's interface is not the one that VPP gives next.
  it("removes policies whose interface was deleted by somebody else, though VPP won't hear its number", async () => {
    await using scheduler = disposable(lab.scheduler());
    const items = [...needed, policy(1, 4, "four", via("hdb", "10.0.0.2"))];
    await scheduler.transact({ changes: items, resync: "full" });
    for (const name of ["hdb", "hda"]) {
      const sw_if_index = lab.session.indexOf(name) ?? -1;
      await lab.client.request("delete_loopback", { sw_if_index });
    }
    const { errors, record } = await scheduler.transact({ changes: [], resync: "full" });
    expect(errors, renderTxn(record)).toEqual(new Map());
    expect(await lab.client.cli("show abf policy")).not.toContain("policy:1");
    expect(await lab.client.cli("show interface")).not.toContain("loop");
  });

  it.each<[string, AbfPolicyValue]>([
    ["no paths", policy(1, 4, "four")[1]],
    ["a gateway of the other family", policy(1, 4, "four", via("hda", "fd10::1"))[1]],
    ["a path twice", policy(1, 4, "four", via("hda", "10.0.0.1"), via("hda", "10.0.0.1", 2))[1]],
  ])("refuses a policy with %s", (_what, value) => {
    expect(() => validateAbfPolicy(value)).toThrow(/^paths/);
  });
});
