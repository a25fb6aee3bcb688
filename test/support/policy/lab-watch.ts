import { readFileSync } from "node:fs";
import type { PolicyStatus } from "../../../src/policy/handler.ts";
import type { RestartLab } from "../restart-lab.ts";

/** Of a log, how many lines are told. */
const LAST = 12;
/** pino's number for warnings. */
const WARN = 40;

interface AgentState {
  readonly dataplane: { readonly name: string; readonly warnings: readonly string[]; readonly vppPid?: number };
  readonly policy: PolicyStatus;
  readonly health: Readonly<Record<string, string>>;
}

/** Watches the agents of a lab, and their VPPs: whether they are those that were there at first, and what they complain of. */
export class LabWatch {
  readonly #nodes: RestartLab;
  readonly #first: ReadonlyMap<string, string>;

  private constructor(nodes: RestartLab, first: ReadonlyMap<string, string>) {
    this.#nodes = nodes;
    this.#first = first;
  }

  /** From now on. */
  static from(nodes: RestartLab): LabWatch {
    return new LabWatch(nodes, processes(nodes));
  }

  /** Who has ended, or has been started again since, in words. */
  changes(): string[] {
    const now = processes(this.#nodes);
    return [...this.#first].flatMap(([node, before]) => {
      const after = now.get(node) ?? "gone";
      return after === before ? [] : [`${node} was ${before}, is ${after}`];
    });
  }

  /** What the agents say of themselves, for the message of a test that has failed. */
  async words(): Promise<string> {
    const { lab } = this.#nodes;
    const said = await Promise.all(lab.state().nodes.map(async ({ name }) => [name, ...(await this.#of(name))]));
    return [...this.changes(), ...said.map((lines) => lines.join("\n  "))].join("\n");
  }

  async #of(node: string): Promise<string[]> {
    const log = warnings(this.#nodes.lab.paths.node(node).log).slice(-LAST);
    try {
      const { dataplane, policy, health } = await this.#nodes.get<AgentState>(node, "/status");
      const { view, missing, isolatedPods, connections } = policy;
      const state = { ...dataplane, view, missing, isolatedPods, connections, warnings: policy.warnings, health };
      return [JSON.stringify(state), ...log];
    } catch (e) {
      return [`does not answer: ${String(e)}`, ...log];
    }
  }
}

/** By node. */
function processes({ lab }: RestartLab): Map<string, string> {
  return new Map(
    lab.status().nodes.map(({ name, agentPid, vppPid }) => [name, `agent ${agentPid}, VPP ${vppPid ?? "none"}`]),
  );
}

/** Lines of warnings and errors, as they are. */
function warnings(file: string): string[] {
  return readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => {
      try {
        return (JSON.parse(line) as { level: number }).level >= WARN;
      } catch {
        // Not the agent's own: what Node or VPP has to say when it ends.
        return line !== "";
      }
    });
}
