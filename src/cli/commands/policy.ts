import { Command } from "commander";
import type { PolicyAnswer } from "../../policy/answers.ts";
import type { PolicyCounters } from "../../policy/insight.ts";
import type { ShownPod } from "../../policy/show.ts";
import { CliExit, ExitCode } from "../output.ts";
import { askAndPrint } from "../policy/ask.ts";
import { lintCommand } from "../policy/lint.ts";
import { type QueryOptions, queryCommand } from "../scheduler/options.ts";

/** `heddlectl policy …`: what policies decide, and why, as an agent knows the cluster. */
export function policyCommand(): Command {
  const policy = new Command("policy").description("what policies allow and deny, and why; what is wrong with them");
  for (const command of [explainCommand(), showCommand(), lintCommand(), countersCommand()]) policy.addCommand(command);
  return policy;
}

const EXPLAIN_HELP = `
FROM and TO are NAMESPACE/POD, POD if only one namespace has it, or an address.
TRAFFIC is PORT/PROTOCOL (80/tcp, 53/udp, http/tcp; a port's name is that of the pod TO), a protocol alone for all its ports
(tcp, udp, sctp), or icmp.
Exit codes: 0 all of it is allowed, 1 not all of it, 2 there is no answer.`;

function explainCommand(): Command {
  return queryCommand(new Command("explain"))
    .description("whether one may reach another: by which policies and rules, at the source and at the destination")
    .argument("<from>")
    .argument("<to>")
    .argument("<traffic>")
    .addHelpText("after", EXPLAIN_HELP)
    .action(async (from: string, to: string, traffic: string, o: QueryOptions) => {
      const { answerText } = await import("../../policy/answer-text.ts");
      const path = `/policy/explain?${new URLSearchParams({ from, to, traffic }).toString()}`;
      const { allowed } = await askAndPrint<PolicyAnswer>(o, path, answerText);
      if (allowed !== true) throw new CliExit(allowed === false ? ExitCode.FAILED : ExitCode.USAGE);
    });
}

function showCommand(): Command {
  return queryCommand(new Command("show"))
    .description("a pod's policies: what isolates it, all rules in order, what is wrong with them")
    .argument("<pod>", "NAMESPACE/POD, or POD if only one namespace has it")
    .action(async (pod: string, o: QueryOptions) => {
      const { shownText } = await import("../../policy/show-text.ts");
      await askAndPrint<ShownPod>(o, `/policy/show?${new URLSearchParams({ pod }).toString()}`, shownText);
    });
}

function countersCommand(): Command {
  return queryCommand(new Command("counters"))
    .description("what the agent's node has judged, by policy and rule, and denied, by pod")
    .action(async (o: QueryOptions) => {
      const { countersText } = await import("../../policy/counters-text.ts");
      await askAndPrint<PolicyCounters>(o, "/policy/counters", countersText);
    });
}
