import { chmod, rm } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { errnoOf } from "../../base/errors/errors.ts";
import { Tasks } from "../../base/tasks/tasks.ts";
import { StoreError } from "../api/store.ts";
import type { EmbeddedStore } from "./embedded-store.ts";
import { Session } from "./session.ts";

export interface ServeOptions {
  /** Told of connections that ended because of what they sent, and of faults in here. */
  readonly onError?: (error: Error) => void;
}

export interface EmbeddedServer extends AsyncDisposable {
  readonly socketPath: string;
  /** Connections open now. */
  readonly connections: number;
  /** Ends all connections; the store stays open. */
  close(): Promise<void>;
}

/**
 * Offers a store to other processes by a Unix socket (mode 0600). A socket file that nobody answers on is replaced; one
 * that somebody serves is an error.
 */
export async function serveEmbedded(
  store: EmbeddedStore,
  socketPath: string,
  options: ServeOptions = {},
): Promise<EmbeddedServer> {
  const sessions = new Set<Session>();
  const tasks = new Tasks((error) => options.onError?.(error));
  const server = createServer((socket) => {
    const session = new Session(socket, store.engine);
    sessions.add(session);
    tasks.run("embedded store connection", async () => {
      try {
        await session.run();
      } finally {
        sessions.delete(session);
      }
    });
  });
  await listen(server, socketPath);
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closing ??= (async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const session of sessions) session.destroy();
      await closed;
      await tasks.close();
    })();
    return closing;
  };
  return {
    socketPath,
    get connections() {
      return sessions.size;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

async function listen(server: Server, path: string): Promise<void> {
  try {
    await tryListen(server, path);
  } catch (e) {
    if (errnoOf(e) !== "EADDRINUSE") throw e;
    if (await answers(path)) {
      throw new StoreError("INVALID", `another process serves a store on ${path}`, { cause: e });
    }
    await rm(path, { force: true }); // left by a process that was killed
    await tryListen(server, path);
  }
  await chmod(path, 0o600);
}

function tryListen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe: Socket = connect(path);
    probe.once("connect", () => {
      probe.destroy();
      resolve(true);
    });
    probe.once("error", () => resolve(false));
  });
}
