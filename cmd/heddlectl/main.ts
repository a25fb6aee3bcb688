import { runCli } from "../../src/cli/program.ts";

// The prober, or a pipe that nobody reads any more, must not keep a finished command alive; what had to be waited for
// has been waited for.
process.exitCode = await runCli(process.argv.slice(2));
process.stdout.on("error", () => process.exit());
process.stdout.write("", () => process.exit());
