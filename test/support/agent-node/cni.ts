import { dirname, join } from "node:path";
import { findExecutables } from "../../../src/lab/paths.ts";
import { runPlugin } from "../../unit/cni-binary/plugin.ts";

const plugin = findExecutables().cni;

export type CniCommand = "ADD" | "DEL" | "CHECK" | "STATUS" | "GC" | "VERSION";

/** A result as it is printed (CNI specification, section 5). */
export interface CniResult {
  readonly cniVersion: string;
  readonly interfaces: readonly {
    readonly name: string;
    readonly mac?: string;
    readonly mtu?: number;
    readonly sandbox?: string;
  }[];
  readonly ips: readonly {
    readonly address: string;
    readonly gateway?: string;
    readonly interface?: number;
    readonly version?: string;
  }[];
  readonly routes: readonly { readonly dst: string; readonly gw?: string }[];
  readonly dns?: Readonly<Record<string, unknown>>;
}

/** An error as it is printed. */
export interface CniFailure {
  readonly cniVersion: string;
  readonly code: number;
  readonly msg: string;
  readonly details: string;
}

/** What the plugin said; one of `result` and `error` is absent, both are when it printed nothing. */
export interface CniAnswer {
  readonly exitCode: number | null;
  readonly result: CniResult | undefined;
  readonly error: CniFailure | undefined;
  readonly stderr: string;
}

export interface CniCall {
  readonly command: CniCommand;
  readonly containerId?: string;
  readonly netns?: string;
  readonly ifname?: string;
  readonly args?: string;
  /** The configuration on standard input; text is written as it is. */
  readonly conf: Readonly<Record<string, unknown>> | string;
  readonly onStart?: (pid: number) => void;
}

/** Executes the built plugin exactly as a runtime does: CNI_* variables and nothing else, configuration on stdin. */
export async function callPlugin(call: CniCall): Promise<CniAnswer> {
  const variables = {
    CNI_COMMAND: call.command,
    CNI_CONTAINERID: call.containerId,
    CNI_NETNS: call.netns,
    CNI_IFNAME: call.ifname,
    CNI_ARGS: call.args,
    CNI_PATH: dirname(plugin),
  };
  const env = Object.fromEntries(Object.entries(variables).filter(([, v]) => v !== undefined)) as Record<
    string,
    string
  >;
  const stdin = typeof call.conf === "string" ? call.conf : JSON.stringify(call.conf);
  const { exitCode, stdout, stderr } = await runPlugin({
    env,
    stdin,
    ...(call.onStart ? { onStart: call.onStart } : {}),
  });
  const json = stdout.trim() === "" ? undefined : (JSON.parse(stdout) as unknown);
  return {
    exitCode,
    result: exitCode === 0 ? (json as CniResult | undefined) : undefined,
    error: exitCode === 0 ? undefined : (json as CniFailure | undefined),
    stderr,
  };
}

/** The result of a call that must have succeeded. @throws Error with the plugin's words. */
export function succeeded(answer: CniAnswer): CniResult {
  if (answer.exitCode === 0 && answer.result) return answer.result;
  throw new Error(`the plugin failed: ${JSON.stringify(answer.error ?? answer)}`);
}

/** Path of a named namespace as runtimes give it. */
export const netnsPath = (name: string): string => join("/run/netns", name);
