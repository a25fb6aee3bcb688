import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { strangersIn } from "../down.ts";
import { netnsName } from "../names.ts";
import { listNetns } from "../net/ip.ts";
import { labAddressPrefixes } from "../net/plan.ts";
import { markedProcesses } from "../process/daemon.ts";
import { type Snapshot, snapshotNetwork } from "./snapshot.ts";

/** Places outside a lab's directory where a program of ours might put something. */
const SYSTEM_DIRS = ["/run/heddle", "/var/lib/heddle", "/etc/heddle", "/etc/cni/net.d", "/var/lib/cni"];

/** Settings of the machine that the lab's nodes change inside their namespaces, and must not change here. */
const SYSCTLS = [
  "ipv4/ip_forward",
  "ipv4/conf/all/rp_filter",
  "ipv4/conf/default/rp_filter",
  "ipv4/conf/all/arp_ignore",
  "ipv6/conf/all/forwarding",
  "ipv6/conf/default/forwarding",
  "ipv6/conf/all/accept_ra",
  "ipv6/conf/default/accept_dad",
  "bridge/bridge-nf-call-iptables",
];

/** A lab, for telling its things from those of others on a machine where other work goes on. */
export interface LabIdentity {
  readonly id: string;
  readonly dir: string;
  /** Inodes of its namespaces, by which a process in one of them is known after the name is gone. */
  readonly inodes: ReadonlyMap<string, string>;
}

const isOurName = (name: string): boolean => /^(hd|heddle)/.test(name);
/** A route, address or rule that only a lab would make: by its device or its addresses. */
const isOurText = (text: string): boolean =>
  / dev (hd|heddle)/.test(text) || labAddressPrefixes.some((a) => text.startsWith(a) || text.includes(` ${a}`));

function listDir(dir: string): string[] {
  return existsSync(dir) ? readdirSync(dir).map((f) => join(dir, f)) : [];
}

/** Unix sockets in the file system or the abstract namespace that carry our names. /proc/net/unix, last column. */
function unixSockets(lab: LabIdentity): string[] {
  return readFileSync("/proc/net/unix", "utf8")
    .split("\n")
    .map((line) => line.trim().split(/\s+/)[7] ?? "")
    .filter((path) => path.startsWith(lab.dir) || path.includes(`hd${lab.id}`) || /^@?\/?.*heddle.*\.sock$/.test(path));
}

/** Mounts of namespaces whose name is gone: the name alone can be removed while another mount namespace holds it. */
function mounts(lab: LabIdentity): string[] {
  const named = listNetns();
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "") // the mount point, proc(5)
    .filter((point) => point.includes(`/hd${lab.id}-`) && !named.some((n) => point.endsWith(`/${n}`)));
}

function sysctl(name: string): string {
  try {
    return `${name} = ${readFileSync(`/proc/sys/net/${name}`, "utf8").trim()}`;
  } catch {
    return ""; // this kernel has none
  }
}

const filtered = (set: ReadonlySet<string> | undefined, keep: (thing: string) => boolean): Set<string> =>
  new Set([...(set ?? [])].filter(keep));

/**
 * What there is on the machine itself that a lab could have left. Only things that carry the names or addresses of
 * ours count: other programs may come and go meanwhile.
 */
export async function snapshotHost(lab: LabIdentity): Promise<Snapshot> {
  const network = await snapshotNetwork(undefined);
  return new Map<string, ReadonlySet<string>>([
    ["namespace", new Set(listNetns().filter((n) => netnsName.isOf(lab.id, n)))],
    ["link", filtered(network.get("link"), isOurName)],
    ["address", filtered(network.get("address"), isOurText)],
    ["route", filtered(network.get("route"), isOurText)],
    ["neighbour", filtered(network.get("neighbour"), isOurText)],
    ["rule", filtered(network.get("rule"), isOurText)],
    ["nft", filtered(network.get("nft"), (t) => / (hd|heddle)/.test(t))],
    [
      "process",
      new Set([
        ...markedProcesses(lab.id).map((p) => `${p.pid} (${p.role}: ${p.command.slice(0, 60)})`),
        ...strangersIn(lab.inodes),
      ]),
    ],
    ["socket", new Set(unixSockets(lab))],
    ["file", new Set([...SYSTEM_DIRS.flatMap(listDir), ...(existsSync(lab.dir) ? [lab.dir] : [])])],
    ["mount", new Set(mounts(lab))],
    ["sysctl", new Set(SYSCTLS.map(sysctl).filter((s) => s !== ""))],
  ]);
}
