import { join } from "node:path";
import { findVppInstallation } from "../../../src/dataplane/vpp/installation.ts";
import type { Snapshot } from "../../../src/lab/demo/snapshot.ts";
import { runningVpp } from "../../../src/lab/node/vpp.ts";
import { type NodePaths, which } from "../../../src/lab/paths.ts";
import { stopProcesses } from "../../../src/lab/process/daemon.ts";
import { execOk } from "../../../src/lab/process/exec.ts";

/** What a command shows, and what of it tells one thing from another: without numbers, which are given out anew. */
const SHOWN: readonly (readonly [kind: string, command: string, thing: RegExp])[] = [
  ["interface", "show interface", /^(\S+) +\d+ +(?:up|down)/gm],
  ["route", "show ip fib", /^([0-9.]+\/\d+)/gm],
  ["route", "show ip6 fib", /^([0-9a-f:]+\/\d+)/gm],
  // Those that VPP was told; others it asks for, and forgets.
  ["neighbour", "show ip neighbors", / ([0-9a-f.:]+) +S.*? [0-9a-f:]{17} +\S+/gm],
  ["list", "show acl-plugin acl", /tag \{(.*)\}/gm],
  ["translation", "show cnat translation", /^\[\d+\] (.*)/gm],
  ["policer", "show policer", /Name "(.*?)"/gm],
];

/** The VPP that a node's agent runs: it outlives the agent. */
export class NodeVpp {
  readonly #node: NodePaths;
  /** Beginnings of addresses that come and go. */
  readonly #passing: readonly string[];

  constructor(node: NodePaths, passing: readonly string[]) {
    this.#node = node;
    this.#passing = passing;
  }

  get pid(): number | undefined {
    return runningVpp(this.#node)?.pid;
  }

  /** Sends it the signal and does not wait. An agent that runs starts another. */
  kill(signal: "SIGKILL"): void {
    const { pid } = this;
    if (pid !== undefined) process.kill(pid, signal);
  }

  /** Ends it, if there is one, and waits until it is gone. */
  async end(): Promise<void> {
    const id = runningVpp(this.#node);
    if (id) await stopProcesses([id], { kill: true });
  }

  /** Runs a command of its CLI and returns what it printed. */
  ctl(command: string): Promise<string> {
    const { binary } = findVppInstallation(undefined);
    return execOk([which(join(binary, "..", "vppctl")) ?? "vppctl", "-s", this.#node.vpp.cli, ...command.split(" ")]);
  }

  /** What pods leave traces in. */
  async snapshot(): Promise<Snapshot> {
    const things = new Map<string, Set<string>>();
    for (const [kind, command, thing] of SHOWN) {
      const found = [...(await this.ctl(command)).matchAll(thing)].map(([, name = ""]) => name);
      const name = `${kind} in VPP`;
      const known = things.get(name) ?? new Set();
      for (const one of found) if (!this.#passing.some((ip) => one.startsWith(ip))) known.add(one);
      things.set(name, known);
    }
    return things;
  }
}
