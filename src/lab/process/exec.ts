import { spawn } from "node:child_process";
import { LabError } from "../errors.ts";

export interface ExecOptions {
  /** Written to the command's standard input, which is then closed. Empty if absent. */
  readonly stdin?: string;
  /** Added to this process's environment; with `cleanEnv`, all there is. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cleanEnv?: boolean;
  /** Kills the command. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds until the command is killed; 60,000 if absent. */
  readonly timeoutMs?: number;
  readonly cwd?: string;
}

export interface ExecResult {
  /** Exit status; 128 + signal number is not used: a killed command has `null`. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command to its end and returns what it said, whatever its exit status. Rejects if it cannot be started. */
export function exec(argv: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
  const [file = "", ...args] = argv;
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, {
      stdio: ["pipe", "pipe", "pipe"],
      env: options.cleanEnv ? { ...options.env } : { ...process.env, ...options.env },
      timeout: options.timeoutMs ?? 60_000,
      killSignal: "SIGKILL",
      ...(options.signal ? { signal: options.signal } : {}),
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk));
    child.stdin.on("error", () => {}); // EPIPE: the command did not want its input, and its status says what that means
    child.stdin.end(options.stdin ?? "");
    child.on("error", (cause) =>
      reject(
        options.signal?.aborted
          ? options.signal.reason
          : new LabError("FAILED", `cannot run ${file}: ${cause.message}`, { cause }),
      ),
    );
    child.on("close", (code) =>
      resolve({ code, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() }),
    );
  });
}

/** {@link exec}, but rejects with the command's own words unless it exits with 0. Returns its standard output. */
export async function execOk(argv: readonly string[], options: ExecOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await exec(argv, options);
  if (code !== 0) {
    const how = code === null ? "was killed" : `exited with ${code}`;
    throw new LabError("FAILED", `${argv.join(" ").slice(0, 300)} ${how}: ${stderr.trim() || "no message"}`);
  }
  return stdout;
}
