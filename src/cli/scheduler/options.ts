import { type Command, Option } from "commander";
import { outputOption, wholeNumber } from "../options.ts";
import type { OutputFormat } from "../output.ts";
import { AGENT_REST, type AgentOptions } from "./rest.ts";

/** The options that every command has: which agent, and how long to wait for it. */
export function agentCommand(command: Command): Command {
  return command
    .addOption(
      new Option("--agent <address>", "the agent's REST: URL, HOST:PORT, or a socket's path").default(AGENT_REST),
    )
    .option("--state <dir>", "of a lab: ask the agent of the node that --node names")
    .option("--node <name>", "with --state: which node of the lab", "n1")
    .option("--timeout <seconds>", "how long to wait for an answer", wholeNumber(1, 3600), 60);
}

/** {@link agentCommand}, and how to print. */
export function queryCommand(command: Command): Command {
  return agentCommand(command).addOption(outputOption());
}

export interface QueryOptions extends AgentOptions {
  readonly output: OutputFormat;
}

/** Which values. */
export function filterOptions(command: Command): Command {
  return command
    .option("--prefix <key>", "keys that begin so")
    .option("--descriptor <name>", "of this descriptor")
    .option("--in-state <states>", "in this state: PENDING, or FAILED,RETRYING");
}

export interface FilterOptions {
  readonly prefix?: string;
  readonly descriptor?: string;
  readonly inState?: string;
}

/** The query of a path; what is undefined or false is left out. */
export function pathOf(route: string, query: Readonly<Record<string, string | number | boolean | undefined>>): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== false) params.set(name, String(value));
  }
  const text = params.toString();
  return `/scheduler/${route}${text === "" ? "" : `?${text}`}`;
}

export function filterQuery({ prefix, descriptor, inState }: FilterOptions): Record<string, string | undefined> {
  return { prefix, descriptor, state: inState };
}
