import { Command } from "commander";
import { captureCommand } from "../vpp/capture.ts";
import { cliCommand } from "../vpp/cli.ts";
import { showCommand } from "../vpp/show.ts";
import { traceCommand } from "../vpp/trace.ts";

/** `heddlectl vpp …`: a look into the VPP of this node, over its API socket; the agent is not asked. */
export function vppCommand(): Command {
  const vpp = new Command("vpp").description("look into this node's VPP: its CLI, packet traces, captures, sessions");
  for (const command of [cliCommand(), showCommand(), traceCommand(), captureCommand()]) vpp.addCommand(command);
  return vpp;
}
