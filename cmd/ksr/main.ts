import { existsSync } from "node:fs";
import { Command } from "commander";
import { systemClock } from "../../src/base/clock/clock.ts";
import { fullMessage } from "../../src/base/errors/errors.ts";
import { type KsrConfig, ksrConfigSchema } from "../../src/infra/config/ksr-config.ts";
import { ConfigError, loadConfig } from "../../src/infra/config/load.ts";
import { Lifecycle, StartError } from "../../src/infra/lifecycle/lifecycle.ts";
import { createLog } from "../../src/infra/log/log.ts";
import { show } from "./show.ts";
import { isUsageError, Ksr } from "./wiring.ts";

const DEFAULT_CONFIG = "/etc/heddle/ksr.yaml";

interface Options {
  readonly config?: string;
  readonly kubeconfig?: string;
  readonly manifests?: string;
  readonly set: readonly string[];
}

const program = new Command("heddle-ksr")
  .description("Heddle's Kubernetes State Reflector: keeps what agents use of the Kubernetes API in their store.")
  .option("--config <file>", `YAML configuration (${DEFAULT_CONFIG} if that exists)`)
  .option("--kubeconfig <file>", "how to reach the API; the pod's service account if absent")
  .option("--manifests <dir>", "reflect the YAML and JSON files of a directory in place of an API")
  .option("--set <key=value>", "override one key, as store.kind=embedded; may be repeated", collect, [])
  .addHelpText(
    "after",
    "\nExit codes: 0 as asked, 1 it did not hold, 2 wrong usage or configuration.\nEvery key: docs/guide/ksr-configuration.md",
  )
  .exitOverride((e) => process.exit(e.exitCode === 0 ? 0 : 2))
  .action(run);

program
  .command("show")
  .argument("[what]", "pod, pod/NAMESPACE, pod/NAMESPACE/NAME, or a whole key; everything if absent", "")
  .description("Print what the store of the configuration has, as JSON, an object a line.")
  .action((what: string, _: unknown, command: Command) => showStored(what, command.optsWithGlobals<Options>()));

await program.parseAsync();

async function run(options: Options): Promise<void> {
  const config = await readConfig(options);
  const log = createLog({ name: "heddle-ksr", level: config.log.level });
  const ksr = new Ksr(config, log);
  const lifecycle = new Lifecycle(ksr.components(), {
    clock: systemClock,
    onCloseError: (component, err) => log.error({ err, component }, "could not be closed cleanly"),
  });
  ksr.watchHealth(() => lifecycle.health());
  const ended = Promise.withResolvers<string>();
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => ended.resolve(signal));
  try {
    const start = lifecycle.start();
    await Promise.race([start, ended.promise]);
    start.catch(() => {}); // given up below, if it goes on
  } catch (e) {
    const cause = e instanceof StartError && e.cause ? e.cause : e;
    log.fatal({ err: e }, "cannot start");
    console.error(`heddle-ksr: ${fullMessage(cause)}`);
    process.exit(isUsageError(cause) ? 2 : 1);
  }
  try {
    log.info({ why: await Promise.race([ended.promise, ksr.failed]) }, "closing");
  } catch (e) {
    log.fatal({ err: e }, "a defect: it can't go on");
    process.exitCode = 1;
  }
  await lifecycle.close();
  process.exit();
}

async function showStored(what: string, options: Options): Promise<void> {
  try {
    await show(await readConfig(options), what, (line) => console.log(line));
  } catch (e) {
    console.error(`heddle-ksr: ${fullMessage(e)}`);
    process.exitCode = isUsageError(e) ? 2 : 1;
  }
}

async function readConfig({ config, kubeconfig, manifests, set }: Options): Promise<KsrConfig> {
  const file = config ?? (existsSync(DEFAULT_CONFIG) ? DEFAULT_CONFIG : undefined);
  const flags = Object.entries({ kubeconfig, manifests }).flatMap(([key, value]) =>
    value === undefined ? [] : [`${key}=${JSON.stringify(value)}`],
  );
  try {
    return await loadConfig(ksrConfigSchema, {
      env: process.env,
      set: [...set, ...flags],
      ...(file === undefined ? {} : { file }),
    });
  } catch (e) {
    if (!(e instanceof ConfigError)) throw e;
    console.error(`heddle-ksr: ${e.message}`);
    process.exit(2);
  }
}

function collect(value: string, previous: readonly string[]): readonly string[] {
  return [...previous, value];
}
