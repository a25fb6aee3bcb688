import { join } from "node:path";
import { buffersFor, type ExpectedInterfaces, MAX_BUFFERS } from "./buffers.ts";
import { checkDistinct, checkInt, checkName, checkPath, checkSocket } from "./checks.ts";
import { StartupConfError } from "./errors.ts";

/** A device that DPDK takes at start. */
export interface DpdkDevice {
  /** `0000:02:00.0` */
  readonly pci: string;
  /** VPP's name for the interface. */
  readonly name?: string;
  readonly rxQueues?: number;
  readonly txQueues?: number;
  readonly rxDescriptors?: number;
  readonly txDescriptors?: number;
}

/** What VPP is started with. Sizes are bytes. */
export interface StartupConf {
  /** Holds VPP's sockets, log and configuration; see {@link vppPaths}. */
  readonly runtimeDir: string;
  /** Names VPP's own shared memory; two VPPs on a machine need two. */
  readonly apiPrefix: string;
  /** `none` if absent; otherwise heap, buffers and DPDK use huge pages of this size, which must be reserved. */
  readonly hugepages?: "none" | "2M" | "1G";
  /** Numbers of CPUs. Without workers, the main thread forwards. */
  readonly cores?: { readonly main?: number; readonly workers?: readonly number[] };
  /** 1 GiB if absent. */
  readonly mainHeap?: number;
  /** A number of buffers, or the interfaces to expect. */
  readonly buffers: number | ExpectedInterfaces;
  /** 64 MiB if absent: 17 directory entries for each interface, and counters for each thread. */
  readonly statsSize?: number;
  /** Seconds between two runs of VPP's collector of node, memory and buffer counters; 5 if absent. */
  readonly statsInterval?: number;
  /** Run time by graph node: a few thousand directory entries. On if absent. */
  readonly nodeCounters?: boolean;
  readonly plugins?: {
    /** Where they are, if not where VPP was built for. */
    readonly path?: string;
    /** Only these, all others off. */
    readonly only?: readonly string[];
    readonly disable?: readonly string[];
  };
  /** DPDK's plugin is off without devices. */
  readonly dpdk?: { readonly devices: readonly DpdkDevice[]; readonly uioDriver?: "vfio-pci" | "uio_pci_generic" };
  /** Maximum ages in seconds, and the number of CNAT's sessions in both directions; needs the plugin. */
  readonly cnat?: {
    readonly maxSessions?: number;
    /** Seconds between two looks, of 0.1 ms each, for what is over. */
    readonly scanInterval?: number;
    readonly sessionMaxAge?: number;
    readonly tcpMaxAge?: number;
    readonly maglevLength?: number;
  };
}

export interface VppPaths {
  readonly api: string;
  readonly cli: string;
  readonly stats: string;
  /** VPP's log of its own. */
  readonly log: string;
  /** startup.conf */
  readonly conf: string;
  /** What VPP writes to its standard output and error. */
  readonly output: string;
  /** Which process it is, for an agent that comes back. */
  readonly pid: string;
}

/** All files of a VPP below its runtime directory. */
export function vppPaths(runtimeDir: string): VppPaths {
  const at = (name: string) => join(runtimeDir, name);
  return {
    api: at("api.sock"),
    cli: at("cli.sock"),
    stats: at("stats.sock"),
    log: at("vpp.log"),
    conf: at("startup.conf"),
    output: at("vpp.out"),
    pid: at("vpp.pid"),
  };
}

/**
 * What VPP makes for clients that reach its API by shared memory, and leaves when it is killed. Ours comes by its socket, and
 * VPP itself has them mapped: once it answers, nobody needs their names any more.
 */
export const sharedMemoryFiles = ({ apiPrefix }: Pick<StartupConf, "apiPrefix">): readonly string[] =>
  ["global_vm", "vpe-api"].map((region) => `/dev/shm/${apiPrefix}-${region}`);

const MiB = 1 << 20;
export const DEFAULT_MAIN_HEAP = 1024 * MiB;
const PLUGIN = /^[a-z0-9_-]+_plugin\.so$/;
const DEVICE_NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,30}$/;
const DPDK_PLUGIN = "dpdk_plugin.so";

/** The text of startup.conf. Throws {@link StartupConfError} for what VPP would refuse or misread. */
export function renderStartupConf(conf: StartupConf): string {
  const directory = checkPath("runtimeDir", conf.runtimeDir);
  const paths = vppPaths(directory);
  for (const socket of ["api", "cli", "stats"] as const) checkSocket("runtimeDir", paths[socket]);
  const prefix = checkName("apiPrefix", conf.apiPrefix, /^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$/);
  const page = { none: "4k", "2M": "2m", "1G": "1g" }[conf.hugepages ?? "none"];
  const workers = conf.cores?.workers ?? [];
  const statsSize = checkInt("statsSize", conf.statsSize ?? 64 * MiB, 8 * MiB, 4096 * MiB);
  const heap = checkInt("mainHeap", conf.mainHeap ?? DEFAULT_MAIN_HEAP, 64 * MiB, 64 * 1024 * MiB);
  const interval = conf.statsInterval ?? 5;
  if (!(interval >= 0.1 && interval <= 3600)) throw new StartupConfError("statsInterval", `${interval} s`);
  const sections: (string | undefined)[] = [
    // nosyslog: VPP's messages, those of a refused configuration included, go to its standard error and so to us
    section("unix", [
      "nodaemon",
      "nosyslog",
      "nocolor",
      `runtime-dir ${directory}`,
      `cli-listen ${paths.cli}`,
      `log ${paths.log}`,
    ]),
    section("api-segment", [`prefix ${prefix}`]),
    section("socksvr", [`socket-name ${paths.api}`]),
    section("statseg", [
      `socket-name ${paths.stats}`,
      `size ${size(statsSize)}`,
      `update-interval ${interval}`,
      `per-node-counters ${conf.nodeCounters === false ? "off" : "on"}`,
    ]),
    section("memory", [`main-heap-size ${size(heap)}`, `main-heap-page-size ${page}`]),
    section("buffers", [`buffers-per-numa ${bufferCount(conf, 1 + workers.length)}`, `page-size ${page}`]),
    // Shared memory and taps would be polled otherwise, by a thread that is never idle then.
    section("interface", ["default-rx-mode adaptive"]),
    section("cpu", cpu(conf.cores?.main, workers)),
    section("plugins", plugins(conf)),
    section("cnat", cnat(conf.cnat ?? {})),
    dpdk(conf),
  ];
  return `${sections.filter((s) => s !== undefined).join("\n")}\n`;
}

function section(name: string, lines: readonly string[]): string | undefined {
  return lines.length === 0 ? undefined : `${name} {\n${lines.map((line) => `  ${line}\n`).join("")}}`;
}

/** VPP takes whole numbers with a suffix; what is no multiple of a MiB is given in bytes. */
const size = (bytes: number): string => (bytes % MiB === 0 ? `${bytes / MiB}m` : `${bytes}`);

function bufferCount(conf: StartupConf, threads: number): number {
  if (typeof conf.buffers === "number") return checkInt("buffers", conf.buffers, 1024, MAX_BUFFERS);
  for (const [kind, count] of Object.entries(conf.buffers)) checkInt(`buffers.${kind}`, count, 0, 100_000);
  return buffersFor(conf.buffers, threads);
}

function cpu(main: number | undefined, workers: readonly number[]): string[] {
  const cores = [...(main === undefined ? [] : [main]), ...workers];
  for (const core of cores) checkInt("cores", core, 0, 1023);
  checkDistinct("cores", cores);
  // Without a main core VPP moves itself to one of its choice (CPU 1), and then refuses the list of workers if it has that.
  if (main === undefined && workers.length > 0) throw new StartupConfError("cores", "workers need a main core");
  const lines = main === undefined ? [] : [`main-core ${main}`];
  return workers.length === 0 ? lines : [...lines, `corelist-workers ${workers.join(",")}`];
}

function plugins(conf: StartupConf): string[] {
  const { path, only, disable = [] } = conf.plugins ?? {};
  for (const [field, names] of Object.entries({ only: only ?? [], disable })) {
    for (const name of names) checkName(`plugins.${field}`, name, PLUGIN);
    checkDistinct(`plugins.${field}`, names);
  }
  const both = only?.find((name) => disable.includes(name));
  if (both !== undefined) throw new StartupConfError("plugins", `${both} is both enabled and disabled`);
  const wantsDpdk = (conf.dpdk?.devices.length ?? 0) > 0;
  if (wantsDpdk && disable.includes(DPDK_PLUGIN)) throw new StartupConfError("plugins.disable", "dpdk has devices");
  const off = new Set(disable);
  if (!wantsDpdk) off.add(DPDK_PLUGIN);
  const on = new Set(only);
  if (only && wantsDpdk) on.add(DPDK_PLUGIN);
  return [
    ...(path === undefined ? [] : [`path ${checkPath("plugins.path", path)}`]),
    ...(only ? ["plugin default { disable }"] : []),
    ...[...on].filter((name) => !off.has(name)).map((name) => `plugin ${name} { enable }`),
    ...(only ? [] : [...off].map((name) => `plugin ${name} { disable }`)),
  ];
}

function cnat(options: NonNullable<StartupConf["cnat"]>): string[] {
  const { maxSessions, scanInterval, sessionMaxAge, tcpMaxAge, maglevLength } = options;
  const lines: string[] = [];
  if (maxSessions !== undefined) {
    lines.push(`session-max ${checkInt("cnat.maxSessions", maxSessions, 1024, 1 << 24)}`);
  }
  if (scanInterval !== undefined) {
    const isSensible = scanInterval >= 0.001 && scanInterval <= 60;
    if (!isSensible) throw new StartupConfError("cnat.scanInterval", `${scanInterval} s`);
    lines.push(`session-cleanup-timeout ${scanInterval}`);
  }
  // 16 bits in VPP: more wraps around
  if (sessionMaxAge !== undefined) {
    lines.push(`session-max-age ${checkInt("cnat.sessionMaxAge", sessionMaxAge, 1, 65_535)}`);
  }
  if (tcpMaxAge !== undefined) lines.push(`tcp-max-age ${checkInt("cnat.tcpMaxAge", tcpMaxAge, 1, 65_535)}`);
  if (maglevLength !== undefined) lines.push(`maglev-len ${checkInt("cnat.maglevLength", maglevLength, 7, 1_000_003)}`);
  return lines;
}

function dpdk(conf: StartupConf): string | undefined {
  const { devices = [], uioDriver } = conf.dpdk ?? {};
  if (devices.length === 0) return undefined;
  for (const { pci } of devices) {
    checkName("dpdk.devices", pci, /^[0-9a-f]{4}:[0-9a-f]{2}:[0-1][0-9a-f]\.[0-7]$/);
  }
  checkDistinct(
    "dpdk.devices",
    devices.map((d) => d.pci),
  );
  return section("dpdk", [
    ...(uioDriver ? [`uio-driver ${uioDriver}`] : []),
    ...((conf.hugepages ?? "none") === "none" ? ["no-hugetlb"] : []),
    ...devices.map(device),
  ]);
}

function device(d: DpdkDevice): string {
  const words: string[] = [];
  if (d.name !== undefined) words.push(`name ${checkName("dpdk.devices.name", d.name, DEVICE_NAME)}`);
  const number = (field: keyof DpdkDevice, word: string, value: number | undefined, max: number): void => {
    if (value !== undefined) words.push(`${word} ${checkInt(`dpdk.devices.${field}`, value, 1, max)}`);
  };
  number("rxQueues", "num-rx-queues", d.rxQueues, 64);
  number("txQueues", "num-tx-queues", d.txQueues, 64);
  number("rxDescriptors", "num-rx-desc", d.rxDescriptors, 32_768);
  number("txDescriptors", "num-tx-desc", d.txDescriptors, 32_768);
  return words.length === 0 ? `dev ${d.pci}` : `dev ${d.pci} { ${words.join(" ")} }`;
}
