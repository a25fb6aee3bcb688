import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { VppClient } from "../../../src/dataplane/vpp/binapi/index.ts";
import { vppDescriptors } from "../../../src/dataplane/vpp/descriptors.ts";
import { VppSession } from "../../../src/dataplane/vpp/session/session.ts";
import { createScheduler, type Scheduler } from "../../../src/kvscheduler/index.ts";
import { interfaceKey, interfaceUpKey } from "../../../src/models/vpp/interface.ts";
import { unnumberedKey, vppAddressKey, vppNeighbourKey, vppRouteKey } from "../../../src/models/vpp/l3.ts";
import { RealVpp, VPP_BINARY, vppNote } from "../../support/vpp/real-vpp.ts";

const ADDRESS = { interface: "gw", address: "169.254.1.1/32" };
const NEIGHBOUR = { interface: "pod", address: "10.1.0.2", mac: "02:00:00:00:00:10" };
const ROUTE = { vrf: 0, dst: "10.1.0.2/32", paths: [{ type: "via", interface: "pod" }] };
const NEEDED = [unnumberedKey("pod"), vppNeighbourKey(NEIGHBOUR), vppRouteKey(ROUTE)];

/** What a pod needs of VPP, on a loopback. */
const WANTED = new Map<string, unknown>([
  [interfaceKey("gw"), { kind: "loopback", name: "gw", mac: "02:00:00:00:00:01", mtu: 1500 }],
  [vppAddressKey(ADDRESS), ADDRESS],
  [interfaceUpKey("gw"), { interface: "gw", requires: [vppAddressKey(ADDRESS)] }],
  [interfaceKey("pod"), { kind: "loopback", name: "pod", mac: "02:00:00:00:00:02", mtu: 1450 }],
  [unnumberedKey("pod"), { interface: "pod", to: "gw" }],
  [vppNeighbourKey(NEIGHBOUR), NEIGHBOUR],
  [vppRouteKey(ROUTE), ROUTE],
  [interfaceUpKey("pod"), { interface: "pod", requires: NEEDED }],
]);

describe.skipIf(VPP_BINARY === undefined)(`what is changed in a real VPP behind our back${vppNote}`, () => {
  let vpp: RealVpp;
  let client: VppClient;
  let session: VppSession;
  let scheduler: Scheduler;
  beforeAll(async () => {
    vpp = await RealVpp.start();
    client = await VppClient.open({ socket: vpp.socket, apiDirectory: vpp.apiDirectory });
    session = VppSession.of(client);
    scheduler = createScheduler();
    for (const descriptor of vppDescriptors(session)) scheduler.register(descriptor);
    const { errors, pending } = await scheduler.transact({ resync: "full", changes: WANTED });
    expect([[...errors], pending]).toEqual([[], []]);
  });
  afterAll(async () => {
    await scheduler?.close();
    session?.[Symbol.dispose]();
    await client?.close();
    await vpp?.[Symbol.asyncDispose]();
  });

  /** What a comparison did, as its record says; afterwards nothing is left to do. */
  const heal = async (): Promise<string[]> => {
    const compare = async () => {
      const { errors, pending, record } = await scheduler.transact({ resync: "downstream", changes: [] });
      expect([[...errors], pending]).toEqual([[], []]);
      return record.executed.filter((op) => op.noop !== true).map((op) => `${op.op} ${op.key}`);
    };
    const done = await compare();
    expect(await compare()).toEqual([]);
    return done;
  };
  const nameOf = async (name: string): Promise<string> => {
    const all = await client.dump("sw_interface_dump", { name_filter_valid: false });
    return all.find(({ tag }) => tag === `heddle:${name}`)?.interface_name ?? "";
  };

  it("an interface that was deleted is made again, with everything on it, and both are reported", async () => {
    await client.cli(`delete loopback interface intfc ${await nameOf("pod")}`);
    const done = await heal();
    // VPP keeps a route to an interface that is gone, which leads nowhere until it is set again.
    const kinds = done.map((op) => op.replace("update vpp/route/", "create vpp/route/"));
    for (const key of [interfaceKey("pod"), ...NEEDED, interfaceUpKey("pod")]) expect(kinds).toContain(`create ${key}`);
    expect(done.at(-1)).toBe(`create ${interfaceUpKey("pod")}`);
    expect(await client.cli("show interface")).toMatch(new RegExp(`${await nameOf("pod")}\\s+\\d+\\s+up\\s+1450`));
  });

  it.each<[string, (name: string) => readonly string[], readonly string[]]>([
    ["set down", (pod) => [`set interface state ${pod} down`], [`create ${interfaceUpKey("pod")}`]],
    ["of another MTU", (pod) => [`set interface mtu packet 1280 ${pod}`], [`update ${interfaceKey("pod")}`]],
    [
      "without the gateway's address",
      (pod) => [`set interface unnumbered del ${pod}`],
      [`create ${unnumberedKey("pod")}`],
    ],
    [
      "with a neighbour less",
      (pod) => [`set ip neighbor del ${pod} ${NEIGHBOUR.address} ${NEIGHBOUR.mac} static`],
      [`create ${vppNeighbourKey(NEIGHBOUR)}`],
    ],
  ])("an interface that is %s is put right, and that is reported", async (_what, commands, expected) => {
    const pod = await nameOf("pod");
    for (const command of commands(pod)) await client.cli(command);
    const done = await heal();
    expect(done).toEqual(expect.arrayContaining([...expected]));
  });

  it("a route is ours whatever the CLI adds beside it or takes away, and one that is gone is made again", async () => {
    await client.cli(`ip route add ${ROUTE.dst} via drop`);
    await client.cli(`ip route del ${ROUTE.dst} via ${await nameOf("pod")}`);
    expect(await heal()).toEqual([]);
    expect(await client.cli(`show ip fib ${ROUTE.dst}`)).toMatch(/API refs:1 .*active/);
    const route = { table_id: 0, prefix: ROUTE.dst, stats_index: 0, paths: [] };
    await client.request("ip_route_add_del", { is_add: false, is_multipath: false, route });
    expect(await heal()).toEqual([`create ${vppRouteKey(ROUTE)}`]);
  });

  it("what somebody else has made stays", async () => {
    await client.cli("create loopback interface mac 02:00:00:00:00:77 instance 77");
    await client.cli("ip route add 203.0.113.0/24 via drop");
    expect(await heal()).toEqual([]);
    expect(await client.cli("show interface")).toContain("loop77");
    expect(await client.cli("show ip fib 203.0.113.0/24")).toContain("203.0.113.0/24");
  });
});
