import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { IpRouteInput } from "../../../src/dataplane/vpp/binapi/gen/types.gen.ts";
import {
  FibPathNhProto,
  FibPathType,
  IfStatusFlags,
  ipFromUnion,
  isNotFound,
  VppApiError,
  type VppClient,
} from "../../../src/dataplane/vpp/binapi/index.ts";
import { until } from "../until.ts";

/** A client of the VPP to be held to the suite, and how to get rid of both. */
export interface ComplianceSubject {
  readonly client: VppClient;
  close(): Promise<void>;
}

const ALL_INTERFACES = { sw_if_index: 0xffff_ffff, name_filter_valid: false };

/** What the client and its users rely on, from the fake and from the real VPP alike. */
export function vppCompliance(name: string, skip: boolean, open: () => Promise<ComplianceSubject>): void {
  // oxlint-disable-next-line vitest/valid-title -- the caller names its VPP
  describe.skipIf(skip)(name, () => {
    let subject: ComplianceSubject;
    let vpp: VppClient;
    beforeAll(async () => {
      subject = await open();
      vpp = subject.client;
    });
    afterAll(() => subject?.close());

    it("has every message that this build names, in the same shape", () => {
      expect(vpp.state).toMatchObject({ s: "ready", info: { differences: [] } });
    });

    it("answers a ping with its process ID", async () => {
      const pings = await Promise.all(Array.from({ length: 500 }, () => vpp.request("control_ping", {})));
      expect(new Set(pings.map((p) => p.vpe_pid)).size).toBe(1);
      expect(pings[0]?.vpe_pid).toBeGreaterThan(0);
    });

    it("answers in the order of the requests", async () => {
      const order: number[] = [];
      const calls = Array.from({ length: 200 }, async (_, i) => {
        await vpp.request(i % 3 === 0 ? "show_version" : "control_ping", {});
        order.push(i);
      });
      await Promise.all(calls);
      expect(order).toEqual([...order].sort((a, b) => a - b));
    });

    it("tells its version, as message and on the command line", async () => {
      const version = await vpp.request("show_version", {});
      expect(version.version).toMatch(/^2[6-9]\./);
      expect(await vpp.cli("show version")).toContain(version.version);
    });

    it("tells what the command line says against a command", async () => {
      const call = vpp.cli("frobnicate");
      await expect(call).rejects.toMatchObject({
        code: "CLI",
        output: expect.stringContaining("unknown input `frobnicate'"),
      });
    });

    it("returns long texts whole", async () => {
      const text = await vpp.cli("show cli");
      expect(text.length).toBeGreaterThan(10_000);
    });

    it("uses our byte order for floating point numbers", async () => {
      expect(await vpp.requestAny("get_f64_increment_by_one", { f64_value: 41.5 })).toMatchObject({ f64_value: 42.5 });
    });

    it("creates, lists and deletes an interface", async () => {
      const mac_address = "02:fe:00:00:07:07";
      const made = await vpp.request("create_loopback_instance", {
        mac_address,
        is_specified: true,
        user_instance: 77,
      });
      const find = async () =>
        (await vpp.dump("sw_interface_dump", ALL_INTERFACES)).find((i) => i.sw_if_index === made.sw_if_index);
      expect(await find()).toMatchObject({ interface_name: "loop77", l2_address: mac_address, flags: 0 });
      await vpp.request("delete_loopback", { sw_if_index: made.sw_if_index });
      expect(await find()).toBeUndefined();
    });

    it("tells of what is as it was by the same objects, to who asks again and again", async () => {
      const ask = () => vpp.dump("sw_interface_dump", ALL_INTERFACES, { again: true });
      const mac = (n: number) => `02:fe:00:00:08:${String(n).padStart(2, "0")}`;
      const make = (n: number) =>
        vpp.request("create_loopback_instance", { mac_address: mac(n), is_specified: true, user_instance: 80 + n });
      const made = [];
      for (let n = 0; n < 18; n++) made.push((await make(n)).sw_if_index);
      const before = await ask();
      expect(before).toEqual(await vpp.dump("sw_interface_dump", ALL_INTERFACES));
      expect(await ask()).toBe(before);
      const flags = IfStatusFlags.IF_STATUS_API_FLAG_ADMIN_UP;
      await vpp.request("sw_interface_set_flags", { sw_if_index: made[5]!, flags });
      await vpp.request("delete_loopback", { sw_if_index: made[9]! });
      const after = await ask();
      expect(after).toEqual(await vpp.dump("sw_interface_dump", ALL_INTERFACES));
      const others = after.filter((element) => !before.includes(element));
      expect(others.map(({ sw_if_index }) => sw_if_index)).toEqual([made[5]]);
      for (const sw_if_index of made.toSpliced(9, 1)) await vpp.request("delete_loopback", { sw_if_index });
      expect(await ask()).toEqual(await vpp.dump("sw_interface_dump", ALL_INTERFACES));
    });

    it("names its refusals", async () => {
      const wrong = vpp.request("sw_interface_set_flags", {
        sw_if_index: 54_321,
        flags: IfStatusFlags.IF_STATUS_API_FLAG_ADMIN_UP,
      });
      const error = await wrong.then(
        () => undefined,
        (e: unknown) => e,
      );
      expect(error).toBeInstanceOf(VppApiError);
      expect(error).toMatchObject({ code: "INVALID_SW_IF_INDEX", retval: -2, request: "sw_interface_set_flags" });
      expect(isNotFound(error)).toBe(true);
    });

    it("reports what happens to an interface to those who want to hear it", async () => {
      const seen: { sw_if_index: number; flags: number; deleted: boolean }[] = [];
      const subscription = await vpp.subscribe(
        "want_interface_events",
        { enable_disable: 1, pid: process.pid },
        (e) => seen.push(e),
        { off: { enable_disable: 0, pid: process.pid } },
      );
      const loopback = { mac_address: "02:fe:00:00:07:08", is_specified: true, user_instance: 78 };
      const { sw_if_index } = await vpp.request("create_loopback_instance", loopback);
      await vpp.request("sw_interface_set_flags", { sw_if_index, flags: IfStatusFlags.IF_STATUS_API_FLAG_ADMIN_UP });
      await until("the interface is up", () =>
        seen.some((e) => e.sw_if_index === sw_if_index && (e.flags & 1) === 1 && !e.deleted),
      );
      await vpp.request("delete_loopback", { sw_if_index });
      await until("the interface is gone", () => seen.some((e) => e.sw_if_index === sw_if_index && e.deleted));
      await subscription.close();
    });

    it("takes routes of both families and shows them as they were given", async () => {
      const table_id = 7700;
      const tables = [false, true].map((is_ip6) => ({ table_id, is_ip6, name: "hd" }));
      for (const table of tables) await vpp.request("ip_table_add_del", { table });
      const names = (await vpp.dump("ip_table_dump", {})).filter((t) => t.table.table_id === table_id);
      expect(new Set(names.map((t) => t.table.is_ip6))).toEqual(new Set([false, true]));
      const routes = [dropRoute(table_id, "10.77.0.0/16"), dropRoute(table_id, "fd77::/64")];
      for (const route of routes) await vpp.request("ip_route_add_del", { is_multipath: false, route });
      for (const [is_ip6, prefix] of [
        [false, "10.77.0.0/16"],
        [true, "fd77::/64"],
      ] as const) {
        const dumped = await vpp.dump("ip_route_dump", { table: { table_id, is_ip6 } });
        const mine = dumped.find((r) => r.route.prefix === prefix);
        expect(mine?.route.paths).toHaveLength(1);
        expect(mine?.route.paths[0]).toMatchObject({ type: FibPathType.FIB_API_PATH_TYPE_DROP });
        expect(ipFromUnion(mine?.route.paths[0]?.nh.address ?? new Uint8Array(16), is_ip6 ? 6 : 4)).toMatch(
          /^(0\.0\.0\.0|::)$/,
        );
      }
      for (const route of routes) await vpp.request("ip_route_add_del", { is_add: false, is_multipath: false, route });
      for (const table of tables) await vpp.request("ip_table_add_del", { is_add: false, table });
    });

    it("refuses a route into a table that is not there", async () => {
      const route = dropRoute(7799, "10.0.0.0/8");
      await expect(vpp.request("ip_route_add_del", { is_multipath: false, route })).rejects.toMatchObject({
        code: "NO_SUCH_FIB",
      });
    });

    it("ends a stream that has no elements", async () => {
      expect(await vpp.dumpAny("ip_path_mtu_get", {})).toEqual([]);
    });

    it("goes on after a request was given up", async () => {
      const controller = new AbortController();
      const given = vpp.request("show_version", {}, { signal: controller.signal });
      controller.abort(new Error("changed my mind"));
      await expect(given).rejects.toThrow("changed my mind");
      expect((await vpp.request("control_ping", {})).retval).toBe(0);
    });

    it("shows the last messages for people", () => {
      const last = vpp.trace().trimEnd().split("\n").at(-1);
      expect(last).toContain("← control_ping_reply");
    });
  });
}

function dropRoute(table_id: number, prefix: string): IpRouteInput {
  const isIp6 = prefix.includes(":");
  return {
    table_id,
    stats_index: 0,
    prefix,
    paths: [
      {
        sw_if_index: 0xffff_ffff,
        table_id: 0,
        rpf_id: 0xffff_ffff,
        weight: 1,
        preference: 0,
        type: FibPathType.FIB_API_PATH_TYPE_DROP,
        proto: isIp6 ? FibPathNhProto.FIB_API_PATH_NH_PROTO_IP6 : FibPathNhProto.FIB_API_PATH_NH_PROTO_IP4,
        nh: {
          address: isIp6 ? { ip6: "::" } : { ip4: "0.0.0.0" },
          via_label: 0x10_0000,
          obj_id: 0xffff_ffff,
          classify_table_index: 0xffff_ffff,
        },
        n_labels: 0,
      },
    ],
  };
}
