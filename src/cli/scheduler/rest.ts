import { request } from "node:http";
import { fullMessage } from "../../base/errors/errors.ts";
import { CliExit, ExitCode } from "../output.ts";

/** Where an agent listens unless it is configured otherwise. */
export const AGENT_REST = "127.0.0.1:9191";

/** Where to find the agent whose scheduler is meant. */
export interface AgentOptions {
  /** URL, `HOST:PORT`, or the path of a Unix socket. */
  readonly agent: string;
  /** Of a lab: its state directory, and which of its nodes. */
  readonly state?: string;
  readonly node: string;
  /** Seconds. */
  readonly timeout: number;
}

export interface RestCall {
  readonly method: "GET" | "POST";
  /** With its query. */
  readonly path: string;
  readonly body?: string;
}

export interface RestReply {
  readonly status: number;
  readonly body: string;
}

/** Asks an agent. @throws CliExit when there is no answer, or none of success: with the agent's own words */
export async function callAgent(options: AgentOptions, call: RestCall): Promise<string> {
  const { status, body } = await (options.state === undefined
    ? callDirectly(options.agent, call, options.timeout)
    : callInLab(options.state, options, call));
  if (status === 200) return body;
  const usage = status === 400 || status === 413;
  throw new CliExit(usage ? ExitCode.USAGE : ExitCode.FAILED, errorOf(body) ?? `the agent answered ${status}`);
}

/** `{"error": "..."}` → its text. */
function errorOf(body: string): string | undefined {
  try {
    const { error } = JSON.parse(body) as { error?: unknown };
    return typeof error === "string" ? error : undefined;
  } catch {
    return undefined;
  }
}

/** One call, whatever the status of the answer. @throws CliExit when there is none */
export function callDirectly(agent: string, { method, path, body }: RestCall, timeout: number): Promise<RestReply> {
  const at = agent.startsWith("/")
    ? { socketPath: agent }
    : urlParts(agent.includes("://") ? agent : `http://${agent}`, agent);
  return new Promise((resolve, reject) => {
    const fail = (e: unknown): void => {
      reject(new CliExit(ExitCode.FAILED, `no answer from the agent at ${agent}: ${fullMessage(e)}`));
    };
    const req = request({ ...at, method, path, signal: AbortSignal.timeout(timeout * 1000) }, (res) => {
      const chunks: Buffer[] = [];
      res.on("data", (chunk: Buffer) => chunks.push(chunk));
      res.on("end", () => resolve({ status: res.statusCode ?? 0, body: Buffer.concat(chunks).toString() }));
      res.on("error", fail);
    });
    req.on("error", (e) => fail(e.name === "AbortError" ? new Error(`none within ${timeout} s`) : e));
    req.end(body);
  });
}

function urlParts(url: string, given: string): { readonly host: string; readonly port: string } {
  const parsed = URL.parse(url);
  if (parsed?.protocol !== "http:" || parsed.hostname === "") {
    throw new CliExit(ExitCode.USAGE, `--agent ${given}: a URL (http://HOST:PORT), HOST:PORT, or the path of a socket`);
  }
  return { host: parsed.hostname.replace(/^\[|\]$/g, ""), port: parsed.port === "" ? "80" : parsed.port };
}

/** The agent of a lab's node listens in the node's namespace: this program, run in there, makes the call. */
async function callInLab(dir: string, { node, timeout }: AgentOptions, call: RestCall): Promise<RestReply> {
  const [{ Lab }, { inNetns }, { exec }] = await Promise.all([
    import("../../lab/lab.ts"),
    import("../../lab/net/ip.ts"),
    import("../../lab/process/exec.ts"),
  ]);
  await using lab = Lab.open(dir);
  const self = [process.execPath, ...process.execArgv, process.argv[1] ?? ""];
  const words = ["scheduler", "call", call.method, call.path, "--agent", AGENT_REST, "--timeout", String(timeout)];
  const { nodes } = lab.state();
  const netns = nodes.find((n) => n.name === node)?.netns;
  if (netns === undefined) {
    throw new CliExit(ExitCode.USAGE, `no node ${node} in the lab: ${nodes.map((n) => n.name).join(", ")}`);
  }
  const { code, stdout, stderr } = await exec([...inNetns(netns), ...self, ...words], {
    stdin: call.body ?? "",
    timeoutMs: (timeout + 10) * 1000,
  });
  if (code !== 0) throw new CliExit(ExitCode.FAILED, stderr.trim().replace(/^heddlectl: /, ""));
  const end = stdout.indexOf("\n");
  return { status: Number(stdout.slice(0, end)), body: stdout.slice(end + 1) };
}
