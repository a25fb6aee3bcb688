import { type ChildProcess, spawn } from "node:child_process";
import { ClosedError } from "../../base/errors/errors.ts";
import { LabError } from "../errors.ts";

/** The port on which the lab's servers answer TCP, UDP and SCTP. */
export const ECHO_PORT = 17007;

export type ProbeResult =
  | {
      readonly ok: true;
      /** Microseconds of the TCP handshake, or of the round trip; of SCTP, from INIT to INIT ACK. */
      readonly us: number;
      /** The client's address as the server saw it; not known for ICMP. */
      readonly seenAs?: string;
      /** The server's own address, which the client need not know; of TCP and UDP. */
      readonly answeredBy?: string;
    }
  | {
      readonly ok: false;
      /** Errno name, or what was wrong with the answer. */
      readonly error: string;
    };

export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
}

interface Answer {
  readonly id: number;
  readonly ok: boolean;
  readonly error?: string;
  readonly us?: number;
  readonly seenAs?: string;
  readonly answeredBy?: string;
  readonly status?: number;
  readonly body?: string;
}

/**
 * The prober (probe.cc): echo servers and probes in any namespace, from one child process that ends with this one.
 * `netns` is a name under /run/netns.
 */
export class Prober implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, (answer: Answer | Error) => void>();
  #nextId = 1;
  #partial = "";
  #gone: Error | undefined;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static start(executable: string): Promise<Prober> {
    const child = spawn(executable, [], { stdio: ["pipe", "pipe", "inherit"], detached: true });
    const prober = new Prober(child);
    return new Promise((resolve, reject) => {
      child.on("spawn", () => resolve(prober));
      child.on("error", (cause) => {
        const error = new LabError("CANNOT_RUN", `cannot run the prober ${executable}: npm run build makes it`, {
          cause,
        });
        prober.#end(error);
        reject(error);
      });
      child.on("close", (code, signal) =>
        prober.#end(new LabError("FAILED", `the prober ended (${signal ?? `status ${code}`})`)),
      );
      child.stdin?.on("error", () => {}); // "close" says what happened
      child.stdout?.setEncoding("utf8").on("data", (text: string) => prober.#read(text));
    });
  }

  #read(text: string): void {
    const lines = (this.#partial + text).split("\n");
    this.#partial = lines.pop() ?? "";
    for (const line of lines) {
      const answer = JSON.parse(line) as Answer;
      this.#waiting.get(answer.id)?.(answer);
      this.#waiting.delete(answer.id);
    }
  }

  #end(error: Error): void {
    this.#gone ??= error;
    for (const settle of this.#waiting.values()) settle(this.#gone);
    this.#waiting.clear();
  }

  #ask(words: readonly (string | number)[]): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.#gone) return reject(this.#gone);
      const id = this.#nextId++;
      this.#waiting.set(id, (a) => (a instanceof Error ? reject(a) : resolve(a)));
      this.#child.stdin?.write(`${[id, ...words].join(" ")}\n`);
    });
  }

  async #askOk(words: readonly (string | number)[]): Promise<Answer> {
    const answer = await this.#ask(words);
    if (!answer.ok) throw new LabError("FAILED", `prober: ${words.join(" ")}: ${answer.error}`);
    return answer;
  }

  /** TCP and UDP echo servers, and one that accepts SCTP, in a namespace, on all its addresses, until {@link unserve}. */
  async serve(netns: string, port = ECHO_PORT): Promise<void> {
    await this.#askOk(["serve", netns, port]);
  }

  /** Ends a namespace's servers; without this their sockets would keep a removed namespace alive. */
  async unserve(netns: string): Promise<void> {
    await this.#askOk(["close", netns]);
  }

  /**
   * One probe. That of SCTP comes to INIT ACK, by raw sockets, so that kernels without SCTP will do. Resolves in at most
   * `timeoutMs`; a failed probe is a result, not a rejection.
   */
  async probe(
    kind: "icmp" | "sctp" | "tcp" | "udp",
    netns: string,
    address: string,
    options: { readonly port?: number; readonly timeoutMs?: number; readonly sourcePort?: number } = {},
  ): Promise<ProbeResult> {
    const port = kind === "icmp" ? [] : [options.port ?? ECHO_PORT];
    const from = options.sourcePort === undefined || kind === "icmp" ? [] : [options.sourcePort];
    const a = await this.#ask([kind, netns, address, ...port, options.timeoutMs ?? 1000, ...from]);
    if (!a.ok) return { ok: false, error: a.error ?? "unknown" };
    const { us = 0, seenAs, answeredBy } = a;
    return {
      ...{ ok: true, us },
      ...(seenAs === undefined ? {} : { seenAs }),
      ...(answeredBy === undefined ? {} : { answeredBy }),
    };
  }

  /** GET of a plain-HTTP URL with a numeric host, from inside a namespace. Rejects if there is no answer. */
  async get(netns: string, url: string, timeoutMs = 2000): Promise<HttpAnswer> {
    const { hostname, port, pathname, search } = new URL(url);
    const address = hostname.replace(/^\[|\]$/g, "");
    const a = await this.#askOk(["http", netns, address, port === "" ? 80 : port, pathname + search, timeoutMs]);
    return { status: a.status ?? 0, body: a.body ?? "" };
  }

  /** Ends the process and every server in it. */
  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => this.#child.once("close", () => resolve()));
    this.#end(new ClosedError("the prober"));
    this.#child.stdin?.end();
    await ended;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
