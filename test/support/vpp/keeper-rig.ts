import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../src/base/clock/clock.ts";
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
export const pod = (n: number): AfPacketValue => ({ ...device(n), device: `hd${String(n).padStart(13, "0")}` });

export const items = (...values: AfPacketValue[]): Map<string, unknown> =>
  new Map(
    values.flatMap((v): [string, unknown][] => [
      [interfaceKey(v.name), v],
      [interfaceUpKey(v.name), { interface: v.name, requires: [] }],
    ]),
  );

/**
 * A real VPP with a keeper of its packet sockets, and pairs of links from VPP's namespace (those of `kind`) to another one
 * (`hdpeerN`, 192.0.N.2/24). VPP is to have 192.0.N.1.
 */
export class KeeperRig implements AsyncDisposable {
  readonly directory = mkdtempSync(join(tmpdir(), "hd-keeper-"));
  readonly #netns = `hdk${process.pid.toString(36)}`;
  readonly #peers = `${this.#netns}p`;
  readonly keeper: SocketKeeper;
  readonly errors: Error[] = [];
  readonly #kind: typeof device;
  #lab: DescriptorLab | undefined;

  private constructor(kind: typeof device) {
    this.#kind = kind;
    this.keeper = new SocketKeeper({
      program: keeperProgram() ?? "",
      runtimeDir: this.directory,
      clock: systemClock,
      onError: (error) => this.errors.push(error),
    });
  }

  static async start(kind: typeof device = device): Promise<KeeperRig> {
    const rig = new KeeperRig(kind);
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

  link(n: number): void {
    this.run("ip", "link", "add", this.#kind(n).device, "type", "veth", "peer", `hdpeer${n}`, "netns", this.#peers);
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

  /** Packet sockets by number that VPP has mapped. */
  mapped = (): string[] => readFileSync(`/proc/${this.lab.vpp.pid}/maps`, "utf8").match(/socket:\[\d+\]/g) ?? [];

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
      await client.cli(`set interface ip address host-${this.#kind(n).device} 192.0.${n}.1/24`);
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
