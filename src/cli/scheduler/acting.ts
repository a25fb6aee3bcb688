import { readFile } from "node:fs/promises";
import { text as readAll } from "node:stream/consumers";
import { Command, Option } from "commander";
import { fullMessage } from "../../base/errors/errors.ts";
import type { RecordedTxn } from "../../kvscheduler/api/record.ts";
import { renderOps, renderTxn } from "../../kvscheduler/render.ts";
import { wholeNumber } from "../options.ts";
import { CliExit, ExitCode, print } from "../output.ts";
import { writeOut } from "./graph.ts";
import { agentCommand, pathOf, type QueryOptions, queryCommand } from "./options.ts";
import { type AgentOptions, callAgent, callDirectly, type RestCall } from "./rest.ts";

/** What the agent answers to a resync and to a plan. */
interface Outcome {
  readonly failed: Readonly<Record<string, string>>;
  readonly pending: readonly string[];
  /** Of a plan. */
  readonly invalid?: readonly { readonly key: string; readonly error: string }[];
  readonly record: RecordedTxn;
}

async function outcomeOf(options: QueryOptions, call: RestCall, text: (o: Outcome) => string): Promise<void> {
  const outcome = JSON.parse(await callAgent(options, call)) as Outcome;
  await print(outcome, options.output, text);
  const bad = Object.keys(outcome.failed).length + (outcome.invalid ?? []).length;
  if (bad > 0) throw new CliExit(ExitCode.FAILED, `${bad} of the values cannot be brought about`);
}

function resyncCommand(): Command {
  return queryCommand(new Command("resync"))
    .description("have the agent read its southbound again and repair what differs; returns when that is done")
    .option("--retry", "repeat what fails: after 1 s, doubling, 3 times")
    .option("--attempts <n>", "repeat so often; 0: without end", wholeNumber(0, 1000))
    .action((o: QueryOptions & { retry?: boolean; attempts?: number }) => {
      const { retry, attempts } = o;
      const call: RestCall = { method: "POST", path: pathOf("downstream-resync", { retry, attempts }) };
      return outcomeOf(o, call, ({ record }) => renderTxn(record));
    });
}

const PLAN_HELP = `
FILE is YAML or JSON, "-" is standard input:
  changes:
    - [KEY, VALUE]       VALUE as \`scheduler values -o yaml\` shows it
    - [KEY, null]        null deletes
  resync: full           optional: the changes are all there is (full, upstream), or none (downstream)
  mode: atomic           optional`;

function planCommand(): Command {
  return queryCommand(new Command("plan"))
    .description("what a change would do, in which order; nothing changes")
    .argument("<file>")
    .addHelpText("after", PLAN_HELP)
    .action(async (file: string, o: QueryOptions) => {
      const body = JSON.stringify(await readPlan(file));
      await outcomeOf(
        o,
        { method: "POST", path: pathOf("plan", {}), body },
        ({ record, pending, failed, invalid = [] }) =>
          [
            record.planned.length === 0 ? "nothing would be done" : renderOps(record.planned),
            ...invalid.map(({ key, error }) => `${key} is invalid: ${error}`),
            ...Object.entries(failed).map(([key, error]) => `${key} would fail: ${error}`),
            ...pending.map((key) => `${key} would wait`),
          ].join("\n"),
      );
    });
}

/** A list of pairs stands for `{changes: …}`. */
async function readPlan(file: string): Promise<unknown> {
  const { parse } = await import("yaml");
  try {
    const plan: unknown = parse(file === "-" ? await readAll(process.stdin) : await readFile(file, "utf8"));
    return Array.isArray(plan) ? { changes: plan as unknown[] } : plan;
  } catch (e) {
    throw new CliExit(ExitCode.USAGE, `${file}: ${fullMessage(e)}`);
  }
}

const SECTIONS = {
  stats: pathOf("stats", {}),
  history: pathOf("history", {}),
  status: pathOf("status", {}),
  northbound: pathOf("dump", { view: "northbound" }),
  cached: pathOf("dump", { view: "cached" }),
  southbound: pathOf("dump", { view: "southbound" }),
  graph: pathOf("graph", {}),
};

function reportCommand(): Command {
  return agentCommand(new Command("report"))
    .description("everything at once, for a bug report: statistics, history, states, the three views, the graph")
    .option("-o, --output <file>", "where to write it (standard output)")
    .action(async (o: AgentOptions & { readonly output?: string }) => {
      const parts: string[] = [];
      for (const [name, path] of Object.entries(SECTIONS)) {
        // What one route cannot answer must not cost the others' answers.
        const answer = await callAgent(o, { method: "GET", path }).catch((e: unknown) =>
          JSON.stringify({ error: fullMessage(e) }),
        );
        parts.push(`${JSON.stringify(name)}: ${answer.trim()}`);
      }
      await writeOut(o.output, `{\n${parts.join(",\n")}\n}\n`);
    });
}

/** What a lab's command runs inside a namespace: one request, its status and body on standard output. */
function callCommand(): Command {
  return new Command("call")
    .argument("<method>")
    .argument("<path>")
    .requiredOption("--agent <address>")
    .addOption(new Option("--timeout <seconds>").argParser(wholeNumber(1, 3600)).default(60))
    .action(async (method: string, path: string, o: { agent: string; timeout: number }) => {
      if (method !== "GET" && method !== "POST") throw new CliExit(ExitCode.USAGE, `${method} is no method`);
      const body = method === "POST" ? await readAll(process.stdin) : "";
      const reply = await callDirectly(o.agent, { method, path, body }, o.timeout);
      process.stdout.write(`${reply.status}\n${reply.body}`);
    });
}

/** Commands that ask for something, and the one that others need. */
export function addActingCommands(parent: Command): void {
  for (const command of [resyncCommand(), planCommand(), reportCommand()]) parent.addCommand(command);
  parent.addCommand(callCommand(), { hidden: true });
}
