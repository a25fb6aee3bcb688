import { describe, expect, it } from "vitest";
import { buffersFor, MAX_BUFFERS } from "../../../../../src/dataplane/vpp/supervisor/buffers.ts";
import { renderStartupConf, type StartupConf } from "../../../../../src/dataplane/vpp/supervisor/startup-conf.ts";

const base: StartupConf = { runtimeDir: "/run/hd/vpp", apiPrefix: "hd1", buffers: 8192 };

describe("startup.conf", () => {
  it("has everything that a node without huge pages needs", () => {
    expect(renderStartupConf(base)).toBe(`unix {
  nodaemon
  nosyslog
  nocolor
  runtime-dir /run/hd/vpp
  cli-listen /run/hd/vpp/cli.sock
  log /run/hd/vpp/vpp.log
}
api-segment {
  prefix hd1
}
socksvr {
  socket-name /run/hd/vpp/api.sock
}
statseg {
  socket-name /run/hd/vpp/stats.sock
  size 64m
  update-interval 5
  per-node-counters on
}
memory {
  main-heap-size 1024m
  main-heap-page-size 4k
}
buffers {
  buffers-per-numa 8192
  page-size 4k
}
interface {
  default-rx-mode adaptive
}
plugins {
  plugin dpdk_plugin.so { disable }
}
`);
  });

  it("has huge pages, cores, devices and CNAT's sizes", () => {
    const text = renderStartupConf({
      ...base,
      hugepages: "2M",
      cores: { main: 1, workers: [2, 3] },
      buffers: { afPacket: 100, dpdkQueues: 2 },
      plugins: { path: "/opt/vpp/plugins", disable: ["ikev2_plugin.so"] },
      dpdk: {
        devices: [{ pci: "0000:02:00.0", name: "uplink", rxQueues: 2 }, { pci: "0000:02:00.1" }],
        uioDriver: "vfio-pci",
      },
      cnat: { scanInterval: 0.01, sessionMaxAge: 120, tcpMaxAge: 65_000, maglevLength: 10_007 },
    });
    for (const line of [
      "main-heap-page-size 2m",
      "page-size 2m",
      "main-core 1",
      "corelist-workers 2,3",
      "buffers-per-numa 35840",
      "path /opt/vpp/plugins",
      "plugin ikev2_plugin.so { disable }",
      "uio-driver vfio-pci",
      "dev 0000:02:00.0 { name uplink num-rx-queues 2 }",
      "dev 0000:02:00.1",
      "session-cleanup-timeout 0.01",
      "session-max-age 120",
      "tcp-max-age 65000",
      "maglev-len 10007",
    ]) {
      expect(text).toContain(`  ${line}\n`);
    }
    expect(text).not.toContain("dpdk_plugin.so { disable }");
    expect(text).not.toContain("no-hugetlb");
  });

  it("switches everything off but the plugins that are named, and DPDK's if it has devices", () => {
    const only = ["acl_plugin.so", "cnat_plugin.so"];
    const text = renderStartupConf({ ...base, plugins: { only }, dpdk: { devices: [{ pci: "0000:00:05.0" }] } });
    expect(text).toContain(`plugins {
  plugin default { disable }
  plugin acl_plugin.so { enable }
  plugin cnat_plugin.so { enable }
  plugin dpdk_plugin.so { enable }
}`);
  });

  const refused: [string, Partial<StartupConf>][] = [
    ["runtimeDir", { runtimeDir: "run/vpp" }],
    ["runtimeDir", { runtimeDir: "/run/a b" }],
    ["runtimeDir", { runtimeDir: "/run/}\nunix{" }],
    ["runtimeDir", { runtimeDir: `/${"x".repeat(100)}` }],
    ["apiPrefix", { apiPrefix: "" }],
    ["apiPrefix", { apiPrefix: "../x" }],
    ["cores", { cores: { main: -1 } }],
    ["cores", { cores: { main: 1, workers: [1] } }],
    ["cores", { cores: { workers: [2] } }],
    ["cores", { cores: { main: 0, workers: [1.5] } }],
    ["mainHeap", { mainHeap: 1024 }],
    ["statsSize", { statsSize: Number.NaN }],
    ["statsInterval", { statsInterval: 0 }],
    ["buffers", { buffers: 10 }],
    ["buffers", { buffers: MAX_BUFFERS + 1 }],
    ["buffers.afPacket", { buffers: { afPacket: -1 } }],
    ["plugins.disable", { plugins: { disable: ["dpdk"] } }],
    ["plugins.disable", { plugins: { disable: ["a_plugin.so", "a_plugin.so"] } }],
    ["plugins", { plugins: { only: ["a_plugin.so"], disable: ["a_plugin.so"] } }],
    ["plugins.disable", { plugins: { disable: ["dpdk_plugin.so"] }, dpdk: { devices: [{ pci: "0000:00:05.0" }] } }],
    ["plugins.path", { plugins: { path: "lib" } }],
    ["dpdk.devices", { dpdk: { devices: [{ pci: "02:00.0" }] } }],
    ["dpdk.devices", { dpdk: { devices: [{ pci: "0000:02:00.0" }, { pci: "0000:02:00.0" }] } }],
    ["dpdk.devices.name", { dpdk: { devices: [{ pci: "0000:02:00.0", name: "a}b" }] } }],
    ["dpdk.devices.rxQueues", { dpdk: { devices: [{ pci: "0000:02:00.0", rxQueues: 0 }] } }],
    ["cnat.tcpMaxAge", { cnat: { tcpMaxAge: 65_536 } }],
    ["cnat.scanInterval", { cnat: { scanInterval: 0 } }],
    ["cnat.maxSessions", { cnat: { maxSessions: 2 ** 25 } }],
  ];
  it.each(refused)("refuses a bad %s: %j", (field, change) => {
    expect(() => renderStartupConf({ ...base, ...change })).toThrow(
      expect.objectContaining({ code: "BAD_CONFIG", field }),
    );
  });

  it("sizes the buffers from the interfaces and threads, within bounds", () => {
    expect(buffersFor({}, 1)).toBe(5120);
    expect(buffersFor({ afPacket: 500 }, 1)).toBe(133_120);
    expect(buffersFor({ tap: 10, memif: 10, dpdkQueues: 1, afXdpQueues: 1 }, 3)).toBe(20_480);
    expect(buffersFor({ afPacket: 100_000 }, 1)).toBe(MAX_BUFFERS);
  });
});
