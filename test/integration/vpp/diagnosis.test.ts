import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { PacketPath } from "../../../src/dataplane/vpp/diagnosis/packet-path.ts";
import { addNetns, deleteNetns, inNetns, ipBatch } from "../../../src/lab/net/ip.ts";
import { type ExecResult, exec, execOk } from "../../../src/lab/process/exec.ts";
import { until } from "../../support/until.ts";
import { RealVpp, VPP_BINARY, vppNote } from "../../support/vpp/real-vpp.ts";

const HEDDLECTL = join(import.meta.dirname, "../../../cmd/heddlectl/main.ts");
const id = randomBytes(3).toString("hex");
const POD_A = `hdd${id}a`;
const POD_B = `hdd${id}b`;

describe.skipIf(VPP_BINARY === undefined)(`heddlectl vpp on a real VPP${vppNote}`, () => {
  let vpp: RealVpp;
  let agent: Server;
  const pings: ChildProcess[] = [];

  const options = () => ["--socket", vpp.socket, "--api-dir", vpp.apiDirectory];
  const argv = (...args: string[]) => [process.execPath, HEDDLECTL, "vpp", ...args];
  const run = ([command = "", ...args]: string[]): Promise<ExecResult> => exec(argv(command, ...options(), ...args));
  const cli = async (command: string): Promise<string> => {
    const { code, stdout, stderr } = await run(["cli", "--", ...command.split(" ")]);
    expect({ command, code, stderr }).toMatchObject({ code: 0 });
    return stdout;
  };
  const show = async (...what: string[]) => {
    const { code, stdout, stderr } = await exec(
      argv("show", what[0] ?? "", ...options(), "-o", "json", ...what.slice(1)),
    );
    expect(stderr).toBe("");
    expect(code).toBe(0);
    return JSON.parse(stdout) as unknown;
  };
  const trace = async (...args: string[]): Promise<PacketPath[]> => {
    const { code, stdout, stderr } = await run(["trace", "-o", "json", ...args]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    return JSON.parse(stdout) as PacketPath[];
  };

  async function wire(netns: string, link: string, net: string): Promise<void> {
    await addNetns(netns);
    await ipBatch(netns, [
      `link add eth0 type veth peer name ${link} netns ${vpp.pid}`,
      "link set eth0 up",
      `addr add ${net}.2/24 dev eth0`,
      `route add default via ${net}.1`,
    ]);
    await execOk(["nsenter", "-t", String(vpp.pid), "-n", "ip", "link", "set", link, "up"]);
    await cli(`create host-interface name ${link}`);
    await cli(`set interface tag host-${link} heddle:${link}`);
    await cli(`set interface state host-${link} up`);
    await cli(`set interface ip address host-${link} ${net}.1/24`);
  }

  /** Traffic for as long as the tests run, so that none has to time its own. */
  function ping(to: string): void {
    const [file, ...args] = [...inNetns(POD_A), "ping", "-q", "-i", "0.1", to];
    pings.push(spawn(file, args, { stdio: "ignore" }));
  }

  beforeAll(async () => {
    vpp = await RealVpp.start({ ownTmp: true });
    agent = createServer((_, response) =>
      response.end(JSON.stringify({ pods: [{ hostIf: "hdb", namespace: "default", name: "web" }, { hostIf: "hdx" }] })),
    );
    await once(agent.listen(0, "127.0.0.1"), "listening");
    await wire(POD_A, "hda", "10.1.0");
    await wire(POD_B, "hdb", "10.2.0");
    for (const to of ["10.2.0.2", "10.9.0.2"]) ping(to);
    await until("the pods reach each other", async () => {
      const { code } = await exec([...inNetns(POD_A), "ping", "-q", "-c", "1", "-W", "1", "10.2.0.2"]);
      return code === 0;
    });
  });

  afterAll(async () => {
    for (const child of pings) child.kill("SIGKILL");
    agent?.close();
    for (const netns of [POD_A, POD_B]) await deleteNetns(netns);
    await vpp?.[Symbol.asyncDispose]();
  });

  it("runs a command of VPP's CLI, and passes on what VPP says against one", async () => {
    expect(await cli("show version")).toMatch(/^vpp v/);
    const { code, stderr } = await run(["cli", "--", "show", "nonsense"]);
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringMatching(/refuses.*unknown input `nonsense'/) as string,
    });
  });

  it.each([
    ["is absent", "/nonexistent/api.sock", "no VPP on /nonexistent/api.sock: it does not exist"],
    ["is a file", HEDDLECTL, "nobody listens"],
  ])("says that the socket %s", async (_how, socket, message) => {
    const { code, stderr } = await exec(argv("cli", "--socket", socket, "--", "show", "version"));
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining(message) as string });
  });

  it("shows interfaces by our names and their pods'", async () => {
    const { port } = agent.address() as AddressInfo;
    const interfaces = await show("interfaces", "--agent", `127.0.0.1:${port}`);
    expect(interfaces).toContainEqual(
      expect.objectContaining({ name: "hda", vppName: "host-hda", admin: "up", addresses: ["10.1.0.1/24"] }),
    );
    expect(interfaces).toContainEqual(expect.objectContaining({ name: "hdb", pod: "default/web", kind: "af-packet" }));
    const { rxPackets } = (interfaces as { name?: string; rxPackets: number }[]).find((i) => i.name === "hda") ?? {};
    expect(rxPackets).toBeGreaterThan(0);
  });

  it("shows features, errors and sessions", async () => {
    await cli("set acl-plugin acl permit+reflect ipv4 src 0.0.0.0/0");
    await cli("set acl-plugin interface host-hda input acl 0");
    expect(await show("features", "hda")).toContainEqual({ arc: "ip4-unicast", features: ["acl-plugin-in-ip4-fa"] });
    await until("the policy has a session", async () => {
      const { acl } = (await show("sessions")) as { acl?: { active: number } };
      return (acl?.active ?? 0) > 0;
    });
    expect(await show("errors")).toContainEqual(
      expect.objectContaining({ node: "af-packet-input", severity: "error" }),
    );
    const { code, stderr } = await exec(argv("show", "features", ...options(), "hdz"));
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringContaining("no interface hdz; it has") as string,
    });
  });

  it("traces a packet from pod to pod, node by node", async () => {
    const { port } = agent.address() as AddressInfo;
    const { code, stdout } = await run([
      "trace",
      "--count",
      "1",
      "--filter",
      "10.2.0.2/icmp",
      "--agent",
      `127.0.0.1:${port}`,
    ]);
    expect(code).toBe(0);
    const lines = stdout.trim().split("\n");
    expect(lines[0]).toMatch(/^packet 1: ICMP 10\.[12]\.0\.2 -> 10\.[12]\.0\.2 echo_re/);
    expect(lines[0]).toMatch(/(from|through) default\/web \(host-hdb\)/);
    expect(lines.map((line) => line.trim().split(/ +/)[2])).toEqual(
      expect.arrayContaining(["af-packet-input", "ip4-lookup", "ip4-rewrite"]),
    );
    expect(lines.at(-1)).toMatch(/sent through/);
  });

  it("traces only what the filter says, and tells why VPP drops it", async () => {
    const paths = await trace("--count", "3", "--filter", "10.9.0.2");
    expect(paths).toHaveLength(3);
    for (const path of paths) {
      expect(path.packet).toMatch(/^ICMP 10\.1\.0\.2 -> 10\.9\.0\.2 echo_request/);
      expect(path.from).toBe("hda (host-hda)");
      expect(path.verdict).toMatchObject({ kind: "dropped", node: "ip4-drop" });
    }
  });

  it("traces only what goes through an interface", async () => {
    for (const { packet } of await trace("--count", "6", "--interface", "hdb")) expect(packet).toMatch(/10\.2\.0\.2/);
  });

  it("says that nothing came, that a node is unknown, that a filter is wrong", async () => {
    const results = await Promise.all([
      run(["trace", "--seconds", "1", "--filter", "10.7.7.7"]),
      run(["trace", "--node", "no-such-input"]),
      run(["trace", "--filter", "10.1.0.2/icmp/80"]),
    ]);
    expect(results.map(({ code, stderr }) => [code, stderr])).toEqual([
      [1, expect.stringContaining("no such packet")],
      [1, expect.stringContaining("no node no-such-input")],
      [2, expect.stringContaining("ports are of tcp, udp or sctp")],
    ]);
  });

  it("ends a trace at Ctrl-C with what there is, and leaves nothing in VPP", async () => {
    const [file = "", ...args] = argv("trace", ...options(), "--count", "10000", "--filter", "10.2.0.2");
    const child = spawn(file, args, { stdio: ["ignore", "pipe", "inherit"] });
    const ended = once(child, "close");
    await once(child.stdout, "data");
    expect(await cli("show classify filter")).toMatch(/packet tracer: +first table \d/);
    const second = await run(["trace", "--filter", "10.1.0.2"]);
    expect([second.code, second.stderr]).toEqual([1, expect.stringContaining("has a trace filter already")]);
    child.kill("SIGINT");
    expect(await ended).toEqual([0, null]);
    expect(await cli("show classify tables")).toContain("No classifier tables");
    expect(await cli("show trace")).toContain("No packets in trace buffer");
  });

  const packetsOf = (file: string): number => {
    const bytes = readFileSync(file);
    expect(bytes.readUInt32LE(0)).toBe(0xa1b2_c3d4);
    let packets = 0;
    for (let at = 24; at < bytes.length; at += 16 + bytes.readUInt32LE(at + 8)) packets++;
    return packets;
  };

  it("captures into a file here, though VPP's /tmp is another one", async () => {
    const file = join(vpp.directory, "capture.pcap");
    const { code, stderr } = await run(["capture", "-o", file, "--count", "8", "--interface", "hdb"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: `8 packets in ${file}\n` });
    expect(packetsOf(file)).toBe(8);
    expect(readdirSync(join(vpp.directory, "tmp")).filter((name) => name.endsWith(".pcap"))).toEqual([]);
  });

  it("captures what the filter says until the time is over", async () => {
    const file = join(vpp.directory, "filtered.pcap");
    const result = await run(["capture", "-o", file, "--seconds", "1", "--filter", "10.9.0.2/icmp", "--drops"]);
    expect(result).toMatchObject({ code: 0, stderr: expect.stringMatching(/^[1-9]\d* packets? in/) as string });
    const text = await execOk(["tcpdump", "-nr", file]);
    expect(text.trim().split("\n").length).toBeGreaterThan(0);
    for (const line of text.trim().split("\n")) expect(line).toContain("10.1.0.2 > 10.9.0.2: ICMP echo request");
    expect(await cli("show classify tables")).toContain("No classifier tables");
  });

  it("writes a capture of nothing, and refuses a second one at a time", async () => {
    const file = join(vpp.directory, "nothing.pcap");
    const nothing = await run(["capture", "-o", file, "--seconds", "1", "--filter", "10.7.7.7"]);
    expect(nothing).toMatchObject({ code: 0, stderr: `0 packets in ${file}\n` });
    expect(packetsOf(file)).toBe(0);
    await cli("pcap trace rx tx max 10 file other.pcap");
    const { code, stderr } = await run(["capture", "-o", file, "--seconds", "1"]);
    expect([code, stderr]).toEqual([1, expect.stringContaining("is capturing already")]);
    await cli("pcap trace off");
  });
});
