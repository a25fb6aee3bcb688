import type { MessageValue } from "../../../src/dataplane/vpp/binapi/codec/codecs.ts";
import type { FakeVpp } from "./fake-vpp.ts";

interface Interface {
  readonly name: string;
  readonly mac: string;
  up: boolean;
}

const INVALID_SW_IF_INDEX = -2;
const NO_SUCH_FIB = -3;
const NO_SUCH_ENTRY = -6;
const ADMIN_UP = 1;

/**
 * Gives the fake a little of what a VPP does: interfaces with events, tables, routes, the CLI. As far as it goes it
 * answers as the real one, retvals included; one compliance suite holds both to that.
 */
export function modelVpp(fake: FakeVpp): void {
  const interfaces = new Map<number, Interface>([[0, { name: "local0", mac: "00:00:00:00:00:00", up: false }]]);
  let nextInterface = 1;
  let wanted = false;
  const event = (sw_if_index: number, flags: number, deleted: boolean): void => {
    if (wanted) fake.event("sw_interface_event", { pid: fake.pid, sw_if_index, flags, deleted });
  };

  fake.handle("show_version", () => ({ program: "vpe", version: "26.06-fake", build_date: "2026-06-24T00:00:00" }));
  fake.handle("cli_inband", (input) => {
    if (input["cmd"] === "show version") return { reply: "vpp v26.06-fake built by nobody\n" };
    if (input["cmd"] === "show cli") return { reply: "  all the commands there are\n".repeat(4000) };
    return { retval: -1, reply: `unknown input \`${String(input["cmd"])}'\n` };
  });
  fake.handle("get_f64_increment_by_one", (input) => ({ f64_value: Number(input["f64_value"]) + 1 }));
  fake.handle("ip_path_mtu_get", () => []);

  fake.handle("create_loopback_instance", (input) => {
    const sw_if_index = nextInterface++;
    const instance = input["is_specified"] === true ? Number(input["user_instance"]) : sw_if_index - 1;
    interfaces.set(sw_if_index, { name: `loop${instance}`, mac: String(input["mac_address"]), up: false });
    return { sw_if_index };
  });
  fake.handle("delete_loopback", (input) => {
    const index = Number(input["sw_if_index"]);
    if (!interfaces.delete(index)) return INVALID_SW_IF_INDEX;
    event(index, 0, true);
    return 0;
  });
  fake.handle("sw_interface_set_flags", (input) => {
    const index = Number(input["sw_if_index"]);
    const found = interfaces.get(index);
    if (!found) return INVALID_SW_IF_INDEX;
    found.up = (Number(input["flags"]) & ADMIN_UP) !== 0;
    event(index, found.up ? 3 : 0, false); // the link of a loopback follows
    return 0;
  });
  fake.handle("sw_interface_dump", (input) => {
    const wantedIndex = Number(input["sw_if_index"]);
    return [...interfaces]
      .filter(([index]) => wantedIndex === 0xffff_ffff || wantedIndex === index)
      .map(([sw_if_index, i]) => ({ sw_if_index, interface_name: i.name, l2_address: i.mac, flags: i.up ? 3 : 0 }));
  });
  fake.handle("want_interface_events", (input) => {
    wanted = Number(input["enable_disable"]) !== 0;
    return 0;
  });
  modelRoutes(fake);
}

function modelRoutes(fake: FakeVpp): void {
  const tables = new Map<string, { table: MessageValue; routes: Map<string, MessageValue> }>();
  const keyOf = (id: unknown, isIp6: unknown) => `${String(id)}/${isIp6 === true ? 6 : 4}`;
  for (const is_ip6 of [false, true]) {
    const name = `ipv${is_ip6 ? 6 : 4}-VRF:0`;
    tables.set(keyOf(0, is_ip6), { table: { table_id: 0, is_ip6, name }, routes: new Map() });
  }
  fake.handle("ip_table_add_del", (input) => {
    const table = input["table"] as MessageValue;
    const key = keyOf(table["table_id"], table["is_ip6"]);
    if (input["is_add"] === true) tables.set(key, tables.get(key) ?? { table, routes: new Map() });
    else tables.delete(key);
    return 0;
  });
  fake.handle("ip_table_dump", () => [...tables.values()].map(({ table }) => ({ table })));
  fake.handle("ip_route_add_del", (input) => {
    const route = input["route"] as MessageValue;
    const prefix = String(route["prefix"]);
    const table = tables.get(keyOf(route["table_id"], prefix.includes(":")));
    if (!table) return { retval: NO_SUCH_FIB, stats_index: 0 };
    if (input["is_add"] === true) table.routes.set(prefix, route);
    else if (!table.routes.delete(prefix)) return { retval: NO_SUCH_ENTRY };
    return { stats_index: table.routes.size };
  });
  fake.handle("ip_route_dump", (input) => {
    const table = input["table"] as MessageValue;
    const found = tables.get(keyOf(table["table_id"], table["is_ip6"]));
    return [...(found?.routes.values() ?? [])].map((route) => ({ route }));
  });
}
