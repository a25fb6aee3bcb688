import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { findVppInstallation, type VppInstallation } from "../../../../../src/dataplane/vpp/installation.ts";
import { checkRunning, checkUplink } from "../../../../../src/dataplane/vpp/uplink/check.ts";
import type { UplinkChoice } from "../../../../../src/dataplane/vpp/uplink/choice.ts";
import { PciBus } from "../../../../../src/dataplane/vpp/uplink/pci.ts";
import { PciTree } from "../../../../support/vpp/pci-tree.ts";

const DPDK = { kind: "dpdk", pci: "0000:02:00.0", driver: "auto", queues: 1 } as const;
const XDP = { kind: "af-xdp", mode: "auto", queues: "all" } as const;

describe("whether a machine can have its uplink so", () => {
  let root = "";
  let tree: PciTree;
  beforeAll(() => {
    root = mkdtempSync(join(tmpdir(), "hd-vpp-"));
    tree = new PciTree({ pci: DPDK.pci, driver: "ixgbe" });
    tree.addDriver("vfio-pci");
  });
  afterAll(() => {
    rmSync(root, { recursive: true });
    tree[Symbol.dispose]();
  });

  /** A VPP whose plugins are in `at`, if it has any. */
  function installed(name: string, at: string | undefined, ...plugins: readonly string[]) {
    const prefix = join(root, name);
    for (const dir of ["bin", "share/vpp/api/plugins", "lib/other", ...(at === undefined ? [] : [at])]) {
      mkdirSync(join(prefix, dir), { recursive: true });
    }
    for (const file of ["bin/vpp", ...plugins]) writeFileSync(join(prefix, file), "");
    return findVppInstallation(prefix, {});
  }
  const check = (choice: UplinkChoice, installation: VppInstallation) =>
    checkUplink(choice, installation, new PciBus(tree.root));

  it.each(["lib/vpp_plugins", "lib/x86_64-linux-gnu/vpp_plugins", "lib64/vpp_plugins"])(
    "is told by VPP's plugins in %s",
    async (at) => {
      const installation = installed(at, at, `${at}/dpdk_plugin.so`);
      expect(installation.plugins).toBe(join(root, at, at));
      await expect(check(DPDK, installation)).resolves.toBeUndefined();
    },
  );

  it("is not so without the plugin, with the name of what is off", async () => {
    const installation = installed("without", "lib/vpp_plugins", "lib/vpp_plugins/acl_plugin.so");
    await expect(check(DPDK, installation)).rejects.toThrow("VPP has no dpdk plugin: off without it: uplinks by DPDK");
    await expect(check(XDP, installation)).rejects.toThrow(
      "VPP has no af_xdp plugin: off without it: uplinks by AF_XDP",
    );
    await expect(check({ kind: "af-packet" }, installation)).resolves.toBeUndefined();
  });

  it("may be so where plugins are anywhere else, and VPP's API files have them", async () => {
    const installation = installed("elsewhere", undefined, "share/vpp/api/plugins/af_xdp.api.json");
    await expect(check(DPDK, installation)).resolves.toBeUndefined();
    await expect(check(XDP, installation)).resolves.toBeUndefined();
  });

  it("is not so without the device", async () => {
    const gone = check({ ...DPDK, pci: "0000:09:00.0" }, installed("no-device", undefined));
    await expect(gone).rejects.toThrow("vpp.uplink.pci: there is no PCI device 0000:09:00.0");
  });

  it("is not so where the VPP that runs has left out the plugin", () => {
    const ready = (...without: string[]) =>
      ({ s: "ready", info: { pid: 1, messages: 9, differences: [], without } }) as const;
    expect(() => checkRunning(XDP, ready("af_xdp"))).toThrow(
      /^VPP has no af_xdp plugin: off without it: uplinks by AF_XDP/,
    );
    expect(() => checkRunning(XDP, ready())).not.toThrow();
    expect(() => checkRunning({ kind: "af-packet" }, ready("af_xdp"))).not.toThrow();
  });
});
