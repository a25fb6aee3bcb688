import { inNetns } from "../../src/lab/net/ip.ts";
import { ECHO_PORT, type Prober } from "../../src/lab/probe/client.ts";
import { exec } from "../../src/lab/process/exec.ts";
import type { Execution, Launcher } from "./launcher.ts";
import { invocation, type Plugin, type Sandbox, sandboxIn } from "./plugins.ts";

/** A pod that a plugin has wired. */
export interface WiredPod {
  readonly sandbox: Sandbox;
  /** ADD's answer as it came. */
  readonly added: string;
  /** The node's end; empty when ADD did not say. */
  readonly hostIf: string;
  readonly ips: readonly string[];
}

/** ADD and DEL on one node through one plugin, each checked. What went wrong is collected in `wrong`. */
export class Wiring {
  readonly plugin: Plugin;
  readonly wrong: string[] = [];
  readonly #launcher: Launcher;

  constructor(launcher: Launcher, plugin: Plugin) {
    this.#launcher = launcher;
    this.plugin = plugin;
  }

  /** ADDs started at once. Each pod is connected to, on all its addresses, as soon as the last has answered. */
  async add(netns: readonly string[]): Promise<{ pods: WiredPod[]; executions: Execution[] }> {
    const sandboxes = netns.map(sandboxIn);
    const calls = sandboxes.map((s) => invocation(this.plugin, "ADD", s, { reach: ECHO_PORT }));
    const executions = await this.#launcher.burst(calls);
    const pods: WiredPod[] = [];
    for (const [i, sandbox] of sandboxes.entries()) {
      const execution = executions[i];
      if (!execution) continue;
      const { status, output, reached } = execution;
      const problem = (what: string) => this.wrong.push(`${this.plugin.name}: ${what}`);
      if (status !== 0) problem(`ADD: ${output || `status ${status}`}`);
      for (const [address, result] of reached) {
        if (typeof result === "string") problem(`${address} right after its ADD: ${result}`);
      }
      if (status === 0) pods.push(wiredPod(sandbox, output));
    }
    return { pods, executions };
  }

  /** DELs started at once. */
  async delete(pods: readonly WiredPod[]): Promise<Execution[]> {
    const calls = pods.map(({ sandbox, added }) => invocation(this.plugin, "DEL", sandbox, { added }));
    const executions = await this.#launcher.burst(calls);
    for (const e of executions) {
      if (e.status !== 0) this.wrong.push(`${this.plugin.name} DEL: ${e.output || `status ${e.status}`}`);
    }
    return executions;
  }
}

function wiredPod(sandbox: Sandbox, added: string): WiredPod {
  const result = JSON.parse(added) as {
    ips?: readonly { address: string }[];
    interfaces?: readonly { name: string; sandbox?: string }[];
  };
  return {
    sandbox,
    added,
    hostIf: result.interfaces?.find((i) => !i.sandbox && i.name.startsWith("hd"))?.name ?? "",
    ips: (result.ips ?? []).map((ip) => ip.address.split("/")[0] ?? ""),
  };
}

/** What is left of pods after their DEL has answered: links, routes, neighbours, nft elements, or an answer. */
export async function leftovers(node: string, pods: readonly WiredPod[], prober: Prober): Promise<string[]> {
  const run = async (args: readonly string[], stdin = "") =>
    (await exec([...inNetns(node), ...args], { stdin })).stdout;
  const [ip, nft] = await Promise.all([
    run(["ip", "-batch", "-"], "link show\nroute show table all\nneigh show nud all\n"),
    run(["nft", "list", "ruleset"]),
  ]);
  const ip6 = await run(["ip", "-6", "route", "show", "table", "all"]);
  const words = new Set(`${ip}\n${ip6}\n${nft}`.split(/[\s{},@]+/));
  const found: string[] = [];
  for (const { hostIf, ips } of pods) {
    for (const name of [hostIf, ...ips]) {
      if (name !== "" && words.has(name)) found.push(`${name} is left after its DEL`);
    }
    for (const address of ips) {
      const answer = await prober.probe("tcp", node, address, { timeoutMs: 200 });
      if (answer.ok || answer.error === "ECONNREFUSED") found.push(`${address} answers after its DEL`);
    }
  }
  return found;
}
