import { writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { millis, seconds } from "../../../src/base/clock/clock.ts";
import { VppClient } from "../../../src/dataplane/vpp/binapi/index.ts";
import { until } from "../../support/until.ts";
import { vppCompliance } from "../../support/vpp/compliance.ts";
import { RealVpp, VPP_BINARY, vppNote } from "../../support/vpp/real-vpp.ts";
import { Recorder } from "../../support/vpp/recording.ts";
import { BASICS_FILE, basics } from "../../support/vpp/recordings/basics.ts";

const skip = VPP_BINARY === undefined;

vppCompliance(`VPP's API, answered by VPP${vppNote}`, skip, async () => {
  const vpp = await RealVpp.start();
  const client = await VppClient.open({ socket: vpp.socket, apiDirectory: vpp.apiDirectory });
  return {
    client,
    async close() {
      await client.close();
      await vpp[Symbol.asyncDispose]();
    },
  };
});

describe.skipIf(skip)(`VPP client on a real VPP${vppNote}`, () => {
  let vpp: RealVpp;
  beforeAll(async () => {
    vpp = await RealVpp.start();
  });
  afterAll(() => vpp?.[Symbol.asyncDispose]());

  const open = (options: Partial<Parameters<typeof VppClient.open>[0]> = {}) =>
    VppClient.open({ socket: vpp.socket, apiDirectory: vpp.apiDirectory, ...options });

  it("finds API files that are those of the running VPP, every one of them usable", async () => {
    await using client = await open();
    expect(client.codecs?.schema.problems).toEqual([]);
    const { info } = client.state as Extract<typeof client.state, { s: "ready" }>;
    expect(info.differences).toEqual([]);
    expect(info.pid).toBe(vpp.pid);
  });

  it("is back after kill -9, with its subscriptions", async () => {
    await using client = await open({ backoff: { first: millis(5), max: millis(50) } });
    const events: number[] = [];
    await client.subscribe("want_interface_events", { enable_disable: 1, pid: 1 }, (e) => events.push(e.sw_if_index));
    await vpp.kill();
    await until("the loss is noticed", () => client.state.s !== "ready");
    await expect(client.request("control_ping", {})).rejects.toMatchObject({ code: "NOT_CONNECTED" });
    await vpp.run();
    await client.ready();
    const loopback = { mac_address: "02:fe:00:00:00:01", is_specified: false, user_instance: 0 };
    const { sw_if_index } = await client.request("create_loopback_instance", loopback);
    await client.request("sw_interface_set_flags", { sw_if_index, flags: 1 });
    await until("the event", () => events.includes(sw_if_index));
  });

  it("notices a VPP that stopped running with its socket open, and finds it again", async () => {
    await using client = await open({ keepAlive: { idle: millis(100), timeout: millis(300) }, timeout: seconds(1) });
    vpp.pause();
    await until("the hang is noticed", () => client.state.s !== "ready");
    vpp.resume();
    await client.ready();
    await client.request("control_ping", {});
  });

  it("sends VPP more at once than it or the socket takes, and loses nothing", async () => {
    await using client = await open();
    const prefixes = Array.from({ length: 20_000 }, (_, i) => `10.${i >> 8}.${i & 255}.0/24`);
    const route = (prefix: string) => ({ is_multipath: false, route: dropRoute(prefix) });
    await Promise.all(prefixes.map((p) => client.request("ip_route_add_del", route(p))));
    const dumped = await client.dump(
      "ip_route_dump",
      { table: { table_id: 0, is_ip6: false } },
      { timeout: seconds(30) },
    );
    const found = new Set(dumped.map((d) => d.route.prefix));
    expect(prefixes.filter((p) => !found.has(p))).toEqual([]);
    await Promise.all(prefixes.map((p) => client.request("ip_route_add_del", { ...route(p), is_add: false })));
    expect(client.counters).toMatchObject({ late: 0, foreign: 0, unknown: 0 });
  });

  it("answers as in the recording that stands in for it", async () => {
    await using own = await RealVpp.start();
    const recorder = new Recorder();
    const options = { socket: own.socket, apiDirectory: own.apiDirectory, tap: recorder.tap };
    await using client = await VppClient.open(options);
    await basics(client);
    const { version } = await client.request("show_version", {});
    if (process.env["HEDDLE_RECORD"] === "1" && client.codecs) {
      writeFileSync(BASICS_FILE, recorder.text(client.codecs, `VPP ${version}: basics.ts`));
    }
  });

  it("shares VPP with other clients", async () => {
    await using one = await open({ name: "one" });
    await using two = await open({ name: "two" });
    const clients = await one.cli("show api clients");
    expect(clients).toMatch(/\bone\b/);
    expect(clients).toMatch(/\btwo\b/);
    await two.request("control_ping", {});
  });
});

const dropRoute = (prefix: string) =>
  ({
    table_id: 0,
    stats_index: 0,
    prefix,
    paths: [
      {
        sw_if_index: 0xffff_ffff,
        table_id: 0,
        rpf_id: 0xffff_ffff,
        weight: 1,
        preference: 0,
        type: 2,
        proto: 0,
        nh: {
          address: { ip4: "0.0.0.0" },
          via_label: 0x10_0000,
          obj_id: 0xffff_ffff,
          classify_table_index: 0xffff_ffff,
        },
        n_labels: 0,
      },
    ],
  }) as const;
