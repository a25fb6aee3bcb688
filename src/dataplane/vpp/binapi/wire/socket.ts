import { connect, type Socket } from "node:net";
import { toError } from "../../../../base/errors/errors.ts";
import { FrameReader, FrameWriter } from "./frame.ts";

/** Called synchronously from the socket. */
export interface WireHandlers {
  /** Something was read. */
  batchStart(): void;
  /** One whole message, at `reader.at` to `reader.until`. Throwing closes the socket with what was thrown. */
  message(reader: FrameReader): void;
  /** All messages of one read were handed over. */
  batchEnd(): void;
  /** The socket takes data again after it was {@link WireSocket.congested}. */
  drained(): void;
  /** Called once, whatever ended the connection. */
  closed(error: Error): void;
}

/** VPP's API socket as a sequence of messages in both directions. */
export class WireSocket {
  readonly writer: FrameWriter;
  readonly #socket: Socket;
  readonly #reader: FrameReader;
  #handlers: WireHandlers;
  #error: Error | undefined;
  #flushing = false;

  private constructor(socket: Socket, reader: FrameReader, handlers: WireHandlers) {
    this.#socket = socket;
    this.#reader = reader;
    this.#handlers = handlers;
    this.writer = new FrameWriter((bytes) => socket.write(bytes));
  }

  /**
   * Connects to a Unix socket. Rejects with the system's error (`ENOENT`, `ECONNREFUSED`), or with the signal's reason.
   */
  static open(path: string, handlers: WireHandlers, signal: AbortSignal): Promise<WireSocket> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(toError(signal.reason));
        return;
      }
      const reader = new FrameReader();
      // Reading into our own buffer saves one allocation and one copy per read.
      const onread = { buffer: () => reader.space(), callback: (n: number): boolean => wire.#read(n) };
      const socket: Socket = connect({ path, onread });
      const wire: WireSocket = new WireSocket(socket, reader, handlers);
      const abort = () => socket.destroy(toError(signal.reason));
      signal.addEventListener("abort", abort, { once: true });
      socket.once("connect", () => {
        signal.removeEventListener("abort", abort);
        socket.off("error", reject);
        wire.#listen();
        resolve(wire);
      });
      socket.once("error", reject);
      socket.once("close", () => signal.removeEventListener("abort", abort));
    });
  }

  /** Hands what comes from now on to `handlers`. Throws what ended the connection, if that happened meanwhile. */
  handover(handlers: WireHandlers): void {
    if (this.#error) throw this.#error;
    this.#handlers = handlers;
  }

  /** More is written than the kernel takes: hold further messages back until `drained`. */
  get congested(): boolean {
    return this.#socket.writableNeedDrain;
  }

  /** Sends what was written once the current job is done, so that requests made together go out together. */
  flushSoon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    queueMicrotask(() => {
      this.#flushing = false;
      if (!this.#error) this.writer.flush();
    });
  }

  /** Ends the connection; `handlers.closed` gets `error`. Idempotent. */
  close(error: Error): void {
    if (this.#error) return;
    this.#error = error;
    this.#socket.destroy();
    this.#handlers.closed(error);
  }

  #listen(): void {
    this.#socket.on("error", (e) => this.close(e));
    this.#socket.on("end", () => this.close(new Error("VPP closed the connection")));
    this.#socket.on("close", () => this.close(new Error("the connection ended")));
    this.#socket.on("drain", () => this.#handlers.drained());
  }

  /** Returns whether to go on reading. */
  #read(n: number): boolean {
    if (this.#error) return false;
    this.#reader.received(n);
    try {
      this.#handlers.batchStart();
      while (this.#reader.next()) {
        this.#handlers.message(this.#reader);
        if (this.#error) return false;
      }
      this.#handlers.batchEnd();
    } catch (e) {
      this.close(toError(e));
      return false;
    }
    return true;
  }
}
