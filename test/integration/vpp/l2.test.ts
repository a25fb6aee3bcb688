import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bridgeDomainDescriptor } from "../../../src/dataplane/vpp/l2/bridge-domain.ts";
import { l2FibDescriptor } from "../../../src/dataplane/vpp/l2/fib.ts";
import { l2PortDescriptor } from "../../../src/dataplane/vpp/l2/port.ts";
import { NO_INDEX } from "../../../src/dataplane/vpp/target.ts";
import {
  type BridgeDomainValue,
  type BridgeMemberValue,
  bridgeDomainKey,
  bridgeMemberKey,
  type L2FibValue,
  l2CrossConnectKey,
  l2FibKey,
} from "../../../src/models/vpp/l2.ts";
import { type Items, ItemsLab, port } from "../../support/vpp/items-lab.ts";
import { VPP_BINARY, vppNote } from "../../support/vpp/real-vpp.ts";

const FLAGS = { flood: true, uuFlood: true, forward: true, learn: true, arpTerm: false };
const domain = (id: number, more: Partial<BridgeDomainValue> = {}) =>
  [bridgeDomainKey(id), { id, name: `hd${id}`, ...FLAGS, macAge: 5, ...more }] as const;
const member = (bridge: number, name: string, more: Partial<BridgeMemberValue> = {}) => {
  const value = { bridge, interface: name, port: "normal", splitHorizon: 0, ...more };
  return [bridgeMemberKey(value), value] as const;
};
const connect = (rx: string, tx: string) => [l2CrossConnectKey(rx), { rx, tx }] as const;
const fib = (value: L2FibValue) => [l2FibKey(value), value] as const;

const mac = (last: number): string => `02:fe:00:00:00:0${last}`;
const PORTS: Items = [port("hda"), port("hdb"), port("hdc"), port("hdd")];

describe.skipIf(VPP_BINARY === undefined)(`bridge domains and cross-connects on a real VPP${vppNote}`, () => {
  let lab: ItemsLab;
  beforeAll(async () => {
    lab = await ItemsLab.start((scheduler, session) => {
      scheduler.register(bridgeDomainDescriptor(session));
      scheduler.register(l2PortDescriptor(session));
      scheduler.register(l2FibDescriptor(session));
    });
  });
  afterAll(() => lab?.[Symbol.asyncDispose]());

  /** What a scheduler that knows nothing does to have these items. */
  const resync = async (items: Items): Promise<string[]> => {
    const scheduler = lab.scheduler();
    const { errors, record } = await scheduler.transact({ resync: "full", changes: items });
    await scheduler.close();
    expect(errors).toEqual(new Map());
    return record.executed.filter((op) => op.noop !== true).map((op) => `${op.op} ${op.key}`);
  };

  it("are made, read back, changed and removed: domains", async () => {
    const none = { flood: false, uuFlood: false, forward: false, learn: false };
    await lab.walk(
      [],
      [domain(1), domain(0xff_ffff, { ...none, arpTerm: true, macAge: 0 })],
      [
        domain(1, { uuFlood: false, learn: false, arpTerm: true, macAge: 255 }),
        domain(0xff_ffff, { ...none, name: "another" }),
      ],
    );
  });

  it("are made, read back, changed and removed: members", async () => {
    await lab.walk(
      [...PORTS, domain(1), domain(2)],
      [
        member(1, "hda", { port: "bvi" }),
        member(1, "hdb", { splitHorizon: 255 }),
        member(1, "hdc", { port: "uu-fwd" }),
        member(2, "hdd"),
      ],
      [
        member(1, "hda", { splitHorizon: 1 }),
        member(1, "hdb", { port: "bvi" }),
        member(2, "hdc", { port: "uu-fwd" }),
        member(1, "hdd"),
      ],
    );
  });

  it("are made, read back, changed and removed: MAC addresses", async () => {
    await lab.walk(
      [...PORTS, domain(1), domain(2), member(1, "hda", { port: "bvi" }), member(1, "hdb"), member(2, "hdc")],
      [
        fib({ bridge: 1, mac: mac(1), kind: "static", interface: "hdb" }),
        fib({ bridge: 1, mac: mac(2), kind: "filter" }),
        fib({ bridge: 2, mac: mac(1), kind: "static", interface: "hdc" }),
      ],
      [
        fib({ bridge: 1, mac: mac(1), kind: "filter" }),
        fib({ bridge: 1, mac: mac(2), kind: "static", interface: "hdb" }),
      ],
    );
  });

  it("are made, read back, changed and removed: cross-connects, there and back, in place of a membership", async () => {
    await lab.walk(
      [...PORTS, domain(1)],
      [connect("hda", "hdb"), connect("hdb", "hda"), member(1, "hdc")],
      [connect("hda", "hdd"), connect("hdc", "hda"), member(1, "hdb")],
    );
  });

  it("change a domain's flags without touching its members", async () => {
    const rest = [...PORTS, member(1, "hda")];
    await resync([...rest, domain(1)]);
    expect(await resync([...rest, domain(1, { flood: false, macAge: 7 })])).toEqual([`update ${bridgeDomainKey(1)}`]);
    expect(await resync([...rest, domain(1, { name: "other" })])).toEqual(
      ["delete", "delete", "create", "create"].map((op, i) =>
        i === 0 || i === 3 ? `${op} ${member(1, "hda")[0]}` : `${op} ${bridgeDomainKey(1)}`,
      ),
    );
    await resync([]);
  });

  it("leave no MAC address to the domain that comes next", async () => {
    const address = fib({ bridge: 1, mac: mac(1), kind: "static", interface: "hda" });
    await resync([...PORTS, domain(1), member(1, "hda"), address]);
    await resync([]);
    expect(await lab.client.dump("l2_fib_table_dump", { bd_id: NO_INDEX })).toEqual([]);
  });

  it("keep a MAC address while the interface goes down and up", async () => {
    const items = [
      ...PORTS,
      domain(1),
      member(1, "hda"),
      fib({ bridge: 1, mac: mac(1), kind: "static", interface: "hda" }),
    ];
    await resync(items);
    const sw_if_index = lab.session.indexOf("hda") ?? NO_INDEX;
    for (const flags of [1, 0, 1]) await lab.client.request("sw_interface_set_flags", { sw_if_index, flags });
    expect(await resync(items)).toEqual([]);
    await resync([]);
  });

  it("refuse a second BVI of a domain, and the interface stays as it is", async () => {
    const items = [...PORTS, domain(1), member(1, "hda", { port: "bvi" })];
    await resync(items);
    const scheduler = lab.scheduler();
    const second = member(1, "hdb", { port: "bvi" });
    const { errors } = await scheduler.transact({ resync: "full", changes: [...items, second] });
    await scheduler.close();
    expect([...errors].map(([key, error]) => [key, error.message])).toEqual([
      [second[0], "bridge domain 1 has a bvi: hda"],
    ]);
    expect(await resync(items)).toEqual([]);
    await resync([]);
  });
});
