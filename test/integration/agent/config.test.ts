import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { encodeIdentity, IDENTITY_KEY } from "../../../cmd/vswitch-agent/identity.ts";
import { parseNetwork } from "../../../src/base/ip/cidr.ts";
import { LocalDb } from "../../../src/stores/local/local-db.ts";
import { isRoot, TestNamespaces } from "../netns/netlink-support.ts";

const AGENT = join(import.meta.dirname, "..", "..", "..", "dist", "bin", "heddle-agent");

let dir = "";
const namespaces = new TestNamespaces();
/** Where it would do no harm if it started, against expectation. */
let nowhere: string | undefined;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "hd-agent-"));
  nowhere = isRoot ? namespaces.add() : undefined;
});
afterAll(() => {
  namespaces[Symbol.dispose]();
  rmSync(dir, { recursive: true });
});

interface Run {
  readonly yaml?: string;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** In this namespace; if absent, in an empty one. */
  readonly netns?: string;
}

/** Runs the executable as it is installed; it must end by itself. */
function run({ yaml = "", args = [], env = {}, netns = nowhere }: Run) {
  const file = join(dir, "agent.yaml");
  writeFileSync(file, yaml);
  const enter = netns === undefined ? [] : ["nsenter", `--net=${netns}`, "--"];
  const [program = "", ...words] = [...enter, AGENT, "--config", file, ...args];
  const { status, stdout, stderr } = spawnSync(program, words, {
    encoding: "utf8",
    timeout: 30_000,
    env: { ...process.env, ...env },
  });
  const lines = stderr.split("\n").filter((line) => !line.startsWith("{"));
  return { status, stdout, message: lines.join("\n").replaceAll(dir, "") };
}

describe("heddle-agent with a configuration that cannot be used", () => {
  it.each<[string, Run, RegExp]>([
    ["an unknown key", { yaml: "network: {mtuu: 1400}" }, /agent\.yaml is not valid:[^]*"mtuu"[^]*at network/],
    [
      "overlapping pools",
      { yaml: "network: {pools: [{cidr: 10.0.0.0/8, nodePrefix: 24}, {cidr: 10.1.0.0/16, nodePrefix: 24}]}" },
      /network\.pools\[1\]\.cidr: 10\.1\.0\.0\/16 overlaps network\.pools\[0\]\.cidr \(10\.0\.0\.0\/8\)/,
    ],
    [
      "a pool too small for the prefix",
      { yaml: "network: {pools: [{cidr: 10.1.2.0/24, nodePrefix: 16}]}" },
      /network\.pools\[0\]\.nodePrefix: pool 10\.1\.2\.0\/24 is too small for a \/16 per node/,
    ],
    [
      "a bad address",
      { yaml: "network: {pools: [{cidr: 10.1.2/24, nodePrefix: 26}]}" },
      /at network\.pools\[0\]\.cidr/,
    ],
    ["a bad exclusion", { yaml: "network: {masquerade: {exclude: [x]}}" }, /at network\.masquerade\.exclude\[0\]/],
    ["an MTU below the minimum", { yaml: "network: {mtu: 1279}" }, />=1280[^]*at network\.mtu/],
    ["something that is not YAML", { yaml: "network: [" }, /agent\.yaml is not YAML/],
    [
      "a bad value from the environment",
      { env: { HEDDLE_CFG_NETWORK__MTU: "12" } },
      /at network\.mtu[^]*set by environment variable HEDDLE_CFG_NETWORK__MTU/,
    ],
    [
      "a bad value from a flag",
      { args: ["--set", "network.overlay=gre"] },
      /at network\.overlay[^]*set by --set network\.overlay=gre/,
    ],
    ["a flag without a value", { args: ["--set", "network.overlay"] }, /--set network\.overlay: must be key=value/],
    ["a VPP that isn't there", { yaml: "{dataplane: vpp, vpp: {prefix: /no/vpp}}" }, /no VPP was found in \/no\/vpp/],
    ["a flag that does not exist", { args: ["--colour"] }, /unknown option '--colour'/],
  ])("ends with 2 and names %s", (_what, given, expected) => {
    const { status, stdout, message } = run(given);
    expect(message).toMatch(expected);
    expect([status, stdout]).toEqual([2, ""]);
  });

  it("ends with 2 for a file that is not there", () => {
    const { status, stderr } = spawnSync(AGENT, ["--config", join(dir, "none.yaml")], { encoding: "utf8" });
    expect([status, stderr.replaceAll(dir, "")]).toEqual([2, "heddle-agent: cannot read /none.yaml: ENOENT\n"]);
  });

  it("ends with 2 for a file that cannot be read", () => {
    const { status, stderr } = spawnSync(AGENT, ["--config", dir], { encoding: "utf8" });
    expect([status, stderr]).toEqual([2, `heddle-agent: cannot read ${dir}: EISDIR\n`]);
  });

  it("tells its usage and ends with 0 when asked to", () => {
    const { status, stdout } = run({ args: ["--help"] });
    expect(status).toBe(0);
    expect(stdout).toMatch(/Usage: heddle-agent[^]*--set[^]*Exit codes/);
  });
});

describe.skipIf(!isRoot)("heddle-agent on a node that it cannot serve", () => {
  const yaml = (name: string, more = "") => `
nodeName: n1
dataplane: linux
stateDir: ${dir}/${name}
runDir: ${dir}/${name}-run
rest: 0.0.0.0:9191
${more}`;

  it("ends with 2 where there is no underlay, and says what to set", () => {
    const { status, message } = run({ yaml: yaml("a"), netns: namespaces.add() });
    expect(message).toBe("heddle-agent: no default route leads to a link with a global address; set network.nodeIPs\n");
    expect(status).toBe(2);
  });

  it("ends with 2 for a node address that no link has", () => {
    const given = yaml("b", "network: {nodeIPs: [192.0.2.7]}");
    const { status, message } = run({ yaml: given, netns: namespaces.add() });
    expect(message).toBe("heddle-agent: network.nodeIPs: no link of this node has the address 192.0.2.7\n");
    expect(status).toBe(2);
  });

  it("ends with 1 on another node's state directory, and names both", async () => {
    mkdirSync(join(dir, "c"));
    const db = await LocalDb.open(join(dir, "c", "agent.db"));
    const identity = { name: "n9", id: 9, subnets: [parseNetwork("10.244.9.0/24")] };
    await db.commit([[IDENTITY_KEY, encodeIdentity(identity)]]);
    await db.close();
    const { status, message } = run({ yaml: yaml("c"), netns: namespaces.add() });
    expect(message).toBe("heddle-agent: this state directory is node n9's, not n1's\n");
    expect(status).toBe(1);
  });
});
