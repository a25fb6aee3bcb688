import { writeFile } from "node:fs/promises";
import { Command, Option } from "commander";
import { fullMessage } from "../../base/errors/errors.ts";
import { wholeNumber } from "../options.ts";
import { CliExit, ExitCode } from "../output.ts";
import { agentCommand, pathOf } from "./options.ts";
import { type AgentOptions, callAgent } from "./rest.ts";

interface GraphFlags extends AgentOptions {
  readonly format: string;
  readonly txn?: number;
  readonly onlyTouched?: boolean;
  readonly prefix?: string;
  readonly descriptor?: string;
  readonly neighbours?: string;
  readonly depth?: number;
  readonly limit?: number;
  readonly output?: string;
}

/** `heddlectl scheduler graph --txn 12 -o graph.svg` */
export function graphCommand(): Command {
  return agentCommand(new Command("graph"))
    .description("values and who needs whom, drawn; one transaction highlighted")
    .addOption(new Option("--format <format>", "what to write").choices(["svg", "dot", "json"]).default("svg"))
    .option("--txn <n>", "highlight what this transaction touched", wholeNumber(1, Number.MAX_SAFE_INTEGER))
    .option("--only-touched", "leave out what it did not touch")
    .option("--prefix <key>", "keys that begin so")
    .option("--descriptor <name>", "of this descriptor")
    .option("--neighbours <key>", "this key and what is near it")
    .option("--depth <n>", "how near: so many steps", wholeNumber(1, 100))
    .option("--limit <n>", "at most so many values", wholeNumber(1, 10_000))
    .option("-o, --output <file>", "where to write it (standard output)")
    .action(async (o: GraphFlags) => {
      const { format, txn, prefix, descriptor, neighbours, depth, limit } = o;
      const only = o.onlyTouched === true ? "touched" : undefined;
      const path = pathOf("graph", { format, txn, only, prefix, descriptor, neighbours, depth, limit });
      await writeOut(o.output, await callAgent(o, { method: "GET", path }));
    });
}

/** To a file, or to standard output. */
export async function writeOut(file: string | undefined, text: string): Promise<void> {
  if (file === undefined || file === "-") {
    process.stdout.write(text);
    return;
  }
  try {
    await writeFile(file, text);
  } catch (e) {
    throw new CliExit(ExitCode.FAILED, `cannot write ${file}: ${fullMessage(e)}`);
  }
}
