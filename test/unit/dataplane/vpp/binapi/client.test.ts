import { describe, expect, it } from "vitest";
import { seconds } from "../../../../../src/base/clock/clock.ts";
import { ManualClock } from "../../../../../src/base/clock/manual-clock.ts";
import type { IpTableDetails } from "../../../../../src/dataplane/vpp/binapi/gen/ip.gen.ts";
import { until } from "../../../../support/until.ts";
import { skipNote, VPP_API_DIRECTORY } from "../../../../support/vpp/api-files.ts";
import { FakeSession } from "../../../../support/vpp/fake-session.ts";

const table = (table_id: number) => ({ table: { table_id, is_ip6: false, name: `t${table_id}` } });

describe.skipIf(VPP_API_DIRECTORY === undefined)(`VPP client${skipNote}`, () => {
  it("collects a dump's elements until VPP's answer to a ping", async () => {
    await using session = await FakeSession.start();
    session.vpp.handle("ip_table_dump", () => [table(1), table(2)]);
    const vpp = await session.connect();
    expect(await vpp.dump("ip_table_dump", {})).toEqual([table(1), table(2)]);
    expect(session.vpp.requests.slice(-2)).toEqual(["ip_table_dump", "control_ping"]);
  });

  it("hands elements over one by one, and stops when the taker throws", async () => {
    await using session = await FakeSession.start();
    session.vpp.handle("ip_table_dump", () => [table(1), table(2), table(3)]);
    const vpp = await session.connect();
    const seen: IpTableDetails[] = [];
    const taken = vpp.dumpEach("ip_table_dump", {}, (t) => {
      seen.push(t);
      if (seen.length === 2) throw new Error("enough");
    });
    await expect(taken).rejects.toThrow("enough");
    expect(seen).toHaveLength(2);
    await vpp.request("control_ping", {});
  });

  it("continues a stream that VPP interrupts from its cursor", async () => {
    await using session = await FakeSession.start();
    const cursors: unknown[] = [];
    session.vpp.handle("sw_interface_tx_placement_get", (input, client) => {
      const cursor = Number(input["cursor"]);
      cursors.push(cursor);
      client.send("sw_interface_tx_placement_details", { queue_id: cursor }, session.vpp.context);
      return cursor < 2 ? { retval: -165, cursor: cursor + 1 } : { retval: 0, cursor: 0xffff_ffff };
    });
    const vpp = await session.connect();
    const placements = await vpp.dump("sw_interface_tx_placement_get", { sw_if_index: 1 });
    expect(placements.map((p) => p.queue_id)).toEqual([0, 1, 2]);
    expect(cursors).toEqual([0, 1, 2]);
  });

  it("takes VPP's way to say that a stream is empty for that, and not for an error", async () => {
    await using session = await FakeSession.start();
    session.vpp.handle("sw_interface_tx_placement_get", () => ({ retval: -7, cursor: 0xffff_ffff }));
    const vpp = await session.connect();
    expect(await vpp.dump("sw_interface_tx_placement_get", { sw_if_index: 1 })).toEqual([]);
    session.vpp.handle("sw_interface_tx_placement_get", () => ({ retval: -7, cursor: 0 }));
    await expect(vpp.dump("sw_interface_tx_placement_get", { sw_if_index: 1 })).rejects.toMatchObject({
      code: "INVALID_VALUE",
    });
  });

  it("keeps no more requests in VPP's hands than the window allows, and no more waiting than the queue", async () => {
    await using session = await FakeSession.start();
    const held: (() => void)[] = [];
    session.vpp.handle("show_version", () => new Promise((resolve) => held.push(() => resolve({ version: "x" }))));
    const vpp = await session.connect({ limits: { window: 4, queue: 6 } });
    const calls = Array.from({ length: 10 }, () => vpp.request("show_version", {}));
    await expect(vpp.request("show_version", {})).rejects.toMatchObject({ code: "OVERLOADED" });
    await until("VPP has the window", () => held.length === 4);
    held.splice(0, 2).forEach((answer) => answer());
    await until("two more", () => held.length === 4);
    let open = true;
    const all = Promise.all(calls).finally(() => {
      open = false;
    });
    while (open) {
      held.splice(0).forEach((answer) => answer());
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await all).toHaveLength(10);
    expect(session.vpp.requests.filter((r) => r === "show_version")).toHaveLength(10);
  });

  it("sends requests made together in one write, whatever the socket's buffer", async () => {
    await using session = await FakeSession.start();
    const vpp = await session.connect({ limits: { window: 50_000, queue: 1 } });
    session.vpp.handle("cli_inband", (input) => ({ reply: String(input["cmd"]).slice(0, 8) }));
    const texts = Array.from({ length: 2000 }, (_, i) => `${i}`.padStart(8, "0").repeat(100));
    const replies = await Promise.all(texts.map((t) => vpp.cli(t).catch(() => "full")));
    const sent = replies.filter((r) => r !== "full");
    expect(sent.length).toBeGreaterThan(100);
    expect(sent).toEqual(texts.slice(0, sent.length).map((t) => t.slice(0, 8)));
  });

  it("gives a request up at its deadline and ignores the answer that comes later", async () => {
    await using session = await FakeSession.start();
    const clock = new ManualClock();
    const vpp = await session.connect({ clock });
    let answer: (() => void) | undefined;
    session.vpp.handle("show_version", () => new Promise((resolve) => (answer = () => resolve({ version: "late" }))));
    const call = vpp.request("show_version", {}, { timeout: seconds(2) });
    const failed = expect(call).rejects.toMatchObject({ code: "DEADLINE" });
    await until("VPP has it", () => answer);
    clock.advance(seconds(2));
    await failed;
    answer?.();
    await vpp.request("control_ping", {});
    expect(vpp.counters).toMatchObject({ late: 1, foreign: 0 });
  });

  it("never sends a request that was given up while it waited for its turn", async () => {
    await using session = await FakeSession.start();
    let answer: (() => void) | undefined;
    session.vpp.handle("show_version", () => new Promise((resolve) => (answer = () => resolve({}))));
    const vpp = await session.connect({ limits: { window: 1 } });
    const first = vpp.request("show_version", {});
    const controller = new AbortController();
    const second = vpp.cli("show version", { signal: controller.signal });
    controller.abort(new Error("not any more"));
    await expect(second).rejects.toThrow("not any more");
    await until("VPP has the first", () => answer);
    answer?.();
    await first;
    await vpp.request("control_ping", {});
    expect(session.vpp.requests).not.toContain("cli_inband");
  });

  it("refuses at once what was aborted before, and what has the wrong shape, without sending it", async () => {
    await using session = await FakeSession.start();
    const vpp = await session.connect();
    const before = session.vpp.requests.length;
    await expect(vpp.cli("x", { signal: AbortSignal.abort(new Error("no")) })).rejects.toThrow("no");
    await expect(vpp.requestAny("sw_interface_set_flags", { sw_if_index: -1 })).rejects.toMatchObject({
      code: "BAD_INPUT",
    });
    await expect(vpp.requestAny("no_such_thing", {})).rejects.toMatchObject({ code: "NO_SUCH_MESSAGE" });
    await vpp.request("control_ping", {});
    expect(session.vpp.requests.slice(before)).toEqual(["control_ping"]);
  });

  it("delivers events in order, and survives a handler that throws", async () => {
    await using session = await FakeSession.start();
    session.vpp.handle("want_interface_events", () => 0);
    const vpp = await session.connect();
    const seen: number[] = [];
    const input = { enable_disable: 1, pid: 1 };
    await using bad = await vpp.subscribe("want_interface_events", input, () => {
      throw new Error("bad handler");
    });
    const good = await vpp.subscribe("want_interface_events", input, (e) => seen.push(e.sw_if_index), { off: input });
    for (const sw_if_index of [1, 2, 3]) session.vpp.event("sw_interface_event", { sw_if_index });
    await until("three events", () => seen.length === 3);
    expect(seen).toEqual([1, 2, 3]);
    expect(session.errors.filter((e) => e.includes("bad handler"))).toHaveLength(3);
    const asked = session.vpp.requests.length;
    await good.close();
    expect(session.vpp.requests.slice(asked)).toEqual([]); // the other one still needs the events
    session.vpp.event("sw_interface_event", { sw_if_index: 4 });
    await vpp.request("control_ping", {});
    expect(seen).toEqual([1, 2, 3]);
    expect(bad).toBeDefined();
  });

  it("answers VPP's own question whether it is alive", async () => {
    await using session = await FakeSession.start();
    await session.connect();
    for (const client of session.vpp.clients) client.send("memclnt_keepalive", {}, 99);
    await until("the answer", () => session.vpp.requests.includes("memclnt_keepalive_reply"));
  });

  it("keeps keys out of its trace", async () => {
    await using session = await FakeSession.start();
    const vpp = await session.connect();
    const wanted = {
      port: 1,
      private_key: new Uint8Array(32).fill(7),
      public_key: new Uint8Array(32),
      src_ip: "192.0.2.1",
    };
    const call = vpp.requestAny("wireguard_interface_create", {
      interface: { user_instance: 1, sw_if_index: 0, ...wanted },
      generate_key: false,
    });
    await expect(call).rejects.toMatchObject({ code: "UNIMPLEMENTED" });
    expect(vpp.trace()).toContain('"private_key":"***"');
    expect(vpp.trace()).not.toContain("0707");
  });
});
