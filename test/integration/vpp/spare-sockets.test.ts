import { readdirSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { interfaceKey } from "../../../src/models/vpp/interface.ts";
import { until } from "../../support/until.ts";
import {
  device,
  items,
  KeeperRig,
  keeperNote,
  noKeeper,
  podDevice,
  SELDOM,
  SPARES,
} from "../../support/vpp/keeper-rig.ts";

/** Links of pods. */
const PODS = [10, 11, 12] as const;

describe.skipIf(noKeeper)(`VPP with spare packet sockets${keeperNote}`, () => {
  let rig: KeeperRig;
  beforeAll(async () => {
    rig = await KeeperRig.start();
    for (const n of PODS) rig.link(n, podDevice(n).device);
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

  it("has one of the kind mapped that was asked for last", async () => {
    await rig.lab.reaches(items(...Array.from({ length: SELDOM + 1 }, (_, i) => device(i))));
    await until("one is mapped", () => rig.mappings() === SELDOM + 2);
    const [other = 0] = rig.mapped();
    await rig.lab.reaches(new Map());
    await rig.lab.reaches(items(...PODS.map(podDevice)));
    await until("another one is mapped", () => rig.mappings() === PODS.length + 1 && !rig.mapped().includes(other));
    await rig.lab.reaches(new Map());
    await until("the sockets are closed", () => rig.bound() === 0);
  });

  it("does not go round and round for packets that it may not read yet, and reads them as soon as it may", async () => {
    const [n] = PODS;
    const value = podDevice(n);
    await rig.lab.reaches(new Map([[interfaceKey(value.name), value]]));
    // Nobody answers: questions for neighbours, which wait in the socket.
    expect(rig.answered(n, 3, "-i", "0.2")).toBe(0);
    expect(await rig.cpuOf(1000)).toBeLessThan(0.3);
    await rig.lab.reaches(items(value));
    await rig.lab.client.cli(`set interface ip address host-${value.device} 192.0.${n}.1/24`);
    await until("it answers", () => rig.answered(n, 5, "-i", "0.01") === 5);
    await rig.lab.reaches(new Map());
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
