import { execFileSync } from "node:child_process";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { interfaceDescriptor } from "../../../src/dataplane/vpp/interface/descriptor.ts";
import { rxQueueDescriptor } from "../../../src/dataplane/vpp/rx-queue/rx-queue.ts";
import { VppSession } from "../../../src/dataplane/vpp/session/session.ts";
import { createScheduler } from "../../../src/kvscheduler/scheduler.ts";
import { type InterfaceValue, interfaceKey } from "../../../src/models/vpp/interface.ts";
import { type RxQueueValue, rxQueueKey } from "../../../src/models/vpp/rx-queue.ts";
import { DescriptorLab, type DescriptorsOf } from "../../support/vpp/descriptor-suite.ts";
import { VPP_BINARY, vppNote } from "../../support/vpp/real-vpp.ts";

type Item = [key: string, value: unknown];
const UPLINK: InterfaceValue = {
  kind: "af-packet",
  name: "hda",
  device: "hdtest0",
  mac: "02:fe:00:00:00:01",
  mtu: 1500,
  queues: 2,
  offload: false,
  qdisc: false,
};
const base: Item[] = [[interfaceKey("hda"), UPLINK]];
const queue = (number: number, mode: RxQueueValue["mode"], thread = 0): Item => {
  const value: RxQueueValue = { interface: "hda", queue: number, mode, thread };
  return [rxQueueKey(value), value];
};

describe.skipIf(VPP_BINARY === undefined)(`receive queues on a real VPP${vppNote}`, () => {
  let lab: DescriptorLab;
  const descriptors: DescriptorsOf = (session) => [interfaceDescriptor(session), rxQueueDescriptor(session)];
  beforeAll(async () => {
    lab = await DescriptorLab.start(descriptors);
    const args = ["-t", String(lab.vpp.pid), "-n", "ip", "link", "add", "hdtest0", "type", "veth", "peer", "hdtest1"];
    execFileSync("nsenter", args);
  });
  afterAll(() => lab?.[Symbol.asyncDispose]());

  const shown = async () => {
    const queues = await lab.client.dump("sw_interface_rx_placement_dump", { sw_if_index: 0xffff_ffff });
    return queues.map(({ queue_id, mode }) => [queue_id, mode]);
  };

  it("are set, read back, changed, and given back to the driver's mode", async () => {
    await lab.reaches(new Map(base));
    const before = await shown();
    await lab.reaches(new Map([...base, queue(0, "polling"), queue(1, "interrupt")]));
    const changed = queue(0, "interrupt");
    expect(await lab.reaches(new Map([...base, changed, queue(1, "interrupt")]))).toEqual([`update ${changed[0]}`]);

    // Only the scheduler that set it knows that it is no longer wanted.
    using session = VppSession.of(lab.client);
    const scheduler = createScheduler();
    for (const descriptor of descriptors(session)) scheduler.register(descriptor);
    await lab.reaches(new Map());
    await scheduler.transact({ resync: "full", changes: [...base, queue(0, "polling")] });
    const { record } = await scheduler.transact({ changes: [[changed[0], undefined]] });
    expect(record.executed.filter(({ noop }) => noop !== true).map(({ op, key }) => `${op} ${key}`)).toEqual([
      `delete ${changed[0]}`,
    ]);
    await scheduler.close();
    expect(await shown()).toEqual(before);
    await lab.reaches(new Map());
  });

  it.each<[string, Item]>([
    ["thread that VPP doesn't have", queue(0, "polling", 1)],
    ["queue that the interface doesn't have", queue(5, "polling")],
  ])("fail for a %s", async (_what, item) => {
    using session = VppSession.of(lab.client);
    const scheduler = createScheduler();
    for (const descriptor of descriptors(session)) scheduler.register(descriptor);
    const { errors } = await scheduler.transact({ resync: "full", changes: [...base, item] });
    expect([...errors.keys()]).toEqual([item[0]]);
    await scheduler.transact({ resync: "full", changes: [] });
    await scheduler.close();
  });
});
