import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { type AgentConfig, agentConfigSchema } from "../../../src/infra/config/agent-config.ts";
import { ConfigError, type ConfigSources, loadConfig } from "../../../src/infra/config/load.ts";

let dir = "";
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "hd-config-"));
});
afterAll(() => rmSync(dir, { recursive: true }));

interface Sources {
  readonly yaml?: string;
  readonly env?: ConfigSources["env"];
  readonly set?: readonly string[];
}

function load({ yaml, env = {}, set = [] }: Sources): Promise<AgentConfig> {
  const file = join(dir, "agent.yaml");
  if (yaml !== undefined) writeFileSync(file, yaml);
  return loadConfig(agentConfigSchema, { env, set, ...(yaml === undefined ? {} : { file }) });
}

/** The message, without the directory. */
async function problem(sources: Sources): Promise<string> {
  try {
    await load(sources);
  } catch (e) {
    if (e instanceof ConfigError) return e.message.replaceAll(dir, "");
    throw e;
  }
  return "no problem";
}

describe("the configuration of an agent", () => {
  it("has a default for everything", async () => {
    expect(await load({})).toMatchObject({
      dataplane: "auto",
      rest: "127.0.0.1:9191",
      store: { kind: "embedded" },
      network: { overlay: "vxlan", vxlan: { port: 4789 }, mtu: "auto", masquerade: { enabled: true, exclude: [] } },
      healing: { afterErrorSeconds: 5, periodSeconds: 60 },
    });
  });

  it("has the uplink in VPP in one of three ways", async () => {
    const uplink = async (sources: Sources) => (await load(sources)).vpp.uplink;
    expect(await uplink({})).toEqual({ kind: "af-packet" });
    const xdp = { kind: "af-xdp", mode: "auto", queues: "all" };
    expect(await uplink({ env: { HEDDLE_CFG_VPP__UPLINK__KIND: "af-xdp" } })).toEqual(xdp);
    expect(await uplink({ set: ["vpp.uplink.kind=dpdk", "vpp.uplink.pci=0000:02:00.0"] })).toEqual({
      kind: "dpdk",
      pci: "0000:02:00.0",
      driver: "auto",
      queues: 1,
    });
  });

  it("is the same for an empty file", async () => {
    expect(await load({ yaml: "" })).toEqual(await load({}));
    expect(await load({ yaml: "# nothing\n" })).toEqual(await load({}));
  });

  it.each([
    // what is wrong, the file, what the message must name: the key and the reason
    ["an unknown key", "dataplan: linux", /Unrecognized key: "dataplan"/],
    ["an unknown key further down", "network: {vxlan: {vnni: 5}}", /Unrecognized key: "vnni"[^]*at network\.vxlan/],
    ["a value of the wrong type", "log: {level: loud}", /at log\.level/],
    ["a dataplane that does not exist", "dataplane: ebpf", /at dataplane/],
    [
      "a pool that is no network",
      "network: {pools: [{cidr: 10.0.0/16, nodePrefix: 24}]}",
      /10\.0\.0\/16" is not an address\/prefix[^]*at network\.pools\[0\]\.cidr/,
    ],
    [
      "a pool with host bits",
      "network: {pools: [{cidr: 10.1.2.3/16, nodePrefix: 24}]}",
      /10\.1\.0\.0\/16 was meant\?[^]*at network\.pools\[0\]\.cidr/,
    ],
    ["no pool", "network: {pools: []}", /at network\.pools/],
    ["a pool without its node prefix", "network: {pools: [{cidr: 10.0.0.0/16}]}", /at network\.pools\[0\]\.nodePrefix/],
    [
      "bad pod subnets",
      "network: {podCIDRs: [10.0.0.0/24, nonsense]}",
      /"nonsense" is not[^]*at network\.podCIDRs\[1\]/,
    ],
    [
      "a bad exclusion",
      "network: {masquerade: {exclude: [192.0.2.0/33]}}",
      /prefix length 33[^]*at network\.masquerade\.exclude\[0\]/,
    ],
    ["an MTU below IPv6's minimum", "network: {mtu: 1279}", />=1280[^]*at network\.mtu/],
    ["an MTU that is no number", "network: {mtu: big}", /must be auto or between[^]*at network\.mtu/],
    [
      "a node address that is none",
      "network: {nodeIPs: [10.0.0]}",
      /must be an IPv4 or IPv6 address[^]*at network\.nodeIPs\[0\]/,
    ],
    [
      "two node addresses of one family",
      "network: {nodeIPs: [192.0.2.1, 192.0.2.2]}",
      /second IPv4 address[^]*at network\.nodeIPs\[1\]/,
    ],
    ["a loopback node address", 'network: {nodeIPs: ["::1"]}', /special address[^]*at network\.nodeIPs\[0\]/],
    ["a VNI of 25 bits", "network: {vxlan: {vni: 16777216}}", /at network\.vxlan\.vni/],
    ["an endpoint that is no URL", "store: {kind: etcd, endpoints: [here]}", /at store\.endpoints\[0\]/],
    ["a store that does not exist", "store: {kind: consul}", /at store/],
    ["a port out of range", "rest: 127.0.0.1:65536", /65535 at most[^]*at rest/],
    ["a REST address without port", "rest: localhost", /must be address:port[^]*at rest/],
    ["a socket path that the kernel does not take", `cniSocket: /${"x".repeat(107)}`, /at cniSocket/],
    ["too short a deadline", "scheduler: {opTimeoutSeconds: 0}", /at scheduler\.opTimeoutSeconds/],
    ["an uplink of an unknown kind", "vpp: {uplink: {kind: netmap}}", /at vpp\.uplink\.kind/],
    [
      "a PCI address without its domain",
      'vpp: {uplink: {kind: dpdk, pci: "02:00.0"}}',
      /must be as in lspci -D[^]*at vpp\.uplink\.pci/,
    ],
    ["a device of nobody's", "vpp: {uplink: {kind: dpdk}}", /at vpp\.uplink\.pci/],
    [
      "a link that can't be",
      "vpp: {uplink: {kind: af-xdp, link: a/b}}",
      /must be a link's name[^]*at vpp\.uplink\.link/,
    ],
    ["a link for AF_PACKET", "vpp: {uplink: {kind: af-packet, link: eth0}}", /"link"[^]*at vpp\.uplink/],
    ["no queues", "vpp: {uplink: {kind: af-xdp, queues: none}}", /must be all or between[^]*at vpp\.uplink\.queues/],
    [
      "a device for somebody else's VPP",
      'vpp: {attach: /run/vpp/api.sock, uplink: {kind: dpdk, pci: "0000:02:00.0"}}',
      /from those who started it[^]*at vpp\.uplink\.kind/,
    ],
    [
      "an address by DHCP on a device",
      'vpp: {dhcp: {enabled: true}, uplink: {kind: dpdk, pci: "0000:02:00.0"}}',
      /vpp\.dhcp needs af-packet[^]*at vpp\.uplink\.kind/,
    ],
    ["several things at once", "dataplane: x\nrest: y", /at dataplane[^]*at rest/],
    ["something that is not YAML", "a: [", /^\/agent\.yaml is not YAML: /],
    ["a key given twice", "rest: a:1\nrest: a:2", /^\/agent\.yaml is not YAML: .*unique/],
    [
      "an alias bomb",
      `a: &a [${"x,".repeat(99)}]\nb: &b [${"*a,".repeat(99)}]\nc: [${"*b,".repeat(99)}]`,
      /^\/agent\.yaml is not YAML: /,
    ],
    ["a list", "- a", /^\/agent\.yaml: must hold a mapping$/],
    ["a scalar", "42", /^\/agent\.yaml: must hold a mapping$/],
  ])("that has %s is refused by name", async (_what, yaml, expected) => {
    expect(await problem({ yaml })).toMatch(expected);
  });

  it("that cannot be read is refused with the reason", async () => {
    const missing = loadConfig(agentConfigSchema, { file: join(dir, "none.yaml"), env: {} });
    await expect(missing).rejects.toThrow(`cannot read ${join(dir, "none.yaml")}: ENOENT`);
    await expect(loadConfig(agentConfigSchema, { file: dir, env: {} })).rejects.toThrow(/EISDIR/);
  });
});

describe("what overrides the file", () => {
  it.each([
    [{ HEDDLE_CFG_NETWORK__OVERLAY: "none" }, { network: { overlay: "none" } }],
    [{ HEDDLE_CFG_NODE_NAME: "n7" }, { nodeName: "n7" }],
    [{ HEDDLE_CFG_nodeName: "n7" }, { nodeName: "n7" }],
    [{ HEDDLE_CFG_NETWORK__NODE_I_PS: "[192.0.2.1]" }, { network: { nodeIPs: ["192.0.2.1"] } }],
    [{ HEDDLE_CFG_CNI__TIMEOUT_SECONDS: "7.5" }, { cni: { timeoutSeconds: 7.5 } }],
    [{ HEDDLE_CFG_NETWORK__MASQUERADE: "{enabled: false}" }, { network: { masquerade: { enabled: false } } }],
    [
      { HEDDLE_CFG_NETWORK__POOLS__0__NODE_PREFIX: "26" },
      { network: { pools: [{ cidr: "10.9.0.0/16", nodePrefix: 26 }] } },
    ],
    [{ OTHER: "x", HEDDLE_CFG_DATAPLANE: undefined }, { dataplane: "vpp" }],
  ])("is the environment: %j", async (env, expected) => {
    const yaml = "dataplane: vpp\nnetwork: {overlay: vxlan, pools: [{cidr: 10.9.0.0/16, nodePrefix: 24}]}";
    expect(await load({ yaml, env })).toMatchObject(expected);
  });

  it("is --set, before the environment", async () => {
    const env = { HEDDLE_CFG_NETWORK__OVERLAY: "none", HEDDLE_CFG_REST: "a:1" };
    const config = await load({ env, set: ["network.overlay=vxlan", "nodeName=a=b"] });
    expect(config).toMatchObject({ network: { overlay: "vxlan" }, rest: "a:1", nodeName: "a=b" });
  });

  it("may fill in a mapping that the file leaves empty", async () => {
    expect(await load({ yaml: "network:", set: ["network.overlay=none"] })).toMatchObject({
      network: { overlay: "none" },
    });
  });

  it.each([
    [{ set: ["network.overlay"] }, "--set network.overlay: must be key=value"],
    [{ set: ["=x"] }, "--set =x: must be key=value"],
    [{ set: ["network..mtu=1"] }, "--set network..mtu=1: no such key"],
    [{ set: ["__proto__.x=1"] }, "--set __proto__.x=1: no such key"],
    [{ set: ["rest=a:1", "rest.port=1"] }, "--set rest.port=1: rest is not a mapping"],
    [{ env: { HEDDLE_CFG_REST__: "1" } }, "environment variable HEDDLE_CFG_REST__: rest is not a mapping"],
  ] as const)("is refused by name: %j", async (sources, expected) => {
    const yaml = "rest: a:1";
    expect(await problem("env" in sources ? { ...sources, yaml } : sources)).toBe(expected);
    expect(({} as { x?: unknown }).x).toBeUndefined();
  });

  it("must be YAML as well", async () => {
    expect(await problem({ set: ["network.nodeIPs=[1"] })).toMatch(/^--set network\.nodeIPs=\[1 is not YAML: /);
    expect(await problem({ env: { HEDDLE_CFG_LOG: "{" } })).toMatch(
      /^environment variable HEDDLE_CFG_LOG is not YAML: /,
    );
  });

  it("is named when it is what is wrong, and only then", async () => {
    const env = { HEDDLE_CFG_NETWORK__MTU: "12", HEDDLE_CFG_REST: "a:1", HEDDLE_CFG_LOGG__LEVEL: "info" };
    const text = await problem({ yaml: "{}", env, set: ["network.vxlan={vni: 0}", "nodeName=n1"] });
    expect(text).toMatch(/^\/agent\.yaml is not valid:/);
    expect(text.split("\n").filter((line) => line.includes("set by"))).toEqual([
      "  set by environment variable HEDDLE_CFG_NETWORK__MTU",
      "  set by environment variable HEDDLE_CFG_LOGG__LEVEL",
      "  set by --set network.vxlan={vni: 0}",
    ]);
  });
});

describe("the schema", () => {
  it("describes every key, for the reference", () => {
    const undescribed: string[] = [];
    const visit = (schema: z.core.JSONSchema.BaseSchema, path: string) => {
      for (const [name, below] of Object.entries(schema.properties ?? {})) {
        if (typeof below === "boolean") continue;
        const here = path === "" ? name : `${path}.${name}`;
        if (!below.description && below.const === undefined) undescribed.push(here);
        visit(below, here);
        for (const variant of [below.items, ...(below.oneOf ?? []), ...(below.anyOf ?? [])]) {
          if (typeof variant === "object" && !Array.isArray(variant)) visit(variant, here);
        }
      }
    };
    visit(z.toJSONSchema(agentConfigSchema, { io: "input" }), "");
    expect(undescribed).toEqual([]);
  });
});
