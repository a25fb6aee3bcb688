import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { millis } from "../../../src/base/clock/clock.ts";
import { VppClient } from "../../../src/dataplane/vpp/binapi/index.ts";
import { vppDescriptors } from "../../../src/dataplane/vpp/descriptors.ts";
import { findVppInstallation } from "../../../src/dataplane/vpp/installation.ts";
import { VppSession } from "../../../src/dataplane/vpp/session/session.ts";
import { apiProbe } from "../../../src/dataplane/vpp/supervisor/probes.ts";
import { vppPaths } from "../../../src/dataplane/vpp/supervisor/startup-conf.ts";
import { VppSupervisor } from "../../../src/dataplane/vpp/supervisor/supervisor.ts";
import { checkRunning, checkUplink } from "../../../src/dataplane/vpp/uplink/check.ts";
import { OwnVpp } from "../../../src/dataplane/vpp/uplink/own-vpp.ts";
import { PciBus } from "../../../src/dataplane/vpp/uplink/pci.ts";
import { createScheduler } from "../../../src/kvscheduler/index.ts";
import { interfaceKey } from "../../../src/models/vpp/interface.ts";
import { VPP_PREFIX } from "../../support/vpp/api-files.ts";
import { FakeLinks, FakeRecords } from "../../support/vpp/fake-links.ts";
import type { GiveBackReport } from "../../support/vpp/give-back-process.ts";
import { PciTree } from "../../support/vpp/pci-tree.ts";
import { RealVpp, VPP_BINARY, vppNote } from "../../support/vpp/real-vpp.ts";

const PCI = "0000:02:00.0";
const DPDK = { kind: "dpdk", pci: PCI, driver: "auto", queues: 1 } as const;
const XDP = { kind: "af-xdp", mode: "auto", queues: "all" } as const;

/** Whether the installed VPP has DPDK's plugin, as far as one finds it. */
const hasDpdk =
  VPP_BINARY === undefined || existsSync(join(findVppInstallation(VPP_PREFIX, {}).plugins ?? "", "dpdk_plugin.so"));

describe.skipIf(VPP_BINARY === undefined)(`uplinks that a real VPP has no plugin for${vppNote}`, () => {
  let vpp: RealVpp;
  let client: VppClient;
  beforeAll(async () => {
    vpp = await RealVpp.start({ without: ["af_xdp"] });
    client = await VppClient.open({ socket: vpp.socket, apiDirectory: vpp.apiDirectory });
  });
  afterAll(async () => {
    await client?.close();
    await vpp?.[Symbol.asyncDispose]();
  });

  it("by AF_XDP: the agent is told before anything is taken", () => {
    expect(() => checkRunning(XDP, client.state)).toThrow(
      "VPP has no af_xdp plugin: off without it: uplinks by AF_XDP",
    );
  });

  it("by AF_XDP: the interface fails with the name of what is off, and nothing else does", async () => {
    using session = VppSession.of(client);
    const scheduler = createScheduler();
    for (const descriptor of vppDescriptors(session)) scheduler.register(descriptor);
    const mac = "02:00:00:00:00:07";
    const options = { device: "lo", rxQueues: "all", mode: "auto" };
    const changes: [string, unknown][] = [
      [interfaceKey("hdx"), { kind: "af-xdp", name: "hdx", mac, mtu: 1500, ...options }],
      [interfaceKey("hdl"), { kind: "loopback", name: "hdl", mac, mtu: 1500 }],
    ];
    const { errors } = await scheduler.transact({ resync: "full", changes });
    await scheduler.close();
    expect([...errors]).toEqual([[interfaceKey("hdx"), expect.objectContaining({ code: "NO_VPP_PLUGIN" })]]);
    expect(errors.get(interfaceKey("hdx"))?.message).toMatch(
      /^VPP has no af_xdp plugin: off without it: uplinks by AF_XDP/,
    );
  });

  it.skipIf(hasDpdk)("by DPDK: the agent is told before VPP is started with a device", async () => {
    const installation = findVppInstallation(VPP_PREFIX, {});
    const refused = checkUplink(DPDK, installation);
    await expect(refused).rejects.toThrow("VPP has no dpdk plugin: off without it: uplinks by DPDK");
  });
});

describe.skipIf(hasDpdk)(`a real VPP that refuses a device${vppNote}`, () => {
  it("is told of in its own words, and the device is the kernel's again", async () => {
    const runtimeDir = mkdtempSync(join(tmpdir(), "hd-vpp-"));
    using tree = new PciTree({ pci: PCI, driver: "ixgbe", links: ["hdens3"] });
    tree.addDriver("vfio-pci");
    const links = new FakeLinks();
    links.add("hdens3");
    const done: string[] = [];
    const apiDirectory = join(VPP_PREFIX, "share/vpp/api");
    const backoff = { first: millis(10), max: millis(50) };
    const client = VppClient.start({ socket: vppPaths(runtimeDir).api, apiDirectory, backoff });
    const own = await OwnVpp.start({
      start: async (dpdk) => {
        const supervisor = new VppSupervisor({
          program: { command: ["unshare", "-n", "--", VPP_BINARY ?? "vpp"] },
          conf: {
            runtimeDir,
            apiPrefix: runtimeDir.split("/").at(-1) ?? "",
            buffers: { afPacket: 4 },
            cores: { main: 0 },
            ...(dpdk ? { dpdk } : {}),
          },
          probes: [apiProbe(client)],
        });
        await supervisor.start();
        return supervisor;
      },
      uplink: DPDK,
      takenLinks: new FakeRecords((what) => done.push(what)),
      devices: { bus: new PciBus(tree.root), links },
      interfaces: () => Promise.resolve([]),
      giveBack: () => Promise.resolve(done.push("give back")),
    });
    try {
      const refused = own.takeDevice(DPDK, undefined);
      await expect(refused).rejects.toMatchObject({
        code: "NO_UPLINK",
        cause: { code: "VPP_EXITED", message: expect.stringContaining("unknown input `dpdk") },
      });
      expect(done).toEqual(["record hdens3", "give back"]);
      expect(links.changes).toEqual(["hdens3 down"]);
    } finally {
      await own.close();
      await client.close();
      rmSync(runtimeDir, { recursive: true, force: true });
    }
  });
});

describe("the link of a device that is given back", () => {
  it("is up and has all that was recorded of it", () => {
    const script = fileURLToPath(new URL("../../support/vpp/give-back-process.ts", import.meta.url));
    const [file, ...args] = ["unshare", "-n", "--", process.execPath, script, "run"] as const;
    const report = JSON.parse(execFileSync(file, args, { encoding: "utf8", timeout: 30_000 })) as GiveBackReport;
    expect(report.recorded).toMatchObject({
      link: "hdens3",
      addresses: expect.arrayContaining(["192.0.2.1/24", "2001:db8::1/64"]),
      routes: expect.arrayContaining([
        expect.objectContaining({ dst: "0.0.0.0/0", gateway: "192.0.2.254", metric: 7 }),
        expect.objectContaining({ dst: "::/0", gateway: "2001:db8::fe" }),
      ]),
      device: { pci: PCI, driver: "ixgbe", mtu: 1500 },
    });
    expect(report.flagsBetween).toBe("DOWN");
    const { addresses, routes, gro } = report.recorded as Record<string, unknown>;
    expect(report.found).toMatchObject({ addresses, routes, gro });
    expect(report).toMatchObject({ records: 0, retreat: { links: ["hdens3"] } });
  });
});
