import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseIp } from "../../../src/base/ip/address.ts";
import { flowFilterDescriptor } from "../../../src/dataplane/vpp/flow-filter/descriptor.ts";
import { FlowFilter } from "../../../src/dataplane/vpp/flow-filter/filter.ts";
import { vppRouteDescriptor, vrfDescriptor } from "../../../src/dataplane/vpp/l3/route.ts";
import { sctpDescriptor } from "../../../src/dataplane/vpp/sctp/descriptor.ts";
import { SctpFilter } from "../../../src/dataplane/vpp/sctp/filter.ts";
import type { VppSession } from "../../../src/dataplane/vpp/session/session.ts";
import { NO_INDEX } from "../../../src/dataplane/vpp/target.ts";
import { sourceCheckDescriptor } from "../../../src/dataplane/vpp/urpf/descriptor.ts";
import type { Key } from "../../../src/kvscheduler/api/descriptor.ts";
import { flowFilterKey } from "../../../src/models/vpp/flow-filter.ts";
import { vppRouteKey, vrfKey } from "../../../src/models/vpp/l3.ts";
import { sctpKey } from "../../../src/models/vpp/sctp.ts";
import { sourceCheckKey } from "../../../src/models/vpp/urpf.ts";
import { disposable, type Items, ItemsLab, port } from "../../support/vpp/items-lab.ts";
import { VPP_BINARY, vppNote } from "../../support/vpp/real-vpp.ts";

const flow = (port: number) => ({
  family: 4 as const,
  protocol: 6,
  source: parseIp("10.1.0.2"),
  destination: parseIp("10.1.0.3"),
  first: port,
  second: 80,
});
const filtered = (name: string) => [flowFilterKey(name), { interface: name }] as const;
const pod = (name: string) => [flowFilterKey(name), { interface: name, isPod: true }] as const;
const sctp = (direction: "egress" | "ingress", address: string, ...rules: readonly string[]) => {
  const value = { direction, address, rules: rules.toSorted() };
  return [sctpKey(value), value] as const;
};
const check = (name: string, family: 4 | 6, vrf: number) => {
  const value = { interface: name, family, vrf };
  return [sourceCheckKey(value), value] as const;
};
const table = (family: 4 | 6, id: number) => [vrfKey({ family, id }), { family, id, name: `t${id}` }] as const;

describe.skipIf(VPP_BINARY === undefined)(`what policies need of a real VPP${vppNote}`, () => {
  let lab: ItemsLab;
  /** As of an agent that has just started. */
  let filter: FlowFilter;
  beforeAll(async () => {
    lab = await ItemsLab.start((scheduler, session: VppSession) => {
      filter = new FlowFilter(session);
      const own = filter;
      const sctp = new SctpFilter(session, () => own.chains());
      scheduler.register(flowFilterDescriptor(session, filter, sctp));
      scheduler.register(sctpDescriptor(sctp));
      scheduler.register(sourceCheckDescriptor(session));
      scheduler.register(vrfDescriptor(session));
      scheduler.register(vppRouteDescriptor(session));
    });
  });
  afterAll(() => lab?.[Symbol.asyncDispose]());

  it("makes, reads back, changes and removes checks of sources", async () => {
    const route = {
      vrf: 2,
      dst: "10.1.0.2/32",
      paths: ["hda", "hdb"].map((name) => ({ type: "via" as const, interface: name })),
    };
    const needed: Items = [port("hda"), port("hdb"), table(4, 2), table(6, 2), table(4, 3)];
    const routes: Items = [[vppRouteKey(route), route]];
    await lab.walk(
      needed,
      [...routes, check("hda", 4, 2), check("hda", 6, 2), check("hdb", 4, 3)],
      [...routes, check("hda", 4, 3), check("hdb", 4, 0)],
    );
  });

  it("binds, reads back and unbinds interfaces that the filter looks at", async () => {
    await lab.walk([port("hda"), port("hdb")], [filtered("hda"), filtered("hdb")], [filtered("hda")]);
  });

  it("makes, reads back, changes and removes rules of SCTP, with interfaces of pods and without others", async () => {
    const [own, other] = ["self 10.1.0.2/32", "self fd00::2/128"];
    const ports = ["begun 10.1.0.3/32 80/16", "begun 10.1.0.0/24 128/9", "init 10.1.0.3/32", "answers 10.1.0.3/32 0/0"];
    const rest = [...ports, "rest 10.1.0.3/32", "rest 0.0.0.0/0"];
    await lab.walk(
      [port("hda"), port("hdb")],
      [pod("hda"), sctp("egress", "10.1.0.2", own, ...rest), sctp("ingress", "fd00::2", other, "rest ::/0")],
      [
        pod("hda"),
        filtered("hdb"),
        sctp("egress", "10.1.0.2", own, "rest 0.0.0.0/0"),
        sctp("ingress", "fd00::2", other),
      ],
    );
  });

  it("has no more tables than the rules need", async () => {
    const count = async (): Promise<number> => {
      const sw_if_index = lab.session.indexOf("hda") ?? 0;
      let { ip4_table_id: table_id } = await lab.client.request("classify_table_by_interface", { sw_if_index });
      for (let tables = 0; ; tables++) {
        if (table_id === NO_INDEX) return tables;
        table_id = (await lab.client.request("classify_table_info", { table_id })).next_table_index;
      }
    };
    await using scheduler = disposable(lab.scheduler());
    const items: Items = [port("hda"), pod("hda"), sctp("egress", "10.1.0.2", "self 10.1.0.2/32")];
    await scheduler.transact({ changes: items, resync: "full" });
    const few = await count();
    const ports = Array.from({ length: 16 }, (_, i) => `begun 10.1.0.0/24 ${2 ** (15 - i)}/${i + 1}`);
    const more = [sctp("egress", "10.1.0.2", "self 10.1.0.2/32", ...ports)];
    await scheduler.transact({ changes: [...items.slice(0, 2), ...more], resync: "full" });
    expect(await count()).toBe(few + 16);
    await scheduler.transact({ changes: items, resync: "full" });
    expect(await count()).toBe(few);
  });

  it("knows the flows of an earlier life, and an interface that is not the one that had the number", async () => {
    const items = new Map<Key, unknown>([port("hda"), filtered("hda")]);
    await using first = disposable(lab.scheduler());
    await first.transact({ changes: [...items], resync: "full" });
    const earlier = filter;
    await earlier.change([flow(1), flow(2)], []);
    await earlier.change([], [flow(1)]);
    await using second = disposable(lab.scheduler());
    await second.transact({ changes: [...items], resync: "full" });
    expect(filter).not.toBe(earlier);
    expect([...(await filter.flows()).values()]).toEqual([flow(2)]);
    await filter.change([], [flow(2)]);
    expect((await filter.flows()).size).toBe(0);
    // VPP gives the number to the next one, with what is left on it.
    const number = lab.session.indexOf("hda") ?? 0;
    await lab.client.request("delete_loopback", { sw_if_index: number });
    await using third = disposable(lab.scheduler());
    const other = [port("hdc"), filtered("hdc")];
    expect((await third.transact({ changes: other, resync: "full" })).errors).toEqual(new Map());
    expect(lab.session.indexOf("hdc")).toBe(number);
    const node = { arc_name: "ip4-unicast", feature_name: "ip4-inacl", sw_if_index: number };
    expect(await lab.client.request("feature_is_enabled", node)).toMatchObject({ is_enabled: true });
  });
});
