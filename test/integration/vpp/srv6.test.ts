import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { vrfDescriptor } from "../../../src/dataplane/vpp/l3/route.ts";
import { srv6LocalSidDescriptor } from "../../../src/dataplane/vpp/srv6/localsid.ts";
import { srv6PolicyDescriptor } from "../../../src/dataplane/vpp/srv6/policy.ts";
import { srv6SteeringDescriptor } from "../../../src/dataplane/vpp/srv6/steering.ts";
import { vrfKey } from "../../../src/models/vpp/l3.ts";
import {
  type Srv6Behavior,
  type Srv6PolicyValue,
  type Srv6SteeringValue,
  srv6LocalSidKey,
  srv6PolicyKey,
  srv6SteeringKey,
  validateSrv6Policy,
} from "../../../src/models/vpp/srv6.ts";
import { type Items, ItemsLab, port } from "../../support/vpp/items-lab.ts";
import { VPP_BINARY, vppNote } from "../../support/vpp/real-vpp.ts";

const localSid = (sid: string, behavior: Srv6Behavior, vrf = 0) =>
  [srv6LocalSidKey(sid), { sid, vrf, behavior }] as const;
const POLICY: Srv6PolicyValue = {
  bsid: "fd00:b::1",
  vrf: 0,
  encapSource: "fd00::1",
  spray: false,
  lists: [{ segments: ["fd00:1::1", "fd00:2::1"], weight: 1 }],
};
const policy = (change: Partial<Srv6PolicyValue> = {}) => {
  const value = { ...POLICY, ...change };
  return [srv6PolicyKey(value.bsid), value] as const;
};
const steer = (traffic: Srv6SteeringValue["traffic"], by = POLICY.bsid) => {
  const value: Srv6SteeringValue = { traffic, policy: by };
  return [srv6SteeringKey(value), value] as const;
};

describe.skipIf(VPP_BINARY === undefined)(`SRv6 on a real VPP${vppNote}`, () => {
  let lab: ItemsLab;
  beforeAll(async () => {
    lab = await ItemsLab.start((scheduler, session) => {
      scheduler.register(vrfDescriptor(session));
      scheduler.register(srv6LocalSidDescriptor(session));
      scheduler.register(srv6PolicyDescriptor(session));
      scheduler.register(srv6SteeringDescriptor(session));
    });
  });
  afterAll(() => lab?.[Symbol.asyncDispose]());

  const needed: Items = [
    port("hda"),
    port("hdb"),
    [vrfKey({ family: 4, id: 5 }), { family: 4, id: 5, name: "hd5" }],
    [vrfKey({ family: 6, id: 6 }), { family: 6, id: 6, name: "hd6" }],
  ];

  it("makes, reads back, changes and removes local SIDs of every behavior", async () => {
    await lab.walk(
      needed,
      [
        localSid("fd00:a::1", { type: "end", psp: true }),
        localSid("fd00:a::2", { type: "end.x", psp: false, interface: "hda", nextHop: "fd10::1" }),
        localSid("fd00:a::3", { type: "end.t", psp: true, vrf: 6 }),
        localSid("fd00:a::4", { type: "end.dx2", interface: "hdb" }),
        localSid("fd00:a::5", { type: "end.dx4", interface: "hda", nextHop: "10.0.0.1" }),
        localSid("fd00:a::6", { type: "end.dx6", interface: "hda", nextHop: "fd10::1" }),
        localSid("fd00:a::7", { type: "end.dt4", vrf: 5 }),
        localSid("fd00:a::8", { type: "end.dt6", vrf: 0 }, 6),
      ],
      [
        localSid("fd00:a::1", { type: "end", psp: false }),
        localSid("fd00:a::2", { type: "end.x", psp: true, interface: "hdb", nextHop: "fd10::2" }),
        localSid("fd00:a::3", { type: "end.t", psp: true, vrf: 0 }),
        localSid("fd00:a::7", { type: "end.dt6", vrf: 6 }),
      ],
    );
  });

  it("makes, reads back, changes in place and removes policies", async () => {
    const [one] = POLICY.lists;
    if (!one) throw new Error("no list");
    const other = { segments: ["fd00:3::1"], weight: 4 };
    await lab.walk(
      needed,
      [
        policy({ lists: [one, other] }),
        policy({ bsid: "fd00:b::2", vrf: 6 }),
        policy({ bsid: "fd00:b::3", spray: true }),
      ],
      [
        policy({
          lists: [
            { ...other, weight: 7 },
            { segments: ["fd00:4::1"], weight: 1 },
          ],
        }),
        policy({ bsid: "fd00:b::2", vrf: 6, encapSource: "fd00::2" }),
        policy({ bsid: "fd00:b::3", spray: true, lists: [one, other] }),
      ],
    );
  });

  it("makes, reads back, changes and removes a policy that puts its header into the packet", async () => {
    const { encapSource: _none, ...insert } = POLICY;
    const [first, second] = ["fd00:b::4", "fd00:b::5"].map(
      (bsid) => [srv6PolicyKey(bsid), { ...insert, bsid }] as const,
    );
    await lab.walk(needed, [first!, steer({ prefix: "fd20::/64", vrf: 0 }, "fd00:b::4")], [second!]);
  });

  it("steers prefixes and frames, reads that back, changes and removes it", async () => {
    const policies = [policy(), policy({ bsid: "fd00:b::2" })];
    await lab.walk(
      [...needed, ...policies],
      [
        steer({ prefix: "10.2.0.0/16", vrf: 5 }),
        steer({ prefix: "fd20::/64", vrf: 0 }),
        steer({ prefix: "fd20::/64", vrf: 6 }),
        steer({ interface: "hda" }),
      ],
      [
        steer({ prefix: "10.2.0.0/16", vrf: 0 }),
        steer({ prefix: "fd20::/64", vrf: 0 }, "fd00:b::2"),
        steer({ interface: "hda" }, "fd00:b::2"),
        steer({ interface: "hdb" }),
      ],
    );
  });

  it("steers again when the policy is made anew", async () => {
    const steered = [steer({ prefix: "10.2.0.0/16", vrf: 0 }), steer({ interface: "hda" })];
    await lab.walk(needed, [policy(), ...steered], [policy({ encapSource: "fd00::9" }), ...steered]);
  });

  it("refuses frames and IPv4 for a policy without an outer header", async () => {
    const { encapSource: _none, ...insert } = POLICY;
    const scheduler = lab.scheduler();
    const steered = [steer({ prefix: "10.2.0.0/16", vrf: 0 }), steer({ interface: "hda" })];
    const changes: Items = [...needed, [srv6PolicyKey(insert.bsid), insert], ...steered];
    const { errors } = await scheduler.transact({ resync: "full", changes });
    expect([...errors.keys()].sort()).toEqual(steered.map(([key]) => key).sort());
    await scheduler.transact({ resync: "full", changes: [] });
    await scheduler.close();
  });

  it.each<[string, Srv6PolicyValue]>([
    ["no lists", { ...POLICY, lists: [] }],
    ["an empty list", { ...POLICY, lists: [{ segments: [], weight: 1 }] }],
    [
      "more segments than a message takes",
      { ...POLICY, lists: [{ segments: Array.from({ length: 17 }, (_, i) => `fd00:${i + 1}::1`), weight: 1 }] },
    ],
  ])("refuses a policy with %s", (_what, value) => {
    expect(() => validateSrv6Policy(value)).toThrow(/^lists/);
  });
});
