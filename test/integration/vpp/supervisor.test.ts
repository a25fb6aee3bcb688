import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { millis, seconds } from "../../../src/base/clock/clock.ts";
import { VppClient } from "../../../src/dataplane/vpp/binapi/index.ts";
import { VppAttachment } from "../../../src/dataplane/vpp/supervisor/attachment.ts";
import { identify, isAlive } from "../../../src/dataplane/vpp/supervisor/identity.ts";
import { apiProbe, cliProbe } from "../../../src/dataplane/vpp/supervisor/probes.ts";
import type { StartupConf } from "../../../src/dataplane/vpp/supervisor/startup-conf.ts";
import {
  type SupervisorOptions,
  type SupervisorState,
  VppSupervisor,
} from "../../../src/dataplane/vpp/supervisor/supervisor.ts";
import { kill9 } from "../../support/kill.ts";
import { until } from "../../support/until.ts";
import { VPP_PREFIX } from "../../support/vpp/api-files.ts";
import { VPP_BINARY, vppNote } from "../../support/vpp/real-vpp.ts";

/** A supervised VPP in a namespace without devices, with its own client. */
class Rig implements AsyncDisposable {
  readonly directory = mkdtempSync(join(tmpdir(), "hd-vpp-"));
  readonly prefix = this.directory.split("/").at(-1) ?? "";
  readonly client = VppClient.start({
    socket: join(this.directory, "api.sock"),
    apiDirectory: join(VPP_PREFIX, "share/vpp/api"),
    backoff: { first: millis(10), max: millis(50) },
    keepAlive: { idle: seconds(60), timeout: seconds(60) },
  });
  readonly seen: SupervisorState[] = [];
  readonly #supervisors: VppSupervisor[] = [];

  supervisor(conf: Partial<StartupConf> = {}, options: Partial<SupervisorOptions> = {}): VppSupervisor {
    const supervisor = new VppSupervisor({
      // The number stays through both execs, so the recorded process is VPP.
      program: { command: ["unshare", "-n", "--", VPP_BINARY ?? "vpp"] },
      conf: {
        runtimeDir: this.directory,
        apiPrefix: this.prefix,
        buffers: { afPacket: 10 },
        cores: { main: 0 },
        ...conf,
      },
      probes: [apiProbe(this.client), cliProbe(join(this.directory, "cli.sock"))],
      watch: { every: millis(100), timeout: millis(500), failures: 2 },
      backoff: { first: millis(20), max: millis(100) },
      ...options,
    });
    supervisor.onState((state) => this.seen.push(state));
    this.#supervisors.push(supervisor);
    return supervisor;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const supervisor of this.#supervisors.toReversed()) await supervisor.close();
    await this.client.close();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

const running = (supervisor: VppSupervisor) => {
  if (supervisor.state.s !== "running") throw new Error(`VPP is ${supervisor.state.s}`);
  return supervisor.state;
};

const nextLife = (supervisor: VppSupervisor, generation: number) =>
  until(`generation ${generation}`, () => {
    const { state } = supervisor;
    return state.s === "running" && state.generation === generation ? state : undefined;
  });

describe.skipIf(VPP_BINARY === undefined)(`supervisor of a real VPP${vppNote}`, () => {
  let rig: Rig;
  beforeEach(() => {
    rig = new Rig();
  });
  afterEach(() => rig[Symbol.asyncDispose]());

  it("starts VPP, stops it gracefully and leaves no files", async () => {
    const supervisor = rig.supervisor();
    await supervisor.start();
    const { pid, generation, adopted } = running(supervisor);
    expect({ generation, adopted }).toEqual({ generation: 1, adopted: false });
    const ping = await rig.client.request("control_ping", {});
    expect(ping.vpe_pid).toBe(pid);
    const plugins = await rig.client.cli("show plugins");
    expect(plugins).toContain("acl_plugin.so");
    await supervisor.close();
    expect(identify(pid)).toBeUndefined();
    expect(readdirSync(rig.directory)).toEqual([]);
    expect(readdirSync("/dev/shm").filter((name) => name.startsWith(rig.prefix))).toEqual([]);
  });

  it("starts VPP again after kill -9, as another generation, and says how it ended", async () => {
    const supervisor = rig.supervisor();
    await supervisor.start();
    const { pid } = running(supervisor);
    kill9(pid);
    const second = await nextLife(supervisor, 2);
    expect(second.pid).not.toBe(pid);
    expect(second.adopted).toBe(false);
    const waiting = rig.seen.find((state) => state.s === "waiting");
    expect(waiting).toMatchObject({ error: { code: "VPP_EXITED", exit: { signal: "SIGKILL", code: null } } });
    expect((await rig.client.request("control_ping", {})).vpe_pid).toBe(second.pid);
  });

  it("kills a VPP that hangs with its sockets open, and starts another", async () => {
    const supervisor = rig.supervisor();
    await supervisor.start();
    const { pid } = running(supervisor);
    process.kill(pid, "SIGSTOP");
    await nextLife(supervisor, 2);
    expect(identify(pid)).toBeUndefined();
    expect(rig.seen.find((state) => state.s === "waiting")).toMatchObject({ error: { code: "VPP_HUNG" } });
  });

  it("says what VPP says when it refuses its configuration, and leaves nothing", async () => {
    // VPP takes a section only from a plugin that is on
    const supervisor = rig.supervisor({ cnat: { maxSessions: 1024 }, plugins: { disable: ["cnat_plugin.so"] } });
    const error: unknown = await supervisor.start().catch((e: unknown) => e);
    expect(error).toMatchObject({ code: "VPP_EXITED", exit: { code: 1 } });
    expect(String(error)).toMatch(/unknown input.*cnat/i);
    expect(supervisor.state).toEqual({ s: "closed" });
    expect(readdirSync(rig.directory)).toEqual([]);
  });

  it("says which executable is missing", async () => {
    const supervisor = rig.supervisor({}, { program: { command: ["/nonexistent/vpp"] } });
    await expect(supervisor.start()).rejects.toMatchObject({ code: "VPP_NO_START" });
    expect(readdirSync(rig.directory)).toEqual([]);
  });

  it("takes over the VPP that an earlier agent left, and stops it in the end", async () => {
    const first = rig.supervisor();
    await first.start();
    const { pid } = running(first);
    await first.close({ keep: true });
    expect(identify(pid)).toBeDefined();
    const second = rig.supervisor();
    await second.start();
    expect(running(second)).toMatchObject({ pid, adopted: true, generation: 1 });
    const id = identify(pid);
    kill9(pid);
    await nextLife(second, 2);
    expect(id && isAlive(id)).toBe(false);
    await second.close();
    expect(readdirSync(rig.directory)).toEqual([]);
    expect(readdirSync("/dev/shm").filter((name) => name.startsWith(rig.prefix))).toEqual([]);
  });

  it("replaces a VPP that runs with another configuration", async () => {
    const first = rig.supervisor();
    await first.start();
    const { pid } = running(first);
    await first.close({ keep: true });
    const second = rig.supervisor({ buffers: 8192 });
    await second.start();
    expect(running(second)).toMatchObject({ adopted: false });
    expect(identify(pid)).toBeUndefined();
  });

  it("follows a VPP of somebody else by its connection, and never ends it", async () => {
    const owner = rig.supervisor();
    await owner.start();
    const attachment = new VppAttachment(rig.client);
    const { pid } = running(owner);
    expect(attachment.state).toMatchObject({ s: "running", generation: 1, pid });
    kill9(pid);
    await until("another life", () => attachment.state.s === "running" && attachment.state.generation === 2);
    attachment[Symbol.dispose]();
    expect(identify((await nextLife(owner, 2)).pid)).toBeDefined();
  });
});
