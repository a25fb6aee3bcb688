import { readdirSync } from "node:fs";
import { errnoOf } from "../../base/errors/errors.ts";
import { type ExecOptions, exec, execOk } from "../process/exec.ts";

/** Where `ip netns` keeps its namespaces. */
export const NETNS_DIR = "/run/netns";

/** Names of the machine's named network namespaces, sorted. */
export function listNetns(): string[] {
  try {
    return readdirSync(NETNS_DIR).sort();
  } catch (e) {
    if (errnoOf(e) === "ENOENT") return []; // none was ever made
    throw e;
  }
}

/** Makes a namespace, with loopback up, as container runtimes do for a pod. */
export async function addNetns(name: string, options?: ExecOptions): Promise<void> {
  await execOk(["ip", "netns", "add", name], options);
  await execOk(["ip", "-n", name, "link", "set", "lo", "up"], options);
}

/** Removes a namespace; one that does not exist is fine. */
export async function deleteNetns(name: string): Promise<void> {
  if (!listNetns().includes(name)) return;
  try {
    await execOk(["ip", "netns", "del", name]);
  } catch (e) {
    if (listNetns().includes(name)) throw e; // else somebody else was faster
  }
}

/** Runs iproute2 commands (without the leading `ip`) in one process, in a namespace; stops at the first that fails. */
export async function ipBatch(netns: string, commands: readonly string[], options?: ExecOptions): Promise<void> {
  if (commands.length === 0) return;
  await execOk(["ip", "-n", netns, "-batch", "-"], { ...options, stdin: `${commands.join("\n")}\n` });
}

/** `ip -j …` in a namespace (the machine's own if undefined), parsed. An empty answer is an empty list. */
export async function ipJson(netns: string | undefined, args: readonly string[]): Promise<Record<string, unknown>[]> {
  const text = await execOk(["ip", ...(netns === undefined ? [] : ["-n", netns]), "-j", ...args]);
  return text.trim() === "" ? [] : (JSON.parse(text) as Record<string, unknown>[]);
}

/** Prefix of a command line that runs in a namespace. /proc/sys/net shows the namespace's own values there. */
export const inNetns = (netns: string): string[] => ["nsenter", `--net=${NETNS_DIR}/${netns}`, "--"];

/** Sets sysctls in a namespace. A key that this kernel does not have is left out if it ends in `?`. */
export async function setSysctls(netns: string, values: Readonly<Record<string, string>>): Promise<void> {
  const optional = Object.entries(values).filter(([k]) => k.endsWith("?"));
  const needed = Object.entries(values).filter(([k]) => !k.endsWith("?"));
  if (needed.length > 0) await execOk([...inNetns(netns), "sysctl", "-qw", ...needed.map(([k, v]) => `${k}=${v}`)]);
  if (optional.length > 0) {
    await exec([...inNetns(netns), "sysctl", "-eqw", ...optional.map(([k, v]) => `${k.slice(0, -1)}=${v}`)]);
  }
}
