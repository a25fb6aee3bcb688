import { existsSync } from "node:fs";
import { Command } from "commander";
import { systemClock } from "../../src/base/clock/clock.ts";
import { fullMessage } from "../../src/base/errors/errors.ts";
import { armFaultPoint } from "../../src/base/faults/fault-point.ts";
import { armGate } from "../../src/base/faults/gate.ts";
import { type AgentConfig, agentConfigSchema } from "../../src/infra/config/agent-config.ts";
import { ConfigError, loadConfig } from "../../src/infra/config/load.ts";
import { Lifecycle, StartError } from "../../src/infra/lifecycle/lifecycle.ts";
import { createLog } from "../../src/infra/log/log.ts";
import { giveBack } from "./give-back.ts";
import { Agent, isUsageError } from "./wiring.ts";

const DEFAULT_CONFIG = "/etc/heddle/agent.yaml";

interface Options {
  readonly config?: string;
  readonly set: readonly string[];
}

armFaultPoint(process.env["HEDDLE_CRASH_AT"]);
armGate(process.env["HEDDLE_GATE"]);

const program = new Command("heddle-agent")
  .description(
    "Heddle's agent: one on each node of a cluster. It serves the CNI socket and keeps the dataplane as it should be.",
  )
  .option("--config <file>", `YAML configuration (${DEFAULT_CONFIG} if that exists, else defaults)`)
  .option("--set <key=value>", "override one key, as network.overlay=none; may be repeated", collect, [])
  .addHelpText(
    "after",
    "\nExit codes: 0 as asked, 1 it did not hold, 2 wrong usage or configuration.\nEvery key: docs/guide/configuration.md",
  )
  .exitOverride((e) => process.exit(e.exitCode === 0 ? 0 : 2));

program.command("run", { isDefault: true }).description("run until a signal ends it (the default)").action(run);
program
  .command("cleanup")
  .description(
    "take down everything that the agent has made on this node, and restore sysctls; pods lose their network",
  )
  .option("--leave", "also forget this node in the store: its ID and pod subnets may go to another")
  .action(cleanup);
program
  .command("give-back")
  .description(
    "end this node's VPP, if it runs, and give the kernel the node's links back: addresses, routes, settings. Pods keep their interfaces, and are connected again when an agent runs",
  )
  .action(giveLinksBack);

await program.parseAsync();

async function run(): Promise<void> {
  const config = await readConfig();
  const log = createLog({ name: "heddle-agent", level: config.log.level });
  const agent = createAgent(config, log);
  const lifecycle = new Lifecycle(agent.components(), {
    clock: systemClock,
    onCloseError: (component, err) => log.error({ err, component }, "could not be closed cleanly"),
  });
  agent.watchHealth(() => lifecycle.health());
  const ended = Promise.withResolvers<string>();
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => ended.resolve(signal));
  try {
    // A signal counts from the first moment, also while something is being waited for.
    const start = lifecycle.start();
    await Promise.race([start, ended.promise]);
    start.catch(() => {}); // given up below, if it goes on
  } catch (e) {
    fail(e instanceof StartError && e.cause ? e.cause : e, (text) => log.fatal({ err: e }, text));
  }
  const why = await ended.promise;
  log.info({ why }, "closing");
  await lifecycle.close();
  process.exit(0);
}

async function cleanup(options: { readonly leave?: boolean }): Promise<void> {
  const config = await readConfig();
  const log = createLog({ name: "heddle-agent", level: config.log.level });
  try {
    await createAgent(config, log).cleanup({ leave: options.leave ?? false });
    process.exit(0);
  } catch (e) {
    fail(e, (text) => log.fatal({ err: e }, text));
  }
}

async function giveLinksBack(): Promise<void> {
  const config = await readConfig();
  try {
    const { pid, links } = await giveBack(config);
    if (pid !== undefined) console.log(`VPP (${pid}) was ended`);
    for (const link of links) console.log(`${link} is the kernel's again`);
    if (links.length === 0) console.log("no link was taken");
    process.exit(0);
  } catch (e) {
    fail(e, () => undefined);
  }
}

function createAgent(...args: ConstructorParameters<typeof Agent>): Agent {
  try {
    return new Agent(...args);
  } catch (e) {
    if (!isUsageError(e)) throw e;
    console.error(`heddle-agent: ${fullMessage(e)}`);
    process.exit(2);
  }
}

async function readConfig(): Promise<AgentConfig> {
  const { config, set } = program.opts<Options>();
  const file = config ?? (existsSync(DEFAULT_CONFIG) ? DEFAULT_CONFIG : undefined);
  try {
    return await loadConfig(agentConfigSchema, { env: process.env, set, ...(file === undefined ? {} : { file }) });
  } catch (e) {
    if (!(e instanceof ConfigError)) throw e;
    console.error(`heddle-agent: ${e.message}`);
    process.exit(2);
  }
}

function fail(e: unknown, logFatal: (text: string) => void): never {
  logFatal("cannot start");
  console.error(`heddle-agent: ${fullMessage(e)}`);
  process.exit(isUsageError(e) ? 2 : 1);
}

function collect(value: string, previous: readonly string[]): readonly string[] {
  return [...previous, value];
}
