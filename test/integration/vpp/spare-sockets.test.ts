import { readdirSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { millis, seconds, sleep, systemClock } from "../../../src/base/clock/clock.ts";
import { interfaceKey } from "../../../src/models/vpp/interface.ts";
import { cpuShare } from "../../support/cpu.ts";
import { until } from "../../support/until.ts";
import { items, KeeperRig, keeperNote, noKeeper, pod, SELDOM, SPARES } from "../../support/vpp/keeper-rig.ts";

describe.skipIf(noKeeper)(`VPP with spare packet sockets${keeperNote}`, () => {
  let rig: KeeperRig;
  beforeAll(async () => {
    rig = await KeeperRig.start(pod);
  });
  afterAll(() => rig?.[Symbol.asyncDispose]());

  /** The keeper's, and one that VPP has mapped. */
  const ahead = SPARES + 1;
  const settled = (bound: number, spare: number) =>
    until("the sockets are as they should be", () => rig.bound() === bound && rig.spare() === spare);

  it("gets them from the third of a kind on, each bound once, and closes what it replaced", async () => {
    const values = Array.from({ length: 5 }, (_, i) => pod(i));
    await rig.lab.reaches(items(...values.slice(0, SELDOM)));
    expect([rig.bound(), rig.spare()]).toEqual([SELDOM, 0]);
    await rig.lab.reaches(items(...values));
    await settled(5, ahead);
    for (const { device: name } of values) expect(await rig.lab.client.cli("show hardware-interfaces")).toContain(name);
    await rig.lab.reaches(new Map());
    await settled(0, ahead);
  });

  it("hears and is heard by them", async () => {
    await rig.lab.reaches(items(pod(6)));
    await rig.addresses(6);
    expect(rig.answered(6, 600, "-f", "-s", "1000")).toBeGreaterThan(590);
    await rig.lab.reaches(new Map());
  });

  it("leaves no descriptor and no memory behind, however often interfaces come and go", async () => {
    const descriptors = async () => {
      await until("nothing is left", () => rig.bound() === 0 && rig.spare() === ahead && rig.mapped().length === 1);
      return [rig.lab.vpp.pid, rig.keeperPid].map((pid) => readdirSync(`/proc/${pid}/fd`).length);
    };
    await rig.lab.reaches(items(pod(7)));
    await rig.lab.reaches(new Map());
    const first = await descriptors();
    for (let i = 0; i < 20; i++) {
      await rig.lab.reaches(items(pod(7), pod(8)));
      await rig.lab.reaches(new Map());
    }
    await until("what was replaced is closed", async () => String(await descriptors()) === String(first));
  });

  it("has one of the kind mapped that was asked for last", async () => {
    const other = (n: number) => ({ ...pod(n), offload: false });
    const others = [other(3), other(4), other(5)];
    await rig.lab.reaches(items(pod(0), pod(1), pod(2)));
    await rig.lab.reaches(items(...others));
    // Of the kind that was asked for before, and then of this one.
    await sleep(systemClock, millis(300));
    const bound = new Set(rig.socketsOf(rig.lab.vpp.pid));
    const ahead = rig.mapped().filter((socket) => !bound.has(socket));
    expect(ahead).toHaveLength(1);
    await rig.lab.reaches(items(...others, other(6)));
    expect(rig.socketsOf(rig.lab.vpp.pid)).toEqual(expect.arrayContaining(ahead));
    await rig.lab.reaches(new Map());
  });

  it("does not go round and round for packets that it may not read yet, and reads them as soon as it may", async () => {
    const n = 7;
    const value = pod(n);
    await rig.lab.reaches(new Map([[interfaceKey(value.name), value]]));
    // Nobody answers: questions for neighbours, which wait in the socket.
    expect(rig.answered(n, 3, "-i", "0.2")).toBe(0);
    expect(await cpuShare(rig.lab.vpp.pid ?? 0, seconds(1))).toBeLessThan(0.3);
    await rig.lab.reaches(items(value));
    await rig.addresses(n);
    await until("it answers", () => rig.answered(n, 5, "-i", "0.01") === 5);
    await rig.lab.reaches(new Map());
  });

  it("makes those itself that are of another kind", async () => {
    await rig.lab.reaches(items({ ...pod(1), queues: 2 }, { ...pod(2), offload: false }, pod(3)));
    const shown = await rig.lab.client.cli("show hardware-interfaces");
    expect(shown.match(/RX Queue 1:/g)).toHaveLength(1);
    expect(shown.match(/cksum-gso-enabled/g)).toHaveLength(2);
    await rig.lab.reaches(new Map());
    await until("the sockets are closed", () => rig.bound() === 0);
  });
});
