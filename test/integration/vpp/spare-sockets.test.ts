import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { packageFile } from "../../../src/base/files/package-file.ts";
import { interfaceDescriptor } from "../../../src/dataplane/vpp/interface/descriptor.ts";
import { interfaceUpDescriptor } from "../../../src/dataplane/vpp/interface/up.ts";
import { type AfPacketValue, interfaceKey, interfaceUpKey } from "../../../src/models/vpp/interface.ts";
import { until } from "../../support/until.ts";
import { DescriptorLab } from "../../support/vpp/descriptor-suite.ts";
import { VPP_BINARY, vppNote } from "../../support/vpp/real-vpp.ts";

const LIBRARY = packageFile("build/heddle_vpp_epoll.so");
const skipped = VPP_BINARY === undefined || LIBRARY === undefined;
/** So many of a kind are opened before spares are made. */
const SELDOM = 2;
const SPARES = 6;

const device = (n: number): AfPacketValue => ({
  kind: "af-packet",
  name: `hd${n}`,
  device: `hdtest${n}`,
  mac: `02:fe:00:00:00:0${n}`,
  mtu: 1400,
  queues: 1,
  offload: true,
  qdisc: false,
});
const items = (...values: AfPacketValue[]): Map<string, unknown> =>
  new Map(
    values.flatMap((v): [string, unknown][] => [
      [interfaceKey(v.name), v],
      [interfaceUpKey(v.name), { interface: v.name, requires: [] }],
    ]),
  );

describe.skipIf(skipped)(`VPP with spare packet sockets${vppNote}`, () => {
  const before = process.env["LD_PRELOAD"];
  let lab: DescriptorLab;
  beforeAll(async () => {
    process.env["LD_PRELOAD"] = LIBRARY;
    try {
      lab = await DescriptorLab.start((session) => [interfaceDescriptor(session), interfaceUpDescriptor(session)]);
    } finally {
      if (before === undefined) delete process.env["LD_PRELOAD"];
      else process.env["LD_PRELOAD"] = before;
    }
    for (let i = 0; i < 9; i++) run("ip", "link", "add", `hdtest${i}`, "type", "veth", "peer", `hdpeer${i}`);
    for (let i = 0; i < 9; i++) run("ip", "link", "set", `hdpeer${i}`, "up");
  });
  afterAll(() => lab?.[Symbol.asyncDispose]());

  const run = (...args: string[]): string =>
    execFileSync("nsenter", ["-t", String(lab.vpp.pid), "-n", ...args], { encoding: "utf8" });
  /** Packet sockets of VPP's network namespace: their devices' numbers, 0 if bound to none. */
  const sockets = (): number[] =>
    readFileSync(`/proc/${lab.vpp.pid}/net/packet`, "utf8")
      .trim()
      .split("\n")
      .slice(1)
      .map((line) => Number(line.trim().split(/\s+/)[4]));
  const bound = () => sockets().filter((index) => index !== 0).length;
  const spare = () => sockets().filter((index) => index === 0).length;
  const descriptors = () => readdirSync(`/proc/${lab.vpp.pid}/fd`).length;

  it("gets them from the third of a kind on, each bound once, and closes what it replaced", async () => {
    const values = Array.from({ length: 5 }, (_, i) => device(i));
    await lab.reaches(items(...values.slice(0, SELDOM)));
    expect([bound(), spare()]).toEqual([SELDOM, 0]);
    await lab.reaches(items(...values));
    await until("the sockets are as they should be", () => bound() === 5 && spare() === SPARES);
    for (const { device: name } of values) expect(await lab.client.cli("show hardware-interfaces")).toContain(name);
    await lab.reaches(new Map());
    await until("the sockets are as they should be", () => bound() === 0 && spare() === SPARES);
  });

  it("hears and is heard by them", async () => {
    await lab.reaches(items(device(6)));
    const heard = async () =>
      Number(/rx packets +(\d+)/.exec(await lab.client.cli("show interface host-hdtest6"))?.[1] ?? 0);
    // The peer asks for its routers and is asked nothing: all that is heard is its own.
    await until("a frame is heard", async () => (await heard()) > 0);
    const received = () => Number(/hdpeer6: +\d+ +(\d+)/.exec(run("cat", "/proc/net/dev"))?.[1]);
    const earlier = received();
    await lab.client.cli("set interface ip address host-hdtest6 192.0.2.1/24");
    await lab.client.cli("ping 192.0.2.2 repeat 1");
    await until("a frame is sent", () => received() > earlier);
    await lab.reaches(new Map());
  });

  it("leaves no descriptor and no memory behind, however often interfaces come and go", async () => {
    const maps = () => readFileSync(`/proc/${lab.vpp.pid}/maps`, "utf8").match(/socket:/g)?.length ?? 0;
    const settled = async () => {
      await until("the sockets are as they should be", () => bound() === 0 && spare() === SPARES && maps() === SPARES);
      return descriptors();
    };
    await lab.reaches(items(device(7)));
    await lab.reaches(new Map());
    const first = await settled();
    for (let i = 0; i < 20; i++) {
      await lab.reaches(items(device(7), device(8)));
      await lab.reaches(new Map());
    }
    // Spares that VPP has not taken in yet are in no table.
    expect(Math.abs((await settled()) - first)).toBeLessThanOrEqual(SPARES);
  });

  it("makes those itself that are of another kind", async () => {
    await lab.reaches(items({ ...device(1), queues: 2 }, { ...device(2), offload: false }, device(3)));
    const shown = await lab.client.cli("show hardware-interfaces");
    expect(shown.match(/RX Queue 1:/g)).toHaveLength(1);
    expect(shown.match(/cksum-gso-enabled/g)).toHaveLength(2);
    await lab.reaches(new Map());
    await until("the sockets are as they should be", () => bound() === 0);
  });

  it("has their threads where the process may run, with no descriptor of VPP's", () => {
    const tasks = `/proc/${lab.vpp.pid}/task`;
    const threads = readdirSync(tasks).filter((id) => readFileSync(`${tasks}/${id}/comm`, "utf8") === "hd_sockets\n");
    expect(threads.length).toBeGreaterThan(0);
    for (const id of threads) {
      const open = readdirSync(`${tasks}/${id}/fd`).map((fd) => readlinkSync(`${tasks}/${id}/fd/${fd}`));
      expect(open).toEqual([expect.stringMatching(/^socket:/)]);
    }
  });
});
