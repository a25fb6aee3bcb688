import { describe, expect, it } from "vitest";
import { millis, seconds } from "../../../../../src/base/clock/clock.ts";
import { ManualClock } from "../../../../../src/base/clock/manual-clock.ts";
import { VppClient, type VppState } from "../../../../../src/dataplane/vpp/binapi/index.ts";
import { until } from "../../../../support/until.ts";
import { skipNote, testSchema, VPP_API_DIRECTORY } from "../../../../support/vpp/api-files.ts";
import { FakeSession } from "../../../../support/vpp/fake-session.ts";
import { FakeVpp } from "../../../../support/vpp/fake-vpp.ts";

const API = VPP_API_DIRECTORY ?? "";

/** Resolves when the client enters the state the next time, however short it is in it. */
function next(vpp: VppClient, wanted: VppState["s"]): Promise<void> {
  return new Promise((resolve) => {
    const listening = vpp.onState(({ s }) => {
      if (s !== wanted) return;
      listening[Symbol.dispose]();
      resolve();
    });
  });
}

describe.skipIf(API === "")(`VPP client across connections${skipNote}`, () => {
  it("waits for a VPP that comes later", async () => {
    await using session = await FakeSession.start();
    await session.vpp.stop();
    const vpp = session.client();
    await until("an attempt failed", () => vpp.state.s === "waiting");
    await expect(vpp.request("control_ping", {})).rejects.toMatchObject({ code: "NOT_CONNECTED", sent: false });
    await session.vpp.listen(session.socket);
    expect(await vpp.ready()).toMatchObject({ pid: session.vpp.pid });
  });

  it("rejects everything under way when VPP dies, and is back with it", async () => {
    await using session = await FakeSession.start();
    const vpp = await session.connect({ limits: { window: 2 } });
    session.vpp.handle("show_version", () => undefined);
    const calls = Array.from({ length: 4 }, () => vpp.request("show_version", {}));
    const ended = Promise.allSettled(calls);
    await until("VPP has two", () => session.vpp.requests.filter((r) => r === "show_version").length === 2);
    await session.vpp.stop();
    const results = await ended;
    expect(results.map((r) => (r.status === "rejected" ? (r.reason as { sent: boolean }).sent : "ok"))).toEqual([
      true,
      true,
      false,
      false,
    ]);
    await session.vpp.listen(session.socket);
    await vpp.ready();
    await vpp.request("control_ping", {});
  });

  it("subscribes again after a reconnection, before it says that it is ready", async () => {
    await using session = await FakeSession.start();
    session.vpp.handle("want_interface_events", () => 0);
    const vpp = await session.connect();
    const seen: number[] = [];
    await vpp.subscribe("want_interface_events", { enable_disable: 1, pid: 1 }, (e) => seen.push(e.sw_if_index));
    await session.vpp.stop();
    await until("the loss is noticed", () => vpp.state.s !== "ready");
    session.vpp.requests.length = 0;
    await session.vpp.listen(session.socket);
    await vpp.ready();
    expect(session.vpp.requests).toEqual(["control_ping", "want_interface_events"]);
    session.vpp.event("sw_interface_event", { sw_if_index: 9 });
    await until("the event", () => seen.length === 1);
  });

  it("tries for ever, slower and slower up to a bound, with jitter", async () => {
    await using session = await FakeSession.start();
    await session.vpp.stop();
    const clock = new ManualClock();
    const delays: number[] = [];
    const vpp = session.client({ clock, random: () => 0.5, backoff: { first: millis(10), max: millis(100) } });
    vpp.onState((s) => void (s.s === "waiting" && delays.push(s.delay)));
    for (let i = 0; i < 8; i++) {
      await until(`attempt ${i}`, () => delays.length > i);
      clock.advance(millis(100));
    }
    expect(delays.slice(0, 7)).toEqual([10, 20, 40, 80, 100, 100, 100]);
    expect(session.errors).toHaveLength(1); // not one per attempt
  });

  it("goes through its states in order", async () => {
    await using session = await FakeSession.start();
    const vpp = session.client();
    const states: VppState["s"][] = [vpp.state.s];
    vpp.onState((s) => states.push(s.s));
    await vpp.ready();
    for (const client of session.vpp.clients) client.socket.destroy();
    await until("it is back", () => states.filter((s) => s === "ready").length === 2);
    await vpp.close();
    expect(states).toEqual(["connecting", "ready", "waiting", "connecting", "ready", "closed"]);
  });

  it("gives a VPP up that accepts and says nothing", async () => {
    await using session = await FakeSession.start();
    session.vpp.registration = undefined;
    const clock = new ManualClock();
    const vpp = session.client({ clock, timeout: seconds(2) });
    await until("VPP accepted", () => session.vpp.clients.size === 1);
    clock.advance(seconds(2));
    await until("given up", () => vpp.state.s === "waiting");
    expect(vpp.state).toMatchObject({ error: { code: "DEADLINE" } });
  });

  it("reports a VPP that refuses it", async () => {
    await using session = await FakeSession.start();
    session.vpp.registration = -1;
    const vpp = session.client();
    await until("refused", () => vpp.state.s === "waiting" && vpp.state);
    expect(vpp.state).toMatchObject({ error: { message: expect.stringContaining("refuses the registration (-1)") } });
  });

  it("opens within the caller's patience or says why not", async () => {
    await using session = await FakeSession.start();
    const { socket } = session;
    await using vpp = await VppClient.open({ socket, apiDirectory: API, signal: AbortSignal.timeout(30_000) });
    expect(vpp.state.s).toBe("ready");
    const controller = new AbortController();
    const gone = VppClient.open({
      socket: `${socket}.gone`,
      apiDirectory: API,
      signal: controller.signal,
      onError: () => controller.abort(),
    });
    await expect(gone).rejects.toMatchObject({
      code: "NOT_CONNECTED",
      message: expect.stringContaining(`${socket}.gone`),
    });
  });

  it("reads the API files again only when another VPP runs", async () => {
    await using session = await FakeSession.start();
    const vpp = await session.connect();
    const before = vpp.codecs;
    const again = next(vpp, "ready");
    for (const client of session.vpp.clients) client.socket.destroy();
    await again;
    expect(vpp.codecs).toBe(before);
    const lost = next(vpp, "waiting");
    await session.vpp.stop();
    await lost;
    await using other = await FakeVpp.listen(session.socket, { schema: await testSchema(), without: ["cnat"] });
    await vpp.ready();
    expect(vpp.codecs).not.toBe(before);
    expect(other.clients.size).toBe(1);
  });

  it("says that the API files are missing", async () => {
    await using session = await FakeSession.start();
    const vpp = session.client({ apiDirectory: "/nonexistent/api" });
    await until("failed", () => vpp.state.s === "waiting");
    expect(vpp.state).toMatchObject({ error: { code: "SCHEMA" } });
  });

  it("ends everything when it is closed, more than once", async () => {
    await using session = await FakeSession.start();
    const vpp = await session.connect();
    session.vpp.handle("show_version", () => undefined);
    const call = expect(vpp.request("show_version", {})).rejects.toMatchObject({ code: "NOT_CONNECTED" });
    await Promise.all([vpp.close(), vpp.close()]);
    await call;
    await expect(vpp.request("control_ping", {})).rejects.toMatchObject({ code: "CLOSED" });
    await expect(vpp.ready()).rejects.toMatchObject({ code: "CLOSED" });
    await until("VPP noticed", () => session.vpp.clients.size === 0);
  });
});
