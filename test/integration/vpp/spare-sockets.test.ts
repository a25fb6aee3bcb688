import { readdirSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { until } from "../../support/until.ts";
import { device, items, KeeperRig, keeperNote, noKeeper, SELDOM, SPARES } from "../../support/vpp/keeper-rig.ts";

describe.skipIf(noKeeper)(`VPP with spare packet sockets${keeperNote}`, () => {
  let rig: KeeperRig;
  beforeAll(async () => {
    rig = await KeeperRig.start();
  });
  afterAll(() => rig?.[Symbol.asyncDispose]());

  /** The keeper's, and one that VPP has mapped. */
  const ahead = SPARES + 1;
  const settled = (bound: number, spare: number) =>
    until("the sockets are as they should be", () => rig.bound() === bound && rig.spare() === spare);

  it("gets them from the third of a kind on, each bound once, and closes what it replaced", async () => {
    const values = Array.from({ length: 5 }, (_, i) => device(i));
    await rig.lab.reaches(items(...values.slice(0, SELDOM)));
    expect([rig.bound(), rig.spare()]).toEqual([SELDOM, 0]);
    await rig.lab.reaches(items(...values));
    await settled(5, ahead);
    for (const { device: name } of values) expect(await rig.lab.client.cli("show hardware-interfaces")).toContain(name);
    await rig.lab.reaches(new Map());
    await settled(0, ahead);
  });

  it("hears and is heard by them", async () => {
    await rig.lab.reaches(items(device(6)));
    await rig.addresses(6);
    expect(rig.answered(6, 600, "-f", "-s", "1000")).toBeGreaterThan(590);
    await rig.lab.reaches(new Map());
  });

  it("leaves no descriptor and no memory behind, however often interfaces come and go", async () => {
    const descriptors = async () => {
      await until("nothing is left", () => rig.bound() === 0 && rig.spare() === ahead && rig.mappings() === 1);
      return [rig.lab.vpp.pid, rig.keeperPid].map((pid) => readdirSync(`/proc/${pid}/fd`).length);
    };
    await rig.lab.reaches(items(device(7)));
    await rig.lab.reaches(new Map());
    const first = await descriptors();
    for (let i = 0; i < 20; i++) {
      await rig.lab.reaches(items(device(7), device(8)));
      await rig.lab.reaches(new Map());
    }
    await until("what was replaced is closed", async () => String(await descriptors()) === String(first));
  });

  it("makes those itself that are of another kind", async () => {
    await rig.lab.reaches(items({ ...device(1), queues: 2 }, { ...device(2), offload: false }, device(3)));
    const shown = await rig.lab.client.cli("show hardware-interfaces");
    expect(shown.match(/RX Queue 1:/g)).toHaveLength(1);
    expect(shown.match(/cksum-gso-enabled/g)).toHaveLength(2);
    await rig.lab.reaches(new Map());
    await until("the sockets are closed", () => rig.bound() === 0);
  });
});
