import { Command, CommanderError } from "commander";
import { fullMessage } from "../base/errors/errors.ts";
import { CliExit, ExitCode } from "./output.ts";

export async function buildProgram(): Promise<Command> {
  const [
    { labCommand },
    { demoCommand },
    { statusCommand },
    { schedulerCommand },
    { policyCommand },
    { serviceCommand },
    { vppCommand },
  ] = await Promise.all([
    import("./commands/lab.ts"),
    import("./commands/demo.ts"),
    import("./commands/status.ts"),
    import("./commands/scheduler.ts"),
    import("./commands/policy.ts"),
    import("./commands/service.ts"),
    import("./commands/vpp.ts"),
  ]);
  const program = new Command("heddlectl")
    .description("Looks into Heddle's agents, and builds clusters in network namespaces to try it with.")
    .showHelpAfterError("(--help shows what there is)")
    .exitOverride();
  const commands = [
    statusCommand(),
    schedulerCommand(),
    policyCommand(),
    serviceCommand(),
    vppCommand(),
    labCommand(),
    demoCommand(),
  ];
  for (const command of commands) program.addCommand(command);
  const override = (c: Command): void => {
    c.exitOverride();
    for (const sub of c.commands) override(sub);
  };
  override(program);
  return program;
}

/** Runs the command line and returns the exit code; never rejects. */
export async function runCli(argv: readonly string[]): Promise<number> {
  try {
    const program = await buildProgram();
    await program.parseAsync([...argv], { from: "user" });
    return ExitCode.OK;
  } catch (e) {
    if (e instanceof CommanderError) return e.exitCode === 0 ? ExitCode.OK : ExitCode.USAGE; // it has been printed
    if (e instanceof CliExit) {
      if (e.message !== "") process.stderr.write(`heddlectl: ${e.message}\n`);
      return e.exitCode;
    }
    const { isUsage } = await import("../lab/errors.ts");
    process.stderr.write(`heddlectl: ${fullMessage(e)}\n`);
    return isUsage(e) ? ExitCode.USAGE : ExitCode.FAILED;
  }
}
