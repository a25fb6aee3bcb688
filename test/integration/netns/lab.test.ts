import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type LabIdentity, snapshotHost } from "../../../src/lab/demo/host-snapshot.ts";
import { differences } from "../../../src/lab/demo/snapshot.ts";
import { netnsInodes } from "../../../src/lab/down.ts";
import { Lab } from "../../../src/lab/lab.ts";
import { listNetns } from "../../../src/lab/net/ip.ts";
import { markedProcesses } from "../../../src/lab/process/daemon.ts";
import { exec, execOk } from "../../../src/lab/process/exec.ts";
import { identify, isAlive } from "../../../src/lab/process/proc.ts";
import { readState } from "../../../src/lab/state/ledger.ts";
import type { UpOptions } from "../../../src/lab/up.ts";
import { ToyBench, whyNoNetns } from "../../support/lab/toy.ts";

const why = whyNoNetns();

describe.skipIf(why !== undefined)(`the lab${why ? ` (skipped: ${why})` : ""}`, () => {
  let bench: ToyBench;
  const options = (more: Partial<UpOptions> = {}): UpOptions => ({
    dir: bench.labDir,
    nodes: 2,
    store: "embedded",
    executables: bench.executables,
    ...more,
  });
  /** Everything that a lab of this id could have left on the machine. */
  const traces = async (id: string): Promise<unknown[]> => {
    const identity: LabIdentity = { id, dir: bench.labDir, inodes: new Map() };
    const now = await snapshotHost(identity);
    return ["namespace", "link", "process", "socket", "mount"].flatMap((kind) => [...(now.get(kind) ?? [])]);
  };

  beforeEach(() => {
    bench = new ToyBench();
  });
  afterEach(async () => {
    await Lab.down(bench.labDir);
    bench[Symbol.dispose]();
  });

  it("comes up, is found by its directory, gives pods the network, and leaves nothing", async () => {
    const before = await snapshotHost({ id: "abc0de", dir: bench.labDir, inodes: new Map() });
    const up = await Lab.up(options({ id: "abc0de", mtu: 1400 }));
    const inodes = netnsInodes(up.state().namespaces);
    await up.close();

    await using lab = Lab.open(bench.labDir, { executables: bench.executables });
    const pod = await lab.addPod("shop/web", "n2", { labels: { app: "web" } });
    expect(pod.ips).toEqual(["10.244.2.2", "fd10:244:0:2::2"]);
    const status = lab.status();
    expect(status).toMatchObject({ phase: "up", store: "embedded", mtu: 1400 });
    expect(status.nodes.map((n) => [n.name, n.dataplane, n.underlay, n.agentPid !== null])).toEqual([
      ["n1", "linux", ["192.168.77.1", "fd77::1"], true],
      ["n2", "linux", ["192.168.77.2", "fd77::2"], true],
    ]);
    expect(status.nodes[1]?.pods).toEqual([{ namespace: "shop", name: "web", netns: pod.netns, ips: pod.ips }]);
    expect(JSON.parse(readFileSync(status.nodes[0]?.cniConf ?? "", "utf8"))).toMatchObject({ name: "heddle" });

    const link = await lab.exec("n1", ["cat", "/sys/class/net/eth0/mtu"]);
    expect(link.stdout).toBe("1400\n");
    const seen = await (await lab.prober()).probe("icmp", lab.netnsOf("n2"), "10.244.2.2");
    expect(seen.ok).toBe(true);
    await lab.delPod("shop/web");
    expect(listNetns()).not.toContain(pod.netns);
    expect(lab.state().pods).toEqual([]);

    expect(await lab.down()).toEqual({ existed: true, left: [] });
    expect(existsSync(bench.labDir)).toBe(false);
    expect(differences("", before, await snapshotHost({ id: "abc0de", dir: bench.labDir, inodes }))).toEqual([]);
    expect(await Lab.down(bench.labDir)).toEqual({ existed: false, left: [] });
  });

  it("runs a real etcd in the fabric when there is one", async () => {
    await using lab = await Lab.up(options({ store: "etcd", nodes: 1 }));
    const { storePid, storeEndpoints } = lab.status();
    expect(readFileSync(`/proc/${storePid}/comm`, "utf8")).toBe("etcd\n");
    const health = await (await lab.prober()).get(lab.netnsOf("n1"), `${storeEndpoints[0]}/health`);
    expect(JSON.parse(health.body)).toEqual({ health: "true" });
  });

  it("restarts an agent by kill -9, under a new pid", async () => {
    await using lab = await Lab.up(options({ nodes: 1 }));
    const old = lab.status().nodes[0]?.agentPid;
    const pid = await lab.restart("n1");
    expect(pid).not.toBe(old);
    expect(lab.status().nodes[0]?.agentPid).toBe(pid);
    expect(identify(old ?? 0)).toBeUndefined();
    await expect(lab.restart("n1", "vpp")).rejects.toMatchObject({ code: "USAGE" });
    await expect(lab.restart("n7")).rejects.toMatchObject({ code: "NOT_FOUND" });
  });

  it("takes pods that are added at the same time by different handles", async () => {
    await using lab = await Lab.up(options({ nodes: 1 }));
    await using other = Lab.open(bench.labDir, { executables: bench.executables });
    // The toy's plugin keeps no lock of its own, so each gets a node's turn; what is tried here is the ledger.
    const first = lab.addPod("a/one", "n1");
    const second = first.then(() => other.addPod("a/two", "n1"));
    await expect(lab.addPod("a/one", "n1")).rejects.toMatchObject({ code: "USAGE" });
    await Promise.all([first, second]);
    expect(lab.state().pods.map((p) => p.name)).toEqual(["one", "two"]);
    await expect(lab.addPod("a/three", "n9")).rejects.toMatchObject({ code: "NOT_FOUND" });
  });

  it("takes a pod back whose ADD failed, with the plugin's words", async () => {
    await using lab = await Lab.up(options({ nodes: 1 }));
    writeFileSync(
      join(dirname(bench.executables.cni ?? ""), "heddle"),
      `#!/bin/sh\n[ "$CNI_COMMAND" = DEL ] && exit 0\necho '{"cniVersion":"1.1.0","code":11,"msg":"later","details":"no agent"}'; exit 1\n`,
    );
    const before = listNetns();
    await expect(lab.addPod("a/b", "n1")).rejects.toMatchObject({
      cniCode: 11,
      message: expect.stringContaining("later: no agent"),
    });
    expect(listNetns()).toEqual(before);
    expect(lab.state().pods).toEqual([]);
  });

  it.each([
    [2, "CANNOT_RUN"],
    [1, "NOT_READY"],
  ])("an agent that gives up with status %i fails `up` as %s, and all is removed", async (status, code) => {
    const agent = ["sh", "-c", `echo told to give up >&2; exit ${status}`];
    const failing = Lab.up(options({ id: "abc0de", executables: { ...bench.executables, agent } }));
    await expect(failing).rejects.toMatchObject({ code, message: expect.stringContaining("told to give up") });
    expect(await traces("abc0de")).toEqual([]);
    expect(existsSync(bench.labDir)).toBe(false);
  });

  it("an agent that never gets ready fails `up` by its deadline, and all is removed", async () => {
    const executables = { ...bench.executables, agent: ["sh", "-c", "trap '' TERM; while :; do sleep 1000; done"] };
    const failing = Lab.up(options({ id: "abc0de", executables, readyTimeoutMs: 300 }));
    await expect(failing).rejects.toMatchObject({ code: "NOT_READY" });
    expect(await traces("abc0de")).toEqual([]);
  });

  it.each(["underlay", "store", "agents"])("being aborted at %s removes what there is", async (at) => {
    const controller = new AbortController();
    const progress = (line: string): void => {
      if (line.startsWith(at)) controller.abort(new Error("interrupted"));
    };
    const up = Lab.up(options({ id: "abc0de", progress, signal: controller.signal }));
    await expect(up).rejects.toThrow("interrupted");
    expect(await traces("abc0de")).toEqual([]);
    expect(existsSync(bench.labDir)).toBe(false);
  });

  it.each([60, 150, 300, 500, 800])("`up` killed after %i ms leaves nothing that `down` does not find", async (ms) => {
    const script = join(import.meta.dirname, "..", "..", "support", "lab", "toy-up.ts");
    const up = spawn(process.execPath, [script, bench.labDir, dirname(bench.executables.cni ?? "")], {
      stdio: "ignore",
    });
    const ended = once(up, "exit");
    const kill = setTimeout(() => up.kill("SIGKILL"), ms);
    await ended;
    clearTimeout(kill);
    const id = readState(bench.labDir)?.id;
    expect((await Lab.down(bench.labDir)).left).toEqual([]);
    expect(id === undefined ? [] : await traces(id)).toEqual([]);
  });

  it("refuses a second lab in the directory, and one whose sockets would not fit", async () => {
    await using _lab = await Lab.up(options({ nodes: 1 }));
    await expect(Lab.up(options())).rejects.toMatchObject({ code: "USAGE" });
    await expect(Lab.up(options({ dir: join(bench.dir, "d".repeat(100)) }))).rejects.toMatchObject({ code: "USAGE" });
  });

  it("goes down when half of it is gone, and never ends a process that only has an old number", async () => {
    const lab = await Lab.up(options({ id: "abc0de" }));
    await lab.close();
    const bystander = spawn("sleep", ["60"]);
    await once(bystander, "spawn");
    const bystanderId = identify(bystander.pid ?? 0);
    // As if the agent of n1 had ended and its number been given to somebody else.
    const ledger = join(bench.labDir, "lab.json");
    const state = JSON.parse(readFileSync(ledger, "utf8"));
    state.processes.find((p: { role: string }) => p.role === "agent-n1").id.pid = bystander.pid;
    writeFileSync(ledger, JSON.stringify(state));
    await execOk(["ip", "netns", "del", lab.netnsOf("n2")]);
    rmSync(join(bench.labDir, "nodes"), { recursive: true });
    expect(await Lab.down(bench.labDir)).toEqual({ existed: true, left: [] });
    expect(bystanderId && isAlive(bystanderId)).toBe(true);
    bystander.kill("SIGKILL");
    expect(await traces("abc0de")).toEqual([]);
  });

  it("ends commands that were run in it, and reports a process that is not its own", async () => {
    const lab = await Lab.up(options({ id: "abc0de", nodes: 1 }));
    const inside = lab.exec("n1", ["sleep", "60"]);
    const stranger = spawn("nsenter", [`--net=/run/netns/${lab.netnsOf("n1")}`, "sleep", "60"], { stdio: "ignore" });
    await once(stranger, "spawn");
    await expect.poll(() => readFileSync(`/proc/${stranger.pid}/comm`, "utf8")).toBe("sleep\n");
    await expect.poll(() => markedProcesses("abc0de").some((p) => p.command === "sleep 60")).toBe(true);
    const { left } = await lab.down();
    expect(left).toEqual([expect.stringContaining(`process ${stranger.pid}`)]);
    expect((await inside).code).toBeNull();
    stranger.kill("SIGKILL");
    await once(stranger, "exit");
  });

  it("passes the status of a command in a pod's namespace on", async () => {
    await using lab = await Lab.up(options({ nodes: 1 }));
    const cli = [...(bench.executables.heddlectl ?? []), "lab", "exec", "--state", bench.labDir];
    expect(await exec([...cli, "n1", "--", "sh", "-c", "echo out; exit 7"])).toMatchObject({
      code: 7,
      stdout: "out\n",
    });
    expect((await exec([...cli, "no/pod", "--", "true"])).code).toBe(1);
    expect((await exec([...cli, "outside", "--", "ip", "-4", "addr"])).stdout).toContain("198.51.100.2");
    expect(lab.status().nodes).toHaveLength(1);
  });
});
