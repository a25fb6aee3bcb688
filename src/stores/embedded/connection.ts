import { connect, type Socket } from "node:net";
import { type Clock, type Duration, type Timer } from "../../base/clock/clock.ts";
import { toError } from "../../base/errors/errors.ts";
import { StoreError } from "../api/store.ts";
import { encodeFrame, FrameDecoder, FrameError } from "./frames.ts";
import type { Request, RequestWithoutId, Response, Results } from "./protocol.ts";

export interface ConnectionOptions {
  readonly socketPath: string;
  readonly clock: Clock;
  readonly dialTimeout: Duration;
  /** How often the server is asked for a sign of life. */
  readonly heartbeat: Duration;
  /** How long it may take to give one; then the connection is ended. */
  readonly heartbeatTimeout: Duration;
  /** After each answered heartbeat. */
  readonly onAlive: () => void;
}

interface Pending {
  readonly onPart: ((response: Response) => void) | undefined;
  readonly resolve: (result: never) => void;
  readonly reject: (error: Error) => void;
}

/** One connection to a served embedded store, on the client's side. */
export class Connection {
  readonly #options: ConnectionOptions;
  readonly #socket: Socket;
  readonly #pending = new Map<number, Pending>();
  /** Resolves with what ended the connection. */
  readonly closed: Promise<Error>;
  #nextId = 1;
  #error: Error | undefined;
  #timer: Timer | undefined;

  private constructor(options: ConnectionOptions, socket: Socket) {
    this.#options = options;
    this.#socket = socket;
    const { promise, resolve } = Promise.withResolvers<Error>();
    this.closed = promise;
    socket.on("error", (e) => (this.#error ??= e));
    socket.on("close", () => {
      this.#timer?.cancel();
      const cause = this.#error ?? new Error("the server closed the connection");
      const error = unavailable(options.socketPath, cause);
      this.#error = error;
      for (const { reject } of this.#pending.values()) reject(error);
      this.#pending.clear();
      resolve(error);
    });
  }

  /** @throws StoreError `UNAVAILABLE` */
  static open(options: ConnectionOptions, signal: AbortSignal): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const socket = connect(options.socketPath);
      const connection = new Connection(options, socket);
      const timer = options.clock.schedule(options.dialTimeout, () =>
        connection.destroy(new Error("no connection in time")),
      );
      const onAbort = () => connection.destroy(toError(signal.reason));
      signal.addEventListener("abort", onAbort, { once: true });
      void connection.closed.then((error) => {
        timer.cancel();
        signal.removeEventListener("abort", onAbort);
        reject(error);
      });
      socket.once("connect", () => {
        timer.cancel();
        connection.#listen();
        connection.#scheduleHeartbeat();
        resolve(connection);
      });
      if (signal.aborted) onAbort();
    });
  }

  get open(): boolean {
    return this.#error === undefined && !this.#socket.destroyed;
  }

  /**
   * Rejects with the server's answer, or `UNAVAILABLE` when the connection ends. `onPart` gets what comes before the
   * result. `cancelled` lets go of the answer.
   */
  request<Op extends Request["op"]>(
    request: RequestWithoutId & { readonly op: Op },
    options: { readonly onPart?: (response: Response) => void; readonly cancelled?: AbortSignal } = {},
  ): Promise<Results[Op]> {
    return new Promise<Results[Op]>((resolve, reject) => {
      if (!this.open) throw this.#error ?? unavailable(this.#options.socketPath, new Error("closed"));
      const id = this.#nextId++;
      const { cancelled } = options;
      const onCancel = () => {
        this.#pending.delete(id);
        if (request.op === "watch") void this.request({ op: "unwatch", watch: id }).catch(() => undefined);
        reject(cancelled?.reason);
      };
      const ended = () => cancelled?.removeEventListener("abort", onCancel);
      cancelled?.addEventListener("abort", onCancel, { once: true });
      this.#pending.set(id, {
        onPart: options.onPart,
        resolve: (result) => {
          ended();
          resolve(result);
        },
        reject: (e) => {
          ended();
          reject(e);
        },
      });
      this.#socket.write(encodeFrame({ ...request, id }));
    });
  }

  destroy(error: Error): void {
    this.#error ??= error;
    this.#socket.destroy();
  }

  #listen(): void {
    const decoder = new FrameDecoder();
    this.#socket.on("data", (chunk: Buffer) => {
      try {
        for (const message of decoder.push(chunk)) this.#receive(message as Response);
      } catch (e) {
        this.destroy(toError(e));
      }
    });
  }

  #receive(response: Response): void {
    if (typeof response?.id !== "number") throw new FrameError("not a response");
    const pending = this.#pending.get(response.id);
    if (!pending) return; // cancelled
    if (response.kind === "done") {
      this.#pending.delete(response.id);
      pending.resolve(response.result as never);
    } else if (response.kind === "failed") {
      this.#pending.delete(response.id);
      pending.reject(new StoreError(response.code, response.message));
    } else {
      pending.onPart?.(response);
    }
  }

  #scheduleHeartbeat(): void {
    const { clock, heartbeat, heartbeatTimeout, onAlive } = this.#options;
    this.#timer = clock.schedule(heartbeat, () => {
      this.#timer = clock.schedule(heartbeatTimeout, () => this.destroy(new Error("the server does not answer")));
      this.request({ op: "ping" }).then(
        () => {
          this.#timer?.cancel();
          onAlive();
          if (this.open) this.#scheduleHeartbeat();
        },
        (e: unknown) => this.destroy(toError(e)), // a store that can't answer a ping: start over
      );
    });
  }
}

function unavailable(socketPath: string, cause: Error): StoreError {
  return cause instanceof StoreError
    ? cause
    : new StoreError("UNAVAILABLE", `embedded store at ${socketPath}: ${cause.message}`, { cause });
}
