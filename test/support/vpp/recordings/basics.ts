import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { ipFromUnion, type VppApi } from "../../../../src/dataplane/vpp/binapi/index.ts";

/** The file with what VPP answered; `HEDDLE_RECORD=1 … vitest run --project integration test/integration/vpp` renews it. */
export const BASICS_FILE = join(import.meta.dirname, "basics.txt");

export const basicsRecording = (): string => readFileSync(BASICS_FILE, "utf8");

const table_id = 42;
const ROUTES = [
  ["10.42.0.0/16", { ip4: "10.42.255.1" }, 0],
  ["10.43.0.0/16", { ip4: "10.42.255.2" }, 0],
  ["fd42:1::/64", { ip6: "fd42::2" }, 1],
] as const;

/** What the recording is of: an interface with addresses, a table, routes of both families, two refusals. */
export async function basics(vpp: VppApi): Promise<void> {
  const made = await vpp.request("create_loopback_instance", {
    mac_address: "02:fe:00:00:00:42",
    is_specified: true,
    user_instance: 42,
  });
  const { sw_if_index } = made;
  for (const is_ip6 of [false, true]) {
    await vpp.request("ip_table_add_del", { table: { table_id, is_ip6, name: "forty-two" } });
    await vpp.request("sw_interface_set_table", { sw_if_index, is_ipv6: is_ip6, vrf_id: table_id });
  }
  for (const prefix of ["10.42.255.254/24", "fd42::1/64"]) {
    await vpp.request("sw_interface_add_del_address", { sw_if_index, is_add: true, del_all: false, prefix });
  }
  await vpp.request("sw_interface_set_flags", { sw_if_index, flags: 1 });
  for (const [prefix, address, proto] of ROUTES) {
    const nh = { address, via_label: 0x10_0000, obj_id: 0, classify_table_index: 0 };
    const path = {
      sw_if_index,
      table_id: 0,
      rpf_id: 0,
      weight: 1,
      preference: 0,
      type: 0,
      proto,
      nh,
      n_labels: 0,
    } as const;
    await vpp.request("ip_route_add_del", {
      is_multipath: false,
      route: { table_id, stats_index: 0, prefix, paths: [path] },
    });
  }

  const interfaces = await vpp.dump("sw_interface_dump", { sw_if_index: 0xffff_ffff, name_filter_valid: false });
  expect(interfaces.map((i) => [i.interface_name, i.l2_address, i.flags, i.tag])).toEqual([
    ["local0", "00:00:00:00:00:00", 0, ""],
    ["loop42", "02:fe:00:00:00:42", 3, ""],
  ]);
  const addresses = [false, true].map((is_ipv6) => vpp.dump("ip_address_dump", { sw_if_index, is_ipv6 }));
  const prefixes = (await Promise.all(addresses)).flat().map((a) => a.prefix);
  expect(prefixes).toEqual(["10.42.255.254/24", "fd42::1/64"]);
  for (const [prefix, address, proto] of ROUTES) {
    const family = proto === 0 ? 4 : 6;
    const dumped = await vpp.dump("ip_route_dump", { table: { table_id, is_ip6: proto === 1 } });
    const [path] = dumped.find((d) => d.route.prefix === prefix)?.route.paths ?? [];
    expect(path).toMatchObject({ sw_if_index, proto, type: 0, weight: 1, n_labels: 0 });
    expect(path && ipFromUnion(path.nh.address, family)).toBe(Object.values(address)[0]);
  }
  expect(await vpp.cli("show ip fib table 42 10.43.0.1/32")).toContain("10.43.0.0/16");
  await expect(vpp.request("delete_loopback", { sw_if_index: 4242 })).rejects.toMatchObject({
    code: "INVALID_SW_IF_INDEX",
  });
  const again = { table_id: 4242, stats_index: 0, prefix: "10.0.0.0/8", paths: [] };
  await expect(vpp.request("ip_route_add_del", { is_multipath: false, route: again })).rejects.toMatchObject({
    code: "NO_SUCH_FIB",
  });
}
