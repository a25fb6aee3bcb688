import { Command } from "commander";
import type { ServiceExplanation, ServiceSummary } from "../../services/explain.ts";
import type { HostPortExplanation } from "../../services/host-ports.ts";
import type { Trace } from "../../services/trace.ts";
import { CliExit, ExitCode } from "../output.ts";
import { askAndPrint } from "../policy/ask.ts";
import { type QueryOptions, queryCommand } from "../scheduler/options.ts";

/** `heddlectl service …`: what a node makes of services, as its agent knows the cluster. */
export function serviceCommand(): Command {
  const service = new Command("service").description("where services are reached, and which endpoints clients get");
  for (const command of [listCommand(), explainCommand(), traceCommand()]) service.addCommand(command);
  return service;
}

function listCommand(): Command {
  return queryCommand(new Command("list"))
    .description("all services, how many of their endpoints are ready, and pods of the node with host ports")
    .action(async (o: QueryOptions) => {
      const { listText } = await import("../../services/text.ts");
      await askAndPrint<readonly ServiceSummary[]>(o, "/services/list", listText);
    });
}

const EXPLAIN_HELP = `
OF is NAMESPACE/SERVICE, SERVICE if only one namespace has it, or an address and port of a service: 10.96.0.1:443,
[fd00::1]:53/udp. pod/NAMESPACE/NAME, or an address and port of the node, is about host ports.`;

function explainCommand(): Command {
  return queryCommand(new Command("explain"))
    .description("which endpoints a service has: each in or out, and why")
    .argument("<of>")
    .addHelpText("after", EXPLAIN_HELP)
    .action(async (of: string, o: QueryOptions) => {
      const { explanationText } = await import("../../services/text.ts");
      const path = `/services/explain?${new URLSearchParams({ of }).toString()}`;
      await askAndPrint<HostPortExplanation | ServiceExplanation>(o, path, explanationText);
    });
}

const TRACE_HELP = `
FROM is an address: of a pod of the node, of the node itself, or any other. TO is ADDRESS:PORT or [IPV6]:PORT, with /udp or /sctp
behind it for these.
Exit codes: 0 the connection gets an endpoint, 1 it gets none, or is no matter of services, 2 there is no answer.`;

function traceCommand(): Command {
  return queryCommand(new Command("trace"))
    .description("what becomes of a connection that begins at the node, or comes to it")
    .argument("<from>")
    .argument("<to>")
    .addHelpText("after", TRACE_HELP)
    .action(async (from: string, to: string, o: QueryOptions) => {
      const { traceText } = await import("../../services/text.ts");
      const path = `/services/trace?${new URLSearchParams({ from, to }).toString()}`;
      const { outcome } = await askAndPrint<Trace>(o, path, traceText);
      if (outcome.verdict !== "balance") throw new CliExit(ExitCode.FAILED);
    });
}
