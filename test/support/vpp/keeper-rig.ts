import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Duration, sleep, systemClock } from "../../../src/base/clock/clock.ts";
import { packageFile } from "../../../src/base/files/package-file.ts";
import { interfaceDescriptor } from "../../../src/dataplane/vpp/interface/descriptor.ts";
import { interfaceUpDescriptor } from "../../../src/dataplane/vpp/interface/up.ts";
import { findDetached } from "../../../src/dataplane/vpp/supervisor/detached.ts";
import { preloadEnvironment } from "../../../src/dataplane/vpp/supervisor/preload.ts";
import { keeperProgram, SocketKeeper } from "../../../src/dataplane/vpp/supervisor/socket-keeper.ts";
import { type AfPacketValue, interfaceKey, interfaceUpKey } from "../../../src/models/vpp/interface.ts";
import { DescriptorLab } from "./descriptor-suite.ts";
import { VPP_BINARY, vppNote } from "./real-vpp.ts";

const isBuilt = packageFile("build/heddle_vpp_epoll.so") !== undefined && keeperProgram() !== undefined;
export const noKeeper: boolean = VPP_BINARY === undefined || !isBuilt;
export const keeperNote: string = VPP_BINARY !== undefined && !isBuilt ? " (skipped: not built)" : vppNote;

/** So many of a kind are opened before spares are made. */
export const SELDOM = 2;
export const SPARES = 6;
const LINKS = 9;

export const device = (n: number): AfPacketValue => ({
  kind: "af-packet",
  name: `hd${n}`,
  device: `hdtest${n}`,
  mac: `02:fe:00:00:00:${String(n).padStart(2, "0")}`,
  mtu: 1400,
  queues: 1,
  offload: true,
  qdisc: false,
});

/** As {@link device}, with a name that those of pods have. */
export const podDevice = (n: number): AfPacketValue => ({ ...device(n), device: `hd${String(n).padStart(13, "0")}` });

export const items = (...values: AfPacketValue[]): Map<string, unknown> =>
  new Map(
    values.flatMap((v): [string, unknown][] => [
      [interfaceKey(v.name), v],
      [interfaceUpKey(v.name), { interface: v.name, requires: [] }],
    ]),
  );

/**
 * A real VPP with a keeper of its packet sockets, and pairs of links from VPP's namespace (`hdtestN`) to another one
 * (`hdpeerN`, 192.0.N.2/24). VPP is to have 192.0.N.1.
 */
export class KeeperRig implements AsyncDisposable {
  readonly directory = mkdtempSync(join(tmpdir(), "hd-keeper-"));
  readonly #netns = `hdk${process.pid.toString(36)}`;
  readonly #peers = `${this.#netns}p`;
  readonly keeper: SocketKeeper;
  readonly errors: Error[] = [];
  #lab: DescriptorLab | undefined;

  private constructor() {
    this.keeper = new SocketKeeper({
      program: keeperProgram() ?? "",
      runtimeDir: this.directory,
      clock: systemClock,
      onError: (error) => this.errors.push(error),
    });
  }

  static async start(): Promise<KeeperRig> {
    const rig = new KeeperRig();
    try {
      for (const netns of [rig.#netns, rig.#peers]) ip("netns", "add", netns);
      for (let n = 0; n < LINKS; n++) rig.link(n);
      await rig.keeper.start();
      const env = preloadEnvironment(rig.keeper.paths.socket, {});
      const options = { netns: rig.#netns, env };
      rig.#lab = await DescriptorLab.start((s) => [interfaceDescriptor(s), interfaceUpDescriptor(s)], options);
    } catch (e) {
      await rig[Symbol.asyncDispose]();
      throw e;
    }
    return rig;
  }

  get lab(): DescriptorLab {
    if (!this.#lab) throw new Error("VPP is not there");
    return this.#lab;
  }

  /** In VPP's namespace. */
  run = (...args: string[]): string => ip("netns", "exec", this.#netns, ...args);
  /** In the namespace of the other ends. */
  atPeers = (...args: string[]): string => ip("netns", "exec", this.#peers, ...args);

  link(n: number, name = `hdtest${n}`): void {
    this.run("ip", "link", "add", name, "type", "veth", "peer", `hdpeer${n}`, "netns", this.#peers);
    this.atPeers("ip", "address", "add", `192.0.${n}.2/24`, "dev", `hdpeer${n}`);
    this.atPeers("ip", "link", "set", `hdpeer${n}`, "up");
  }

  get keeperPid(): number | undefined {
    return findDetached(this.keeper.paths.pid)?.pid;
  }

  /** Packet sockets of VPP's namespace: their devices' numbers, 0 if bound to none. */
  devices(): number[] {
    return this.run("cat", "/proc/net/packet")
      .trim()
      .split("\n")
      .slice(1)
      .map((line) => Number(line.trim().split(/\s+/)[4]));
  }

  bound = (): number => this.devices().filter((index) => index > 0).length;
  spare = (): number => this.devices().filter((index) => index === 0).length;

  /** Packet sockets by number that a process has, and are bound. */
  socketsOf(pid: number | undefined): string[] {
    const lines = this.run("cat", "/proc/net/packet").trim().split("\n").slice(1);
    const rows = lines.map((line) => line.trim().split(/\s+/));
    const bound = new Set(rows.flatMap((row) => (Number(row[4]) > 0 ? [`socket:[${row[8]}]`] : [])));
    const directory = `/proc/${pid}/fd`;
    const open = readdirSync(directory).map((fd) => target(join(directory, fd)));
    return [...new Set(open.filter((name) => bound.has(name)))].toSorted();
  }

  /** Bytes of each mapping that VPP has of a packet socket. */
  mapped(): number[] {
    const lines = readFileSync(`/proc/${this.lab.vpp.pid}/maps`, "utf8").matchAll(/^(\w+)-(\w+) .*socket:/gm);
    return [...lines].map(([, from, to]) => Number(`0x${to}`) - Number(`0x${from}`));
  }

  mappings = (): number => this.mapped().length;

  /** Share of one CPU that VPP takes for so long. */
  async cpuOf(ms: number): Promise<number> {
    const [before, since] = [this.#ticks(), performance.now()];
    await sleep(systemClock, ms as Duration);
    return ((this.#ticks() - before) * 10) / (performance.now() - since);
  }

  /** Hundredths of seconds (proc_pid_stat(5): utime and stime). */
  #ticks(): number {
    const stat = readFileSync(`/proc/${this.lab.vpp.pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return Number(fields[11]) + Number(fields[12]);
  }

  /** A VPP that has nothing but, perhaps, its sockets. */
  async startVpp(): Promise<void> {
    const { vpp, client } = this.lab;
    await vpp.run();
    await client.ready(AbortSignal.timeout(10_000));
    await client.request("control_ping", {});
  }

  async addresses(...numbers: number[]): Promise<void> {
    const { client } = this.lab;
    const there = await client.cli("show interface address");
    for (const n of numbers.filter((n) => !there.includes(`192.0.${n}.1/`))) {
      await client.cli(`set interface ip address host-hdtest${n} 192.0.${n}.1/24`);
    }
  }

  /** How many of so many frames got to VPP and back again. */
  answered(n: number, count: number, ...options: string[]): number {
    const args = ["-q", "-c", String(count), "-W", "1", ...options, `192.0.${n}.1`];
    // It fails when nothing comes back.
    const said = this.atPeers("sh", "-c", `ping ${args.join(" ")} || true`);
    return Number(/(\d+) received/.exec(said)?.[1]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#lab?.[Symbol.asyncDispose]();
    await this.keeper.close();
    for (const netns of [this.#netns, this.#peers]) ip("netns", "delete", netns);
    rmSync(this.directory, { recursive: true, force: true });
  }
}

const ip = (...args: string[]): string => execFileSync("ip", args, { encoding: "utf8" });

function target(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return ""; // closed meanwhile
  }
}
