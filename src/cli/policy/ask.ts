import { CliExit, ExitCode, print } from "../output.ts";
import { type QueryOptions } from "../scheduler/options.ts";
import { callAgent, type RestCall } from "../scheduler/rest.ts";

/**
 * What the agent answers. Of these commands exit code 1 is an answer (denied; something found), so whatever goes wrong is
 * {@link ExitCode.USAGE}.
 */
export async function askAgent<T>(options: QueryOptions, call: RestCall): Promise<T> {
  try {
    return JSON.parse(await callAgent(options, call)) as T;
  } catch (e) {
    if (e instanceof CliExit) throw new CliExit(ExitCode.USAGE, e.message);
    throw e;
  }
}

/** Asks, and prints: as JSON or YAML, or what `text` makes of it. */
export async function askAndPrint<T>(options: QueryOptions, path: string, text: (answer: T) => string): Promise<T> {
  const answer = await askAgent<T>(options, { method: "GET", path });
  await print(answer, options.output, text);
  return answer;
}
