import { Command } from "commander";
import { outputOption } from "../options.ts";
import { CliExit, ExitCode, type OutputFormat, print, type Rows } from "../output.ts";

/** `{a: {b: 1}}` → `a.b  1`: every leaf of the answer is a row, so a new field needs no change here. */
export function flatten(value: unknown, path = ""): [string, string][] {
  if (Array.isArray(value)) {
    if (value.every((v) => typeof v !== "object" || v === null)) return [[path, value.join(", ")]];
    return value.flatMap((v, i) => flatten(v, `${path}[${i}]`));
  }
  if (typeof value === "object" && value !== null) {
    return Object.entries(value).flatMap(([k, v]) => flatten(v, path === "" ? k : `${path}.${k}`));
  }
  return [[path, String(value)]];
}

async function fetchStatus(rest: string): Promise<unknown> {
  const url = new URL("/status", rest.includes("://") ? rest : `http://${rest}`);
  let response: Response;
  try {
    response = await fetch(url, { signal: AbortSignal.timeout(5000) });
  } catch (e) {
    const cause = e instanceof Error && e.cause instanceof Error ? e.cause.message : String(e);
    throw new CliExit(ExitCode.FAILED, `no agent answers at ${url.origin}: ${cause}`);
  }
  if (!response.ok) throw new CliExit(ExitCode.FAILED, `${url.href} answered ${response.status}`);
  return response.json();
}

async function labNodeStatus(dir: string, node: string): Promise<unknown> {
  const { Lab } = await import("../../lab/lab.ts");
  await using lab = Lab.open(dir);
  return await lab.agentStatus(node);
}

export function statusCommand(): Command {
  return new Command("status")
    .description("what an agent says about itself: dataplane, store, node, health")
    .option("--rest <url>", "the agent's REST address", "http://127.0.0.1:9191")
    .option("--state <dir>", "of a lab: ask the agent of the node that --node names")
    .option("--node <name>", "with --state: which node of the lab", "n1")
    .addOption(outputOption())
    .action(async (options: { rest: string; state?: string; node: string; output: OutputFormat }) => {
      const status =
        options.state === undefined
          ? await fetchStatus(options.rest)
          : await labNodeStatus(options.state, options.node);
      await print(status, options.output, (data): Rows => flatten(data));
    });
}
