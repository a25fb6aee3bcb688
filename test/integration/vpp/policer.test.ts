import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { policerDescriptor } from "../../../src/dataplane/vpp/policer/descriptor.ts";
import type { Scheduler } from "../../../src/kvscheduler/api/scheduler.ts";
import { renderOps } from "../../../src/kvscheduler/render.ts";
import { MIN_POLICER_BURST, type PolicerValue, policerKey } from "../../../src/models/vpp/policer.ts";
import { type Items, ItemsLab, port } from "../../support/vpp/items-lab.ts";
import { VPP_BINARY, vppNote } from "../../support/vpp/real-vpp.ts";

const policer = (name: string, rate: number, burst = MIN_POLICER_BURST) => {
  const value: PolicerValue = { interface: name, rate, burst, state: "policing" };
  return [policerKey(name), value] as const;
};

const KEY = policerKey("hda");
/** Less than one packet of a test in the time that the test takes. */
const SLOWEST = 1000;

describe.skipIf(VPP_BINARY === undefined)(`policers on a real VPP${vppNote}`, () => {
  let lab: ItemsLab;
  let scheduler: Scheduler;
  beforeAll(async () => {
    lab = await ItemsLab.start((s, session) => s.register(policerDescriptor(session)));
    scheduler = lab.scheduler();
  });
  afterAll(async () => {
    await scheduler?.close();
    await lab?.[Symbol.asyncDispose]();
  });

  /** What has to be done for these items, and their states then. */
  async function resync(items: Items) {
    const { errors, record } = await scheduler.transact({ changes: items, resync: "full" });
    expect(errors).toEqual(new Map());
    return record.executed.filter((op) => op.noop !== true).map(({ op, key }) => `${op} ${key}`);
  }

  const cli = (command: string) => lab.client.cli(command);

  /** How often a packet on its way from an interface to its lookup is policed. */
  async function places(name: string): Promise<number> {
    const features = await cli(`show interface features ${await vppName(name)}`);
    const [, arc = ""] = /^ip4-unicast:\s*\n((?: {2}.*\n)*)/m.exec(features) ?? [];
    return arc.split("policer-input").length - 1;
  }

  async function vppName(name: string): Promise<string> {
    const sw_if_index = lab.session.indexOf(name) ?? -1;
    const all = { sw_if_index, name_filter_valid: false, name_filter: "" };
    return (await lab.client.dump("sw_interface_dump", all))[0]?.interface_name ?? "";
  }

  /** Of 200 packets of 1,000 bytes that an interface receives at once, how many pass. */
  async function passing(name: string, family: 4 | 6): Promise<number> {
    const counted = async () => {
      const errors = await cli("show node counters");
      const count = (reason: string) =>
        Number(new RegExp(`^\\s*(\\d+)\\s+policer-input\\s+Packets ${reason}`, "m").exec(errors)?.[1] ?? 0);
      return { passed: count("Transmitted"), dropped: count("Dropped") };
    };
    const before = await counted();
    const text = family === 4 ? "UDP: 10.0.0.1 -> 10.0.0.2" : "UDP: fd10::1 -> fd10::2";
    const stream = `name hd${family} limit 200 size 1000-1000 interface ${await vppName(name)} node ip${family}-input`;
    await cli(`packet-generator new { ${stream} data { ${text} UDP: 1 -> 2 incrementing 900 } }`);
    await cli(`packet-generator enable-stream hd${family}`);
    let after = await counted();
    while (after.passed + after.dropped - before.passed - before.dropped < 200) after = await counted();
    await cli(`packet-generator delete hd${family}`);
    return after.passed - before.passed;
  }

  it("are made, read back, changed and removed", async () => {
    await lab.walk(
      [port("hda"), port("hdb"), port("hdc")],
      [policer("hda", 1_000_000), policer("hdb", 400e9, 0xffff_ffff)],
      [policer("hda", 2_000_000), policer("hdb", 400e9, 1_000_000), policer("hdc", SLOWEST)],
    );
    expect(await cli("show policer")).not.toContain("Name");
  });

  it("keep whole kilobits: what is less makes no difference", async () => {
    expect(await resync([port("hda"), policer("hda", 1_000_400)])).toEqual([
      "create vpp/interface/hda",
      `create ${KEY}`,
    ]);
    expect(await resync([port("hda"), policer("hda", 1_000_400)])).toEqual([]);
    expect(await resync([port("hda"), policer("hda", 1_001_000)])).toEqual([`delete ${KEY}`, `create ${KEY}`]);
    expect(await resync([])).toHaveLength(2);
  });

  it.each([4, 6] as const)(
    "let a burst of IPv%i pass, drop the rest, and all passes when they are gone",
    async (family) => {
      const needed = [port("hda"), port("hdb")];
      await resync([...needed, policer("hda", SLOWEST)]);
      await cli(`set interface state ${await vppName("hda")} up`);
      await cli(`set interface ip address ${await vppName("hda")} 10.1.0.1/24`);
      await cli(`set interface ip address ${await vppName("hda")} fd11::1/64`);
      // An Ethernet header of each counts.
      expect(await passing("hda", family)).toBe(Math.floor(MIN_POLICER_BURST / 1014));
      expect(await resync([...needed, policer("hda", SLOWEST, 150 * 1014)])).toEqual([
        `delete ${KEY}`,
        `create ${KEY}`,
      ]);
      expect(await passing("hda", family)).toBe(150);
      expect(await resync([...needed, policer("hdb", SLOWEST)])).toContain(`delete ${KEY}`);
      expect([await places("hda"), await places("hdb")]).toEqual([0, 1]);
      await resync([]);
    },
  );

  it("are put right when others have changed them", async () => {
    const items = [port("hda"), policer("hda", SLOWEST)];
    const healed = [`delete ${KEY}`, `create ${KEY}`];
    await resync(items);
    const device = await vppName("hda");
    const [named] = [`name heddle:hda`];
    const damage = {
      "another rate": [`configure policer ${named} rate kbps cir 5 cb 70000 type 1r2c conform-action transmit`],
      "another action": [
        `configure policer ${named} rate kbps cir 1 cb ${MIN_POLICER_BURST} type 1r2c conform-action transmit violate-action transmit`,
      ],
      "not on its interface": [`policer input unapply ${named} ${device}`],
    };
    for (const [what, commands] of Object.entries(damage)) {
      for (const command of commands) await cli(command);
      expect({ what, done: await resync(items) }).toEqual({ what, done: healed });
      expect({ what, places: await places("hda") }).toEqual({ what, places: 1 });
    }
    await cli(`policer input unapply ${named} ${device}`);
    await cli(`policer del ${named}`);
    expect(await resync(items)).toEqual([`create ${KEY}`]);
    await resync([]);
  });

  it("are on an interface once, whatever was left on it", async () => {
    await resync([port("hda")]);
    await cli(`policer add name hdother rate kbps cir 1 cb 70000 type 1r2c conform-action transmit`);
    await cli(`policer input name hdother ${await vppName("hda")}`);
    expect(await places("hda")).toBe(1);
    await resync([port("hda"), policer("hda", SLOWEST)]);
    expect(await places("hda")).toBe(1);
    expect(await resync([port("hda"), policer("hda", SLOWEST)])).toEqual([]);
    expect(await resync([port("hda")])).toEqual([`delete ${KEY}`]);
    expect(await places("hda")).toBe(0);
    // Of others it is left alone.
    expect(await cli("show policer")).toContain("hdother");
    await cli("policer del name hdother");
    await resync([]);
  });

  it("that VPP would compute wrongly are refused before it is asked", async () => {
    for (const wrong of [
      policer("hda", 999),
      policer("hda", 400e9 + 1),
      policer("hda", 1e6, MIN_POLICER_BURST - 1),
      policer("hda", 1e6, 2 ** 32),
      policer("hda", 1e6, 70_000.5),
    ]) {
      const { errors, record } = await scheduler.transact({ changes: [port("hda"), wrong], resync: "full" });
      expect([...errors.keys()], renderOps(record.executed)).toEqual([KEY]);
    }
    await resync([]);
  });
});
