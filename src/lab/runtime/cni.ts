import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { LabError } from "../errors.ts";
import { exec } from "../process/exec.ts";

/** A network's configuration list (CNI specification 1.1, section 1). */
export interface ConfList {
  readonly cniVersion: string;
  readonly name: string;
  readonly plugins: readonly PluginConf[];
}

export interface PluginConf {
  readonly type: string;
  readonly capabilities?: Readonly<Record<string, boolean>>;
  readonly [key: string]: unknown;
}

/** The parts of a result that the lab reads; the whole is passed on as it came. */
export interface CniResult {
  readonly ips?: readonly { readonly address: string }[];
  readonly interfaces?: readonly { readonly name: string; readonly mac?: string; readonly sandbox?: string }[];
  readonly [key: string]: unknown;
}

export type CniCommand = "ADD" | "DEL" | "CHECK";

export interface CniCall {
  readonly containerId: string;
  /** Path of the namespace; empty for a DEL whose namespace is gone. */
  readonly netns: string;
  readonly ifname: string;
  /** CNI_ARGS in order. */
  readonly args: readonly (readonly [string, string])[];
  /** What capabilities the caller wants to use; each plugin gets those that it declares. */
  readonly runtimeConfig?: Readonly<Record<string, unknown>>;
  readonly signal?: AbortSignal | undefined;
}

/** A plugin's error answer (CNI specification 1.1, section 5, "Error"), or its lack of one. */
export class CniError extends LabError {
  /** 0 when the plugin ended without an error object. */
  readonly cniCode: number;

  constructor(cniCode: number, message: string) {
    super("FAILED", message);
    this.cniCode = cniCode;
  }
}

export function readConfList(path: string): ConfList {
  return JSON.parse(readFileSync(path, "utf8")) as ConfList;
}

/**
 * The configuration for one plugin, as libcni makes it (specification, section 4, "Deriving execution configuration"):
 * the list's name and version put in, `capabilities` replaced by the `runtimeConfig` of those that are asked for.
 */
export function deriveConf(
  list: ConfList,
  plugin: PluginConf,
  runtimeConfig: Readonly<Record<string, unknown>> | undefined,
  prevResult: CniResult | undefined,
): Record<string, unknown> {
  const { capabilities = {}, ...rest } = plugin;
  const wanted = Object.entries(runtimeConfig ?? {}).filter(([name]) => capabilities[name] === true);
  return {
    ...rest,
    cniVersion: list.cniVersion,
    name: list.name,
    ...(wanted.length > 0 ? { runtimeConfig: Object.fromEntries(wanted) } : {}),
    ...(prevResult === undefined ? {} : { prevResult }),
  };
}

async function invoke(
  executable: string,
  command: CniCommand,
  conf: Record<string, unknown>,
  call: CniCall,
): Promise<CniResult | undefined> {
  const what = `${String(conf["type"])} ${command} ${call.containerId.slice(0, 12)}`;
  const { code, stdout, stderr } = await exec([executable], {
    // A runtime passes its own environment on; nothing of it is for the plugin but the PATH.
    cleanEnv: true,
    env: {
      PATH: process.env["PATH"] ?? "/usr/sbin:/usr/bin:/sbin:/bin",
      CNI_COMMAND: command,
      CNI_CONTAINERID: call.containerId,
      CNI_NETNS: call.netns,
      CNI_IFNAME: call.ifname,
      CNI_PATH: dirname(executable),
      CNI_ARGS: call.args.map(([k, v]) => `${k}=${v}`).join(";"),
    },
    stdin: JSON.stringify(conf),
    signal: call.signal,
    timeoutMs: 120_000,
  });
  let answer: Record<string, unknown> | undefined;
  try {
    answer = stdout.trim() === "" ? undefined : (JSON.parse(stdout) as Record<string, unknown>);
  } catch {
    throw new CniError(0, `${what}: the plugin's answer is not JSON: ${stdout.slice(0, 200)}`);
  }
  if (code === 0) return answer;
  const text = [answer?.["msg"], answer?.["details"]].filter((t) => typeof t === "string" && t !== "").join(": ");
  throw new CniError(Number(answer?.["code"] ?? 0), `${what}: ${text || stderr.trim() || `ended with status ${code}`}`);
}

/** Plugins are executables in the plugin's directory. */
const executableOf = (cniBin: string, plugin: PluginConf): string => join(dirname(cniBin), plugin.type);

/** Runs ADD through the list, each plugin seeing the one before's result. */
export async function cniAdd(cniBin: string, list: ConfList, call: CniCall): Promise<CniResult> {
  let result: CniResult | undefined;
  for (const plugin of list.plugins) {
    const conf = deriveConf(list, plugin, call.runtimeConfig, result);
    result = (await invoke(executableOf(cniBin, plugin), "ADD", conf, call)) ?? result;
  }
  if (!result) throw new CniError(0, `ADD ${call.containerId.slice(0, 12)} answered nothing`);
  return result;
}

/** Runs CHECK through the list with the result that ADD gave. */
export async function cniCheck(cniBin: string, list: ConfList, call: CniCall, added: CniResult): Promise<void> {
  for (const plugin of list.plugins) {
    await invoke(executableOf(cniBin, plugin), "CHECK", deriveConf(list, plugin, call.runtimeConfig, added), call);
  }
}

/** Runs DEL through the list backwards, with ADD's result if it is known. */
export async function cniDel(
  cniBin: string,
  list: ConfList,
  call: CniCall,
  added: CniResult | undefined,
): Promise<void> {
  for (const plugin of [...list.plugins].reverse()) {
    await invoke(executableOf(cniBin, plugin), "DEL", deriveConf(list, plugin, call.runtimeConfig, added), call);
  }
}

/** The addresses of a result, without prefix length, IPv4 first. */
export function resultIps(result: CniResult): string[] {
  const plain = (result.ips ?? []).map((ip) => ip.address.split("/")[0] ?? "");
  return [...plain.filter((a) => !a.includes(":")), ...plain.filter((a) => a.includes(":"))];
}
