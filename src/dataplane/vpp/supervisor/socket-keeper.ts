import { mkdirSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { type BackoffOptions, backoffDelay } from "../../../base/backoff/backoff.ts";
import { type Clock, type Duration, millis, seconds, sleep } from "../../../base/clock/clock.ts";
import { HeddleError, toError } from "../../../base/errors/errors.ts";
import { packageFile } from "../../../base/files/package-file.ts";
import { Tasks } from "../../../base/tasks/tasks.ts";
import { checkSocket } from "./checks.ts";
import { findDetached, startDetached } from "./detached.ts";
import { isAlive, type ProcessIdentity, signalProcess } from "./identity.ts";

export interface KeeperPaths {
  readonly socket: string;
  /** Which process it is, for an agent that comes back. */
  readonly pid: string;
  /** What it writes to its standard output and error. */
  readonly output: string;
}

/** The keeper's files in VPP's runtime directory. They stay when VPP is started anew. */
export function keeperPaths(runtimeDir: string): KeeperPaths {
  const at = (name: string) => join(runtimeDir, name);
  return { socket: at("sockets.sock"), pid: at("sockets.pid"), output: at("sockets.out") };
}

/** The keeper's executable; undefined if it was not built. */
export const keeperProgram = (): string | undefined => packageFile("build/heddle-vpp-sockets");

export interface SocketKeeperOptions {
  readonly program: string;
  readonly runtimeDir: string;
  readonly clock: Clock;
  /** Hears why it is started again. */
  readonly onError?: (error: Error, what: string) => void;
}

/** Another process that ends when it is told to, or when nobody is connected to it any more. */
const WHAT = "the keeper of VPP's packet sockets";
/** It listens as soon as it runs. */
const CONNECT_WITHIN = seconds(2);
const CONNECT_EVERY = millis(5);
/** From SIGTERM to SIGKILL. It closes what VPP has left, 24 sockets at a time. */
const GRACE = seconds(10);
const LOOK_EVERY = millis(10);
const BACKOFF: BackoffOptions = { first: millis(50), max: seconds(10) };
/** A life longer than this was a good one. */
const STABLE_MS = 60_000;

/**
 * Keeps one process running that keeps VPP's packet sockets (native/vpp/keeper): starts it, or takes over the one that an
 * earlier agent left running. VPP does without it while there is none.
 */
export class SocketKeeper implements AsyncDisposable {
  readonly paths: KeeperPaths;
  readonly #options: SocketKeeperOptions;
  readonly #tasks: Tasks;
  #connection: Socket | undefined;

  /** Throws `StartupConfError`. */
  constructor(options: SocketKeeperOptions) {
    this.#options = options;
    this.paths = keeperPaths(options.runtimeDir);
    checkSocket("runtimeDir", this.paths.socket);
    this.#tasks = new Tasks((error, task) => options.onError?.(error, task));
  }

  /** Resolves when it is there, or could not be had at first. Called once. */
  start(): Promise<void> {
    return new Promise((resolve) => this.#tasks.run(WHAT, (signal) => this.#keep(signal, resolve)));
  }

  /** Lets it go, and ends it unless it is to be kept for the next agent. Of one that was ended no file is left. Idempotent. */
  async close({ keep = false }: { readonly keep?: boolean } = {}): Promise<void> {
    const closing = this.#tasks.close();
    this.#connection?.destroy();
    await closing;
    if (!keep) await stopKeeper(this.paths, this.#options.clock);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #keep(signal: AbortSignal, tried: () => void): Promise<void> {
    const { clock, onError } = this.#options;
    for (let attempt = 0; ; attempt++) {
      const since = clock.now();
      try {
        const connection = await this.#begin(signal);
        tried();
        await ended(connection);
        signal.throwIfAborted();
        onError?.(new HeddleError("KEEPER_ENDED", `${WHAT} has hung up`), WHAT);
      } catch (e) {
        tried();
        signal.throwIfAborted();
        onError?.(toError(e), WHAT);
      }
      if (clock.now() - since > STABLE_MS) attempt = 0;
      await sleep(clock, backoffDelay(BACKOFF, attempt), signal);
    }
  }

  /** Connected to the one that is there, or to a new one. */
  async #begin(signal: AbortSignal): Promise<Socket> {
    const { program, runtimeDir, clock } = this.#options;
    const found = findDetached(this.paths.pid);
    if (found) {
      try {
        return await this.#connect(found, signal);
      } catch {
        signal.throwIfAborted();
        await end(found, "SIGKILL", clock);
      }
    }
    mkdirSync(runtimeDir, { recursive: true, mode: 0o755 });
    rmSync(this.paths.socket, { force: true });
    const { output, pid, socket } = this.paths;
    const { id } = await startDetached({ command: [program, socket], output, pid });
    return this.#connect(id, signal);
  }

  async #connect(id: ProcessIdentity, signal: AbortSignal): Promise<Socket> {
    const { clock } = this.#options;
    const until = clock.now() + CONNECT_WITHIN;
    for (;;) {
      signal.throwIfAborted();
      try {
        this.#connection = await connected(this.paths.socket);
        return this.#connection;
      } catch (cause) {
        if (!isAlive(id) || clock.now() >= until) {
          throw new HeddleError("NO_KEEPER", `${WHAT} does not listen at ${this.paths.socket}`, { cause });
        }
      }
      await sleep(clock, CONNECT_EVERY, signal);
    }
  }
}

/** Ends the keeper that an agent has started there, which closes what it has, and removes its files. */
export async function stopKeeper(paths: KeeperPaths, clock: Clock): Promise<void> {
  const id = findDetached(paths.pid);
  if (id) await end(id, "SIGTERM", clock, GRACE);
  for (const path of Object.values(paths)) rmSync(path, { force: true });
}

/** Signals it, with SIGKILL after `grace`, and resolves when it is gone. */
async function end(id: ProcessIdentity, signal: NodeJS.Signals, clock: Clock, grace?: Duration): Promise<void> {
  signalProcess(id, signal);
  const timer = grace === undefined ? undefined : clock.schedule(grace, () => signalProcess(id, "SIGKILL"));
  try {
    while (isAlive(id)) await sleep(clock, LOOK_EVERY);
  } finally {
    timer?.cancel();
  }
}

function connected(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.off("error", reject);
      resolve(socket);
    });
    socket.once("error", reject);
  });
}

/** It says nothing: all there is to hear is its end. */
function ended(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.destroyed) resolve();
    socket.on("error", () => undefined);
    socket.once("close", () => resolve());
    socket.resume();
  });
}
