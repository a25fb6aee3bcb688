import { Command } from "commander";
import { type VppOptions, vppOptions, withVpp } from "./client.ts";

/** `heddlectl vpp cli -- COMMAND`: VPP's own CLI, over its API. */
export function cliCommand(): Command {
  return vppOptions(new Command("cli"))
    .description("run a command of VPP's CLI and print what it says: vpp cli -- show version")
    .argument("<command...>")
    .action(async (words: string[], options: VppOptions) => {
      const text = await withVpp(options, (vpp) => vpp.cli(words.join(" ")));
      if (text !== "") process.stdout.write(text.endsWith("\n") ? text : `${text}\n`);
    });
}
