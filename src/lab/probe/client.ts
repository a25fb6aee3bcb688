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

/** What became of a connection that was kept. */
export interface KeepResult {
  /** Errno name, or what was wrong; undefined if its time was over, or the server closed it between two requests. */
  readonly error: string | undefined;
  /** The server's own address; empty if there was no connection. */
  readonly answeredBy: string;
  /** Answered. */
  readonly requests: number;
}

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
  readonly requests?: number;
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
   * One probe. `greet` is `tcp` without bytes that come back: for thousands of connections. That of SCTP comes to INIT ACK, by raw sockets, so that kernels without SCTP will do. Resolves in at most
   * `timeoutMs`; a failed probe is a result, not a rejection.
   */
  async probe(
    kind: "greet" | "icmp" | "sctp" | "tcp" | "udp",
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

  /** Has a namespace's servers close each TCP connection behind its next answer, as one does that is about to end. */
  async drain(netns: string): Promise<void> {
    await this.#askOk(["drain", netns]);
  }

  /**
   * One request after the other on one TCP connection, until `totalMs` are over (0: one request), or the server closes it
   * between two. Resolves when it has ended; a connection that failed is a result.
   */
  async keep(
    netns: string,
    address: string,
    options: { readonly port: number; readonly timeoutMs: number; readonly everyMs: number; readonly totalMs: number },
  ): Promise<KeepResult> {
    const { port, timeoutMs, everyMs, totalMs } = options;
    const {
      ok,
      error,
      answeredBy = "",
      requests = 0,
    } = await this.#ask([...["keep", netns, address, port, timeoutMs, everyMs, totalMs]]);
    return { error: ok ? undefined : (error ?? "unknown"), answeredBy, requests };
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
