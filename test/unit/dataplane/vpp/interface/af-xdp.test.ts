import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AfXdpFlag, AfXdpMode, type VppClient } from "../../../../../src/dataplane/vpp/binapi/index.ts";
import { interfaceDescriptor } from "../../../../../src/dataplane/vpp/interface/descriptor.ts";
import { VppSession } from "../../../../../src/dataplane/vpp/session/session.ts";
import { createScheduler } from "../../../../../src/kvscheduler/scheduler.ts";
import { interfaceKey, validateInterface } from "../../../../../src/models/vpp/interface.ts";
import type { AfXdpValue } from "../../../../../src/models/vpp/interface-kinds.ts";
import { skipNote, VPP_API_DIRECTORY } from "../../../../support/vpp/api-files.ts";
import { modelXdp, XdpVpp } from "../../../../support/vpp/xdp-vpp.ts";

const VALUE: AfXdpValue = {
  kind: "af-xdp",
  name: "hduplink",
  mac: "02:00:00:00:00:07",
  mtu: 1500,
  device: "eth0",
  rxQueues: "all",
  mode: "auto",
};
const KEY = interfaceKey(VALUE.name);

async function resync(client: VppClient, values: readonly AfXdpValue[]) {
  using session = VppSession.of(client);
  const scheduler = createScheduler();
  scheduler.register(interfaceDescriptor(session));
  const changes = values.map((value): [string, unknown] => [interfaceKey(value.name), value]);
  const { errors, record } = await scheduler.transact({ resync: "full", changes });
  await scheduler.close();
  const done = record.executed.filter((op) => op.noop !== true).map((op) => `${op.op} ${op.key}`);
  return { errors: [...errors.values()].map((e) => e.message), done };
}

describe.skipIf(VPP_API_DIRECTORY === undefined)(`an interface by AF_XDP${skipNote}`, () => {
  let xdp: XdpVpp;
  let client: VppClient;
  let model: ReturnType<typeof modelXdp>;
  beforeEach(async () => {
    xdp = await XdpVpp.start();
    model = modelXdp(xdp.vpp);
    client = await xdp.connect();
  });
  afterEach(() => xdp?.[Symbol.asyncDispose]());

  it("is of messages that the VPP has as they were generated", () => {
    const { state } = client;
    expect(state.s === "ready" && [state.info.without, state.info.differences]).toEqual([[], []]);
  });

  it("is made with all receive queues and without a lock, and gets its address", async () => {
    expect(await resync(client, [VALUE])).toEqual({ errors: [], done: [`create ${KEY}`] });
    expect(model.created).toEqual([
      expect.objectContaining({
        host_if: "eth0",
        name: expect.stringMatching(/^xdp-eth0-[0-9a-f]{8}$/),
        rxq_num: 65_535,
        mode: AfXdpMode.AF_XDP_API_MODE_AUTO,
        flags: AfXdpFlag.AF_XDP_API_FLAGS_NO_SYSCALL_LOCK,
        prog: "",
        netns: "",
      }),
    ]);
    const [shown] = model.interfaces.values();
    expect(shown).toMatchObject({ tag: "heddle:hduplink", l2_address: VALUE.mac, mtu: [1500, 0, 0, 0] });
  });

  const full: AfXdpValue = { ...VALUE, rxQueues: 4, mode: "zero-copy", program: "/lib/hd.o", netns: "pid:7" };

  it("is told what else there is to tell", async () => {
    await resync(client, [full]);
    expect(model.created[0]).toMatchObject({ rxq_num: 4, mode: 2, prog: "/lib/hd.o", netns: "pid:7" });
  });

  it.each([VALUE, full])("is read back by those who know what was asked for", async (value) => {
    await resync(client, [{ ...value, requires: [] }]);
    expect(await resync(client, [value])).toEqual({ errors: [], done: [] });
    expect(await resync(client, [])).toEqual({ errors: [], done: [`delete ${KEY}`] });
    expect(model.interfaces.size).toBe(0);
  });

  it.each<[string, Partial<AfXdpValue>]>([
    ["device", { device: "eth1" }],
    ["queues", { rxQueues: 1 }],
    ["mode", { mode: "copy" }],
    ["program", { program: "/lib/other.o" }],
    ["namespace", { netns: "other" }],
    ["address", { mac: "02:00:00:00:00:08" }],
  ])("is another one when its %s is", async (_what, change) => {
    await resync(client, [VALUE]);
    expect((await resync(client, [{ ...VALUE, ...change }])).done).toEqual([`delete ${KEY}`, `create ${KEY}`]);
    expect(await resync(client, [{ ...VALUE, ...change }])).toEqual({ errors: [], done: [] });
  });

  it("takes the place of one without a tag, which a killed agent has left", async () => {
    await resync(client, [VALUE]);
    for (const shown of model.interfaces.values()) shown.tag = "";
    expect(await resync(client, [full])).toEqual({ errors: [], done: [`create ${KEY}`] });
    expect(model.interfaces.size).toBe(1);
  });

  it("leaves nothing behind when it can't have its address", async () => {
    xdp.vpp.handle("sw_interface_set_mac_address", () => -71);
    expect((await resync(client, [VALUE])).errors).toHaveLength(1);
    expect(model.interfaces.size).toBe(0);
  });

  it.each([
    [-7, /eth0 by AF_XDP: there is no such device, or it has not that many receive queues/],
    [-12, /eth0 by AF_XDP: no socket for a queue: the device is down/],
    [-15, /eth0 by AF_XDP: the program could not be read/],
    [-1, /af_xdp_create_v3: VPP answered -1/],
  ])("is refused with what VPP's %i means", async (retval, words) => {
    xdp.vpp.handle("af_xdp_create_v3", () => retval);
    expect((await resync(client, [VALUE])).errors).toEqual([expect.stringMatching(words)]);
  });
});

describe.skipIf(VPP_API_DIRECTORY === undefined)(`without AF_XDP's plugin${skipNote}`, () => {
  it.each([
    ["in VPP's files", []],
    ["in the running VPP", ["af_xdp"]],
  ])("%s, the interface fails with the name of what is off", async (where, without) => {
    await using xdp = await XdpVpp.start(without);
    modelXdp(xdp.vpp);
    const client = where === "in VPP's files" ? await xdp.session.connect() : await xdp.connect();
    expect(client.state).toMatchObject({ s: "ready", info: { without: ["af_xdp"] } });
    expect((await resync(client, [VALUE])).errors).toEqual([
      expect.stringMatching(/^VPP has no af_xdp plugin: off without it: uplinks by AF_XDP \(af_xdp_create_v3: /),
    ]);
  });
});

describe("what VPP could not have by AF_XDP", () => {
  it.each<[string, Partial<AfXdpValue>]>([
    ["rxQueues", { rxQueues: 0 }],
    ["rxQueues", { rxQueues: 65_535 }],
    ["device", { device: "a/b" }],
    ["device", { device: "sixteen-letters-" }],
    ["mtu", { mtu: 9000 }],
    ["mac", { mac: "01:00:00:00:00:07" }],
    ["program", { program: "here.o" }],
    ["program", { program: `/${"p".repeat(255)}` }],
    ["netns", { netns: "" }],
    ["netns", { netns: "n".repeat(64) }],
  ])("is refused by its %s", (field, change) => {
    expect(() => validateInterface({ ...VALUE, ...change })).toThrow(new RegExp(`^${field}: `));
  });
});
