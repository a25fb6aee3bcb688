import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { NETNS_DIR } from "../../src/lab/net/ip.ts";
import type { Invocation } from "./launcher.ts";
import { BENCH_NAMESPACE } from "./objects.ts";

/** Where Debian's containernetworking-plugins puts its programs. */
const STOCK_DIR = "/usr/lib/cni";

/** A sandbox of the benchmarks: a namespace and the identity under which plugins know it. */
export interface Sandbox {
  readonly netns: string;
  readonly containerId: string;
}

/** 64 hex digits, as container runtimes make them; a new one for each ADD, as they do. */
export const sandboxIn = (netns: string): Sandbox => ({ netns, containerId: randomBytes(32).toString("hex") });

/** A CNI plugin with its configuration, as a runtime has it. */
export interface Plugin {
  readonly name: string;
  readonly program: string;
  readonly config: Readonly<Record<string, unknown>>;
}

export function heddlePlugin(program: string, cniSocket: string): Plugin {
  const capabilities = { portMappings: true, bandwidth: true, ips: true, mac: true };
  return {
    name: "heddle",
    program,
    config: { cniVersion: "1.0.0", name: "heddle", type: "heddle", cniSocket, capabilities },
  };
}

/**
 * Debian's `bridge` with `host-local`: IPv4 only, the bridge as gateway, no masquerade. Undefined where they are not
 * installed. `dataDir` keeps host-local's records.
 */
export function bridgePlugin(dataDir: string): Plugin | undefined {
  if (!["bridge", "host-local"].every((name) => existsSync(`${STOCK_DIR}/${name}`))) return undefined;
  return {
    name: "bridge",
    program: `${STOCK_DIR}/bridge`,
    config: {
      // 1.0.0 is the newest that Debian 12's plugins speak.
      cniVersion: "1.0.0",
      name: "bench",
      type: "bridge",
      bridge: "hdbr0",
      isGateway: true,
      ipMasq: false,
      ipam: { type: "host-local", dataDir, ranges: [[{ subnet: "10.88.0.0/16" }]], routes: [{ dst: "0.0.0.0/0" }] },
    },
  };
}

/** What a runtime executes. `added` is ADD's result, which runtimes keep and give to DEL. */
export function invocation(
  plugin: Plugin,
  command: "ADD" | "DEL",
  sandbox: Sandbox,
  options: { readonly added?: string; readonly reach?: number } = {},
): Invocation {
  const prevResult = options.added === undefined ? {} : { prevResult: JSON.parse(options.added) as unknown };
  return {
    program: plugin.program,
    stdin: JSON.stringify({ ...plugin.config, ...prevResult }),
    env: {
      PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      CNI_COMMAND: command,
      CNI_CONTAINERID: sandbox.containerId,
      CNI_NETNS: `${NETNS_DIR}/${sandbox.netns}`,
      CNI_IFNAME: "eth0",
      CNI_PATH: STOCK_DIR,
      CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=${BENCH_NAMESPACE};K8S_POD_NAME=${sandbox.netns}`,
    },
    ...(options.reach === undefined ? {} : { reach: options.reach }),
  };
}
