import { connect } from "node:net";
import { type Command, Option } from "commander";
import { errnoOf } from "../../base/errors/errors.ts";
import type { VppClient } from "../../dataplane/vpp/binapi/index.ts";
import { wholeNumber } from "../options.ts";
import { CliExit, ExitCode } from "../output.ts";
import { AGENT_REST, callDirectly } from "../scheduler/rest.ts";

/** Where the agent has VPP listen. */
export const VPP_SOCKET = "/run/heddle/vpp/api.sock";

export interface VppOptions {
  readonly socket: string;
  readonly apiDir?: string;
  readonly timeout: number;
  readonly agent: string;
}

/** The options of every command that talks to a VPP. */
export function vppOptions(command: Command): Command {
  return command
    .addOption(new Option("--socket <path>", "VPP's API socket").env("HEDDLE_VPP_SOCKET").default(VPP_SOCKET))
    .addOption(
      new Option("--api-dir <dir>", "its *.api.json files; those of the VPP installed here if absent").env(
        "HEDDLE_VPP_API_DIR",
      ),
    )
    .addOption(
      new Option("--agent <address>", "the agent's REST, for the names of pods, if it runs").default(AGENT_REST),
    )
    .option("--timeout <seconds>", "how long to wait for an answer", wholeNumber(1, 3600), 10);
}

/** Connects, runs `body` and closes. Errors say what to look at. */
export async function withVpp<T>(options: VppOptions, body: (vpp: VppClient) => Promise<T>): Promise<T> {
  const { VppClient, seconds, isVppRefusal, findVppInstallation } = await load();
  await checkSocket(options.socket);
  const { socket, timeout } = options;
  const apiDirectory = options.apiDir ?? findVppInstallation(undefined).apiDirectory;
  const signal = AbortSignal.timeout(timeout * 1000);
  const client = await VppClient.open({ socket, apiDirectory, name: "heddlectl", timeout: seconds(timeout), signal });
  try {
    return await body(client);
  } catch (e) {
    if (isVppRefusal(e)) throw new CliExit(ExitCode.FAILED, e.message);
    throw e;
  } finally {
    await client.close();
  }
}

async function load() {
  const [binapi, { DiagnosisError }, { findVppInstallation }] = await Promise.all([
    import("../../dataplane/vpp/binapi/index.ts"),
    import("../../dataplane/vpp/diagnosis/errors.ts"),
    import("../../dataplane/vpp/installation.ts"),
  ]);
  const { VppClient, seconds, VppApiError, VppCliError } = binapi;
  const isVppRefusal = (e: unknown): e is Error =>
    e instanceof VppApiError || e instanceof VppCliError || e instanceof DiagnosisError;
  return { VppClient, seconds, isVppRefusal, findVppInstallation };
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "it does not exist; is VPP running, and is this its API socket? --socket names another one",
  ENOTSOCK: "it is no socket",
  ECONNREFUSED: "nobody listens; VPP has ended without removing it",
  EACCES: "permission denied; VPP's sockets are root's",
};

/** The client would try for ever; at a terminal the first failure is the answer. */
async function checkSocket(socket: string): Promise<void> {
  const error = await new Promise<Error | undefined>((resolve) => {
    const connection = connect(socket, () => {
      connection.destroy();
      resolve(undefined);
    });
    connection.once("error", resolve);
  });
  if (error === undefined) return;
  throw new CliExit(ExitCode.FAILED, `no VPP on ${socket}: ${REASONS[errnoOf(error) ?? ""] ?? error.message}`);
}

/** `namespace/name` of pods by their interfaces' names, from the agent; none if it does not answer: VPP may be all there is. */
export async function podNames({ agent }: VppOptions): Promise<ReadonlyMap<string, string>> {
  try {
    const { status, body } = await callDirectly(agent, { method: "GET", path: "/status" }, AGENT_PATIENCE);
    const { pods = [] } = status === 200 ? (JSON.parse(body) as AgentPods) : {};
    // A sandbox whose runtime told no pod has neither.
    return new Map(pods.flatMap(({ hostIf, namespace, name }) => (name ? [[hostIf, `${namespace}/${name}`]] : [])));
  } catch {
    return new Map(); // names are a convenience: whatever is wrong with the agent must not hide what is wrong with VPP
  }
}

/** Seconds. */
const AGENT_PATIENCE = 1;

interface AgentPods {
  readonly pods?: readonly { readonly hostIf: string; readonly namespace?: string; readonly name?: string }[];
}

/**
 * Runs `body` with a signal that aborts after `seconds` or at the first Ctrl-C, which here only means "enough": what
 * there is by then is kept. A second one ends the process as usual.
 */
export async function enough<T>(seconds: number, body: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const end = () => controller.abort();
  const timer = setTimeout(end, seconds * 1000);
  for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, end);
  try {
    return await body(controller.signal);
  } finally {
    clearTimeout(timer);
    for (const name of ["SIGINT", "SIGTERM"] as const) process.off(name, end);
  }
}
