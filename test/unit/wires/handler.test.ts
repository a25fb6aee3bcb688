import { describe, expect, it } from "vitest";
import type { ControllerEvent, StoreEvent } from "../../../src/controller/api.ts";
import { resyncEvent } from "../../../src/controller/store-watcher.ts";
import { silentLog } from "../../../src/infra/log/log.ts";
import { encodeWire, type WireEnd, wireKey, wirePrefix } from "../../../src/models/wire.ts";
import type { Entry } from "../../../src/stores/api/store.ts";
import type { ItemProblem, WirableInterface, WireWiring } from "../../../src/wires/api.ts";
import { WiresHandler } from "../../../src/wires/handler.ts";
import { FakeOutput, named } from "../../support/controller/fakes.ts";

const wiring: WireWiring = {
  *renderWire({ name, ends, mtu }) {
    for (const [i, end] of ends.entries()) {
      yield { key: `${name}/${i}`, value: `${end.kind === "pod" ? end.hostIf : end.kind} ${mtu}` };
    }
  },
};
const link = (pod: string, hostIf: string): WirableInterface => ({
  ...{ pod, hostIf, name: "wire0", kind: "veth" },
  ...{ mac: "02:00:00:00:00:01", mtu: 1450 },
});
const vxlan = (vni: number): WireEnd => ({ vxlan: { remote: "192.0.2.2", vni } });
const entry = (name: string, value: Uint8Array, node = "n1"): Entry => ({
  key: wireKey(node, name),
  value,
  revision: "1",
});
const wire = (name: string, pod: string, vni: number): Entry =>
  entry(name, encodeWire({ name, layer: "l2", ends: [{ pod, interface: "wire0" }, vxlan(vni)] }));

const fine: ItemProblem = () => undefined;

function setUp({ hasWires = true } = {}) {
  let pods: readonly WirableInterface[] = [];
  const handler = new WiresHandler({
    wiring: hasWires ? wiring : undefined,
    prefix: wirePrefix("n1"),
    surroundings: () => ({ interfaces: pods, underlayIps: ["192.0.2.1"], underlayMtu: 1500, overlayVni: 10 }),
    changesSurroundings: (event) => event.kind === "pods",
    log: silentLog,
  });
  const after = (event: ControllerEvent): Record<string, unknown> => {
    const out = new FakeOutput();
    if (event.kind === "resync") handler.resync(event as ReturnType<typeof resyncEvent>, out);
    else if (handler.handles(event)) handler.update(event, out);
    return Object.fromEntries(out.items);
  };
  return {
    handler,
    resync: (...entries: Entry[]) => after(resyncEvent("test", new Map(entries.map((e) => [e.key, e])))),
    store: (key: string, now: Entry | undefined) =>
      after({ ...named("store"), kind: "store", changes: [{ key, old: undefined, new: now }] } as StoreEvent),
    become: (...now: WirableInterface[]) => {
      pods = now;
      return after(named("pods", { kind: "pods" }));
    },
    states: (problemOf: ItemProblem = fine) =>
      Object.fromEntries(handler.status(problemOf).map(({ name, state }) => [name, state])),
  };
}

describe("the wires of a node", () => {
  it("come and go with their entries in the store, and with the pods at their ends", () => {
    const { resync, store, become, states } = setUp();
    expect(resync(wire("w", "t/a", 1))).toEqual({});
    expect(states()).toEqual({ w: "waiting" });
    expect(become(link("t/a", "hd1"))).toEqual({ "w/0": "hd1 1450", "w/1": "vxlan 1450" });
    expect(states()).toEqual({ w: "in-force" });
    // The same pod under another name of the node's end: what is the same is not said again.
    expect(become(link("t/a", "hd2"))).toEqual({ "w/0": "hd2 1450" });
    expect(become()).toEqual({ "w/0": undefined, "w/1": undefined });
    become(link("t/a", "hd2"));
    expect(store(wireKey("n1", "w"), undefined)).toEqual({ "w/0": undefined, "w/1": undefined });
    expect(states()).toEqual({});
  });

  it("are not those of other nodes", () => {
    const { resync, become, states } = setUp();
    const { value } = wire("w", "t/a", 1);
    resync(entry("w", value, "n2"), entry("w", value, "n10"));
    expect(become(link("t/a", "hd1"))).toEqual({});
    expect(states()).toEqual({});
  });

  it("are told of where they cannot be read or make no sense, and nobody else's suffer", () => {
    const { resync, become, states, store } = setUp();
    become(link("t/a", "hd1"));
    const items = resync(entry("bad", Buffer.from("{")), wire("good", "t/a", 1), wire("other", "t/a", 2));
    expect(items).toEqual({ "good/0": "hd1 1450", "good/1": "vxlan 1450" });
    expect(states()).toEqual({ bad: "refused", good: "in-force", other: "refused" });
    // When the first goes, the one that it was in the way of takes its place.
    expect(store(wireKey("n1", "good"), undefined)).toEqual({
      "good/0": undefined,
      "good/1": undefined,
      "other/0": "hd1 1450",
      "other/1": "vxlan 1450",
    });
    expect(states()).toEqual({ bad: "refused", other: "in-force" });
  });

  it("are as their items are: the worst is told", () => {
    const { handler, resync, become } = setUp();
    become(link("t/a", "hd1"));
    resync(wire("w", "t/a", 1));
    const waits = { failed: false, reason: "w/0 waits" };
    const failed = { failed: true, reason: "w/1: broken" };
    const of = (problems: Record<string, typeof failed>) => handler.status((key) => problems[key]);
    expect(of({ "w/0": waits })).toEqual([{ name: "w", state: "waiting", reason: "w/0 waits", mtu: 1450 }]);
    expect(of({ "w/0": waits, "w/1": failed })).toEqual([
      { name: "w", state: "failed", reason: "w/1: broken", mtu: 1450 },
    ]);
  });

  it("are refused on a dataplane that has none", () => {
    const { handler, resync, become } = setUp({ hasWires: false });
    become(link("t/a", "hd1"));
    expect(resync(wire("w", "t/a", 1))).toEqual({});
    expect(handler.status(fine)).toMatchObject([{ state: "refused", reason: expect.stringContaining("VPP") }]);
  });
});
