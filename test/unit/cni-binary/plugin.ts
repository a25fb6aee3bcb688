import { execFileSync, spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { errnoOf } from "../../../src/base/errors/errors.ts";

const root = fileURLToPath(new URL("../../../", import.meta.url));
/** HEDDLE_CNI_BINARY names another build for the same tests, such as one with sanitizers. */
const other = process.env["HEDDLE_CNI_BINARY"];
const pluginPath = other ?? join(root, "dist/bin/heddle");

/** Builds the executable unless that has been done. */
export function buildPlugin(): void {
  if (other !== undefined) return;
  execFileSync("sh", ["scripts/build-cni.sh"], { cwd: root, stdio: ["ignore", "ignore", "inherit"] });
}

export interface PluginRun {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly env: Readonly<Record<string, string>>;
  readonly stdin?: string | Buffer;
  /** Leaves standard input open after `stdin`; called once the pipe has taken all of it. */
  readonly keepOpen?: (pid: number) => void;
  readonly args?: readonly string[];
  /** Called once the process runs. */
  readonly onStart?: (pid: number) => void;
}

/** Executes the plugin with nothing but `env`, as a runtime does. */
export async function runPlugin({ env, stdin = "", keepOpen, args = [], onStart }: RunOptions): Promise<PluginRun> {
  const child = spawn(pluginPath, args, { env, stdio: "pipe" });
  const closed = Promise.withResolvers<PluginRun>();
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk));
  child.on("error", closed.reject);
  child.on("close", (exitCode) => {
    closed.resolve({ exitCode, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() });
  });
  // A plugin that needs no input may end before it has read it.
  child.stdin.on("error", (e) => {
    if (errnoOf(e) !== "EPIPE") closed.reject(e);
  });
  const pid = child.pid ?? 0;
  if (keepOpen === undefined) child.stdin.end(stdin);
  else child.stdin.write(stdin, () => keepOpen(pid));
  onStart?.(pid);
  return await closed.promise;
}

/** The keys of any JSON a plugin prints that tests look at. */
interface PluginOutput {
  readonly code?: number;
  readonly msg?: string;
  readonly details?: string;
}

/** The one line of JSON a plugin prints. */
export function output(run: PluginRun): PluginOutput {
  return JSON.parse(run.stdout);
}

/** What the plugin sent: the head as text, the body as bytes. */
export interface Received {
  readonly requestLine: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** Says what a connection gets once its request is whole. */
export type Behaviour = (socket: Socket, request: Received) => void;

/** An agent that does exactly what a test says, byte by byte; no HTTP library in between. */
export class FakeAgent {
  readonly received: Received[] = [];
  readonly socketPath: string;
  readonly #directory: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #onConnect: (socket: Socket) => void = () => undefined;

  private constructor(directory: string, behaviour: Behaviour) {
    this.#directory = directory;
    this.socketPath = join(directory, "cni.sock");
    this.#server = createServer((socket) => this.#serve(socket, behaviour));
  }

  static async listen(behaviour: Behaviour): Promise<FakeAgent> {
    const agent = new FakeAgent(await mkdtemp(join(tmpdir(), "hd-cni-")), behaviour);
    const listening = Promise.withResolvers<void>();
    agent.#server.listen(agent.socketPath, listening.resolve);
    await listening.promise;
    return agent;
  }

  /** What happens before anything is read. */
  onConnect(action: (socket: Socket) => void): void {
    this.#onConnect = action;
  }

  /** A configuration that leads to this agent. */
  config(more: object = {}): string {
    return JSON.stringify({ cniVersion: "1.0.0", name: "net", type: "heddle", cniSocket: this.socketPath, ...more });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    const closed = Promise.withResolvers<void>();
    this.#server.close(() => closed.resolve());
    await closed.promise;
    rmSync(this.#directory, { recursive: true, force: true });
  }

  #serve(socket: Socket, behaviour: Behaviour): void {
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    // The plugin going away in the middle is part of several tests.
    socket.on("error", () => socket.destroy());
    this.#onConnect(socket);
    let bytes: Buffer = Buffer.alloc(0);
    socket.on("data", (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk]);
      const request = parseRequest(bytes);
      if (request === undefined) return;
      this.received.push(request);
      behaviour(socket, request);
    });
  }
}

function parseRequest(bytes: Buffer): Received | undefined {
  const end = bytes.indexOf("\r\n\r\n");
  if (end < 0) return undefined;
  const [requestLine = "", ...lines] = bytes.toString("latin1", 0, end).split("\r\n");
  const headers = Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim()]),
  );
  const body = bytes.subarray(end + 4);
  return body.length < Number(headers["content-length"]) ? undefined : { requestLine, headers, body };
}

/** An answer as the agent writes it. */
export function httpAnswer(status: string, body: string, contentType = "application/json"): string {
  const length = Buffer.byteLength(body);
  return `HTTP/1.1 ${status}\r\nContent-Type: ${contentType}\r\nContent-Length: ${length}\r\nConnection: close\r\n\r\n${body}`;
}

export const answering =
  (status: string, body: string, contentType?: string): Behaviour =>
  (socket) => {
    socket.end(httpAnswer(status, body, contentType));
  };

/** The variables of an ADD. */
export const addEnv = {
  CNI_COMMAND: "ADD",
  CNI_CONTAINERID: "pod-1",
  CNI_NETNS: "/run/netns/blue",
  CNI_IFNAME: "eth0",
  CNI_PATH: "/opt/cni/bin",
} as const;
