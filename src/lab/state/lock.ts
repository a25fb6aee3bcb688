import { createHash } from "node:crypto";
import { realpathSync } from "node:fs";
import { connect, createServer, type Server } from "node:net";
import { resolve } from "node:path";
import { errnoOf, toError } from "../../base/errors/errors.ts";
import { LabError } from "../errors.ts";

export interface LockOptions {
  /** Told who holds it, when it has to wait; not called if it is free. Throw to give up. */
  readonly onWait?: (holder: string) => void;
  readonly signal?: AbortSignal | undefined;
}

function nameOf(dir: string, scope: string): string {
  let real = resolve(dir);
  try {
    real = realpathSync(dir);
  } catch {
    // not there yet: the path as it will be
  }
  return `\0hd-lab-${scope}-${createHash("sha256").update(real).digest("hex").slice(0, 24)}`;
}

function tryListen(name: string, holder: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      socket.on("error", () => {}); // a waiter that went away
      socket.write(holder);
    });
    server.on("error", (e) => (errnoOf(e) === "EADDRINUSE" ? resolve(undefined) : reject(toError(e))));
    server.listen(name, () => {
      server.unref();
      resolve(server);
    });
  });
}

/** Resolves when the holder lets go (its end closes the connection), with what it says about itself given to `told`. */
function waitForHolder(name: string, told: (holder: string) => void, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(name);
    const abort = (): void => {
      socket.destroy();
      reject(signal?.reason);
    };
    signal?.addEventListener("abort", abort, { once: true });
    socket.on("data", (data) => {
      try {
        told(data.toString());
      } catch (e) {
        socket.destroy();
        reject(toError(e));
      }
    });
    socket.on("error", () => {}); // ECONNREFUSED: it was let go between our two tries; "close" follows
    socket.on("close", () => {
      signal?.removeEventListener("abort", abort);
      resolve();
    });
  });
}

export interface Lock extends AsyncDisposable {
  release(): Promise<void>;
}

/**
 * A lock between processes on one lab directory. It is a listening socket in the abstract namespace (unix(7)): the
 * kernel lets go of it when its holder dies, so none is ever stale, and there is no file to leave behind.
 */
export async function lock(dir: string, scope: string, options: LockOptions = {}): Promise<Lock> {
  const name = nameOf(dir, scope);
  const holder = `pid ${process.pid}`;
  for (;;) {
    options.signal?.throwIfAborted();
    const server = await tryListen(name, holder);
    if (server) {
      const sockets = new Set<{ destroy(): void }>();
      server.on("connection", (s) => {
        sockets.add(s);
        s.on("close", () => sockets.delete(s));
      });
      const release = (): Promise<void> =>
        new Promise((done) => {
          if (!server.listening) return done();
          server.close(() => done());
          for (const s of sockets) s.destroy();
        });
      return { release, [Symbol.asyncDispose]: release };
    }
    await waitForHolder(name, options.onWait ?? (() => {}), options.signal);
  }
}

/** {@link lock} that does not wait: rejects with `BUSY`. */
export function lockNow(dir: string, scope: string): Promise<Lock> {
  return lock(dir, scope, {
    onWait: (holder) => {
      throw new LabError("BUSY", `another process (${holder}) is bringing this lab up or down`);
    },
  });
}
