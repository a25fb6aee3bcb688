import { describe, expect, it } from "vitest";
import { millis, seconds } from "../../../../../src/base/clock/clock.ts";
import { ManualClock } from "../../../../../src/base/clock/manual-clock.ts";
import { until } from "../../../../support/until.ts";
import { skipNote, VPP_API_DIRECTORY } from "../../../../support/vpp/api-files.ts";
import { FakeSession } from "../../../../support/vpp/fake-session.ts";
import type { Outgoing } from "../../../../support/vpp/fake-vpp.ts";

/** Changes the first frame of one message; everything else passes. */
function onceFor(message: string, change: (frame: Buffer) => readonly Buffer[]): (out: Outgoing) => readonly Buffer[] {
  let done = false;
  return ({ message: name, frame }) => {
    if (done || name !== message) return [frame];
    done = true;
    return change(frame);
  };
}

const patched = (frame: Buffer, at: number, value: number): Buffer => {
  const copy = Buffer.from(frame);
  copy.writeUInt32BE(value, at);
  return copy;
};

/** Offsets in a frame: its header's length, then the message: number (2 bytes), context. */
const LENGTH_AT = 8;
const CONTEXT_AT = 16 + 2;

describe.skipIf(VPP_API_DIRECTORY === undefined)(`VPP client against a VPP that misbehaves${skipNote}`, () => {
  it("joins what arrives in pieces of any size", async () => {
    await using session = await FakeSession.start();
    session.vpp.handle("ip_table_dump", () => [{ table: { table_id: 5, is_ip6: true, name: "five" } }]);
    session.vpp.outgoing = ({ message, frame }) =>
      message === "sockclnt_create_reply" ? [frame] : [...frame].map((byte) => Buffer.from([byte]));
    const vpp = await session.connect();
    expect(await vpp.dump("ip_table_dump", {})).toEqual([{ table: { table_id: 5, is_ip6: true, name: "five" } }]);
  });

  it("matches answers that come out of order", async () => {
    await using session = await FakeSession.start();
    const vpp = await session.connect();
    const held: Buffer[] = [];
    session.vpp.handle("cli_inband", (input) => ({ reply: input["cmd"] }));
    session.vpp.outgoing = ({ message, frame }) => {
      if (message !== "cli_inband_reply") return [frame];
      held.push(frame);
      return held.length < 3 ? [] : held.toReversed();
    };
    expect(await Promise.all(["a", "b", "c"].map((c) => vpp.cli(c)))).toEqual(["a", "b", "c"]);
  });

  it("drops an answer with a context that it never used, and counts it", async () => {
    await using session = await FakeSession.start();
    const vpp = await session.connect();
    session.vpp.handle("show_version", () => ({ version: "x" }));
    session.vpp.outgoing = onceFor("show_version_reply", (frame) => [patched(frame, CONTEXT_AT, 0x7fff_0123), frame]);
    await vpp.request("show_version", {});
    expect(vpp.counters).toMatchObject({ foreign: 1 });
  });

  it("drops an answer of another type than the request's", async () => {
    await using session = await FakeSession.start();
    const vpp = await session.connect();
    session.vpp.handle("show_version", (_, client) => {
      client.send("ip_table_details", {}, session.vpp.context);
      return { version: "right" };
    });
    expect((await vpp.request("show_version", {})).version).toBe("right");
    expect(vpp.counters).toMatchObject({ foreign: 1 });
  });

  it.each([
    ["half a frame of another message, then a whole one", (f: Buffer) => [f.subarray(0, f.length - 3), f]],
    ["a frame without a message", (f: Buffer) => [patched(f, LENGTH_AT, 1)]],
    ["a frame of 4 GB", (f: Buffer) => [patched(f, LENGTH_AT, 0xffff_ffff)]],
    ["a message that ends before its fields do", (f: Buffer) => [patched(f, LENGTH_AT, 12).subarray(0, 16 + 12)]],
    ["a message number that was never announced", (f: Buffer) => [patched(f, 14, 0xfffe)]],
    ["no VPP at all", () => [Buffer.from("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")]],
  ])("closes the connection on %s, rejects what was under way and connects again", async (_, change) => {
    await using session = await FakeSession.start();
    const vpp = await session.connect();
    session.vpp.outgoing = onceFor("show_version_reply", change);
    const calls = [vpp.request("show_version", {}), vpp.request("control_ping", {}), vpp.cli("x")];
    const results = await Promise.allSettled(calls);
    for (const r of results) expect(r).toMatchObject({ status: "rejected" });
    expect(results.map((r) => r.status === "rejected" && (r.reason as { code: string }).code)).toContain(
      "NOT_CONNECTED",
    );
    await vpp.ready();
    await vpp.request("control_ping", {});
  });

  it("fails one request, not the connection, when a value has no meaning", async () => {
    await using session = await FakeSession.start();
    const vpp = await session.connect();
    session.vpp.handle("ip_address_dump", () => [{ sw_if_index: 1, prefix: "192.0.2.1/24" }]);
    // number, context, sw_if_index, then the address family
    session.vpp.outgoing = onceFor("ip_address_details", (f) => {
      const copy = Buffer.from(f);
      copy[16 + 2 + 4 + 4] = 9;
      return [copy];
    });
    const dump = { sw_if_index: 1, is_ipv6: false };
    await expect(vpp.dump("ip_address_dump", dump)).rejects.toMatchObject({ code: "BAD_REPLY" });
    expect(await vpp.dump("ip_address_dump", dump)).toMatchObject([{ prefix: "192.0.2.1/24" }]);
  });

  it("passes over messages of plugins whose API files it has not", async () => {
    await using session = await FakeSession.start({ crcs: { vrrp_vr_event: "00000001" } });
    const vpp = await session.connect();
    session.vpp.sendUnknown("vrrp_vr_event");
    await vpp.request("control_ping", {});
    expect(vpp.counters).toMatchObject({ unknown: 1 });
  });

  it("notices a VPP that hangs with its socket open", async () => {
    await using session = await FakeSession.start();
    const clock = new ManualClock();
    const vpp = await session.connect({ clock, keepAlive: { idle: seconds(1), timeout: seconds(3) } });
    session.vpp.handle("control_ping", () => undefined);
    clock.advance(seconds(1));
    await until("the question", () => session.vpp.requests.filter((r) => r === "control_ping").length === 2);
    clock.advance(millis(2999));
    expect(vpp.state.s).toBe("ready");
    clock.advance(millis(1));
    await until("the connection is given up", () => vpp.state.s !== "ready");
    expect(session.errors.at(-1)).toContain("VPP's sign of life did not finish within 3000 ms");
    session.vpp.handle("control_ping", () => ({ vpe_pid: 1 }));
    await clock.advanceAsync(seconds(10), millis(5));
    await vpp.ready();
  });

  it("does not take a VPP for hung that says something, if late", async () => {
    await using session = await FakeSession.start();
    const clock = new ManualClock();
    const vpp = await session.connect({ clock, keepAlive: { idle: seconds(1), timeout: seconds(3) } });
    session.vpp.handle("control_ping", () => undefined);
    clock.advance(seconds(1));
    await until("the question", () => session.vpp.requests.filter((r) => r === "control_ping").length === 2);
    const received = vpp.counters?.received ?? 0;
    clock.advance(seconds(1));
    session.vpp.event("sw_interface_event", {});
    await until("the event", () => (vpp.counters?.received ?? 0) > received);
    clock.advance(seconds(2));
    await new Promise((resolve) => setImmediate(resolve));
    expect(vpp.state.s).toBe("ready");
  });

  it("waits for half a frame no longer than for the request it answers", async () => {
    await using session = await FakeSession.start();
    const clock = new ManualClock();
    const vpp = await session.connect({ clock });
    session.vpp.outgoing = onceFor("show_version_reply", (f) => [f.subarray(0, 30)]);
    const call = vpp.request("show_version", {}, { timeout: seconds(1) });
    const failed = expect(call).rejects.toMatchObject({ code: "DEADLINE" });
    await until("VPP answered", () => session.vpp.requests.includes("show_version"));
    clock.advance(seconds(1));
    await failed;
  });

  it("says which messages a VPP lacks, and refuses those alone", async () => {
    await using session = await FakeSession.start({ without: ["cnat"], crcs: { ip_table_add_del: "12345678" } });
    const vpp = await session.connect();
    const { info } = vpp.state as Extract<typeof vpp.state, { s: "ready" }>;
    const missing = info.differences.filter((d) => d.module === "cnat");
    expect(missing.map((d) => d.message)).toContain("cnat_translation_update");
    expect(info.differences.filter((d) => d.module !== "cnat").map((d) => d.message)).toEqual(["ip_table_add_del"]);
    await expect(vpp.requestAny("cnat_session_purge", {})).rejects.toMatchObject({
      code: "NO_SUCH_MESSAGE",
      message: expect.stringContaining("is the plugin of cnat.api loaded?"),
    });
    await vpp.request("control_ping", {});
  });
});
