import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { systemClock } from "../../../src/base/clock/clock.ts";
import { identify, isAlive } from "../../../src/dataplane/vpp/supervisor/identity.ts";
import { keeperProgram, SocketKeeper } from "../../../src/dataplane/vpp/supervisor/socket-keeper.ts";
import { kill9 } from "../../support/kill.ts";
import { until } from "../../support/until.ts";
import { device, items, KeeperRig, keeperNote, noKeeper, pod } from "../../support/vpp/keeper-rig.ts";

/** One of the node's own, of version 3; pods', of version 2: the first two are made by VPP itself, and the last has no header for offloads. */
const kind = (n: number) => (n === 0 ? device(n) : pod(n));
const NUMBERS = [0, 1, 2, 3, 4] as const;
const values = items(...NUMBERS.map((n) => ({ ...kind(n), offload: n < 4 })));
/** Frames before VPP dies: somewhere in the rings' middle, which have some 250 places. */
const FLOODS = [0, 1, 300, 2500] as const;

describe.skipIf(noKeeper)(`packet sockets of a VPP that dies${keeperNote}`, () => {
  let rig: KeeperRig;
  beforeAll(async () => {
    rig = await KeeperRig.start(kind);
  });
  afterAll(() => rig?.[Symbol.asyncDispose]());

  /** Also after a test that has failed halfway. */
  const begin = async () => {
    await rig.lab.reaches(values);
    await rig.addresses(...NUMBERS);
    await until("the keeper has VPP's sockets", () => {
      const pid = rig.keeperPid;
      return pid !== undefined && rig.socketsOf(pid).length >= NUMBERS.length;
    });
  };
  const held = () => rig.socketsOf(rig.lab.vpp.pid);
  const expectTraffic = async (...numbers: number[]) => {
    for (const n of numbers) {
      // VPP has to ask for its neighbour first, and answers nothing meanwhile.
      expect(rig.answered(n, 2, "-i", "0.1"), `link ${n}`).toBeGreaterThan(0);
      // ping waits for the last answers as long as the slowest took so far, which is no time at all.
      await until(`all answers by link ${n}`, () => rig.answered(n, 100, "-i", "0.002") === 100);
    }
  };

  it("carry frames both ways for the next one, wherever the rings were, and full ones, too", async () => {
    await begin();
    const sockets = held();
    expect(sockets).toHaveLength(NUMBERS.length);
    for (const [round, flood] of FLOODS.entries()) {
      for (const n of NUMBERS) if (flood > 0) rig.answered(n, flood, "-f", "-l", "50", "-s", String(100 + 300 * n));
      await rig.lab.vpp.kill();
      expect(rig.socketsOf(rig.keeperPid)).toEqual(sockets);
      // Until there is no place left.
      if (round === 2) for (const n of [0, 1]) expect(rig.answered(n, 400, "-i", "0.002")).toBe(0);
      await rig.startVpp();
      await begin();
      expect(held()).toEqual(sockets);
      await expectTraffic(...NUMBERS);
    }
  });

  it("are closed when their device is gone, and made anew for another of its name", async () => {
    await begin();
    const sockets = held();
    await rig.lab.vpp.kill();
    rig.run("ip", "link", "delete", kind(2).device);
    await until("the keeper has closed it", () => rig.socketsOf(rig.keeperPid).length === NUMBERS.length - 1);
    rig.link(2);
    await rig.startVpp();
    await begin();
    expect(held().filter((socket) => sockets.includes(socket))).toHaveLength(NUMBERS.length - 1);
    await expectTraffic(...NUMBERS);
  });

  it("are of use when their device was down", async () => {
    await begin();
    await rig.lab.vpp.kill();
    rig.run("ip", "link", "set", kind(1).device, "down");
    await rig.startVpp();
    await begin();
    await expectTraffic(1);
  });

  it("go to a keeper that is started after one was killed, and outlive VPP then", async () => {
    await begin();
    const sockets = held();
    const former = rig.keeperPid ?? 0;
    kill9(former);
    await until("another keeper", () => {
      // Looked up once: the one that was killed may be there for a while.
      const pid = rig.keeperPid;
      return pid !== undefined && pid !== former;
    });
    await until("it has VPP's sockets", () => rig.socketsOf(rig.keeperPid).length === NUMBERS.length);
    await expectTraffic(...NUMBERS);
    await rig.lab.vpp.kill();
    await rig.startVpp();
    await begin();
    expect(held()).toEqual(sockets);
    await expectTraffic(...NUMBERS);
  });

  it("are made anew when VPP and the keeper have died", async () => {
    await begin();
    const sockets = held();
    kill9(rig.keeperPid);
    await rig.lab.vpp.kill();
    await until("nothing is left", () => rig.bound() === 0);
    await rig.startVpp();
    await begin();
    expect(held().filter((socket) => sockets.includes(socket))).toEqual([]);
    await expectTraffic(...NUMBERS);
  });

  it("stay with the keeper, which the next agent takes over, and end with it when it is to end", async () => {
    await begin();
    const id = identify(rig.keeperPid ?? 0);
    await rig.keeper.close({ keep: true });
    const options = { program: keeperProgram() ?? "", runtimeDir: rig.directory, clock: systemClock };
    await using next = new SocketKeeper(options);
    await next.start();
    expect(identify(rig.keeperPid ?? 0)).toEqual(id);
    await rig.lab.vpp.kill();
    expect(rig.socketsOf(rig.keeperPid)).toHaveLength(NUMBERS.length);
    await next.close();
    expect(id && isAlive(id)).toBe(false);
    expect(rig.devices()).toEqual([]);
  });
});
