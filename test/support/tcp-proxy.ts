import { once } from "node:events";
import { rmSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

/** A TCP port on the loopback, or a Unix socket. */
export type Endpoint = { readonly port: number } | { readonly path: string };

/**
 * What happens to bytes of one direction. `hold` keeps them, and the peer's window fills, until the mode changes;
 * `swallow` takes them and forgets them, as a dead path does; a number delays each piece by so many milliseconds.
 */
export type ProxyMode = "pass" | "hold" | "swallow" | number;

/** Stands between a client and a server, and does to them what networks do. */
export class TcpProxy implements AsyncDisposable {
  readonly #server: Server;
  readonly #target: Endpoint;
  readonly #listen: Endpoint;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  readonly #wakers = new Set<() => void>();
  #refusing = false;
  #toServer: ProxyMode = "pass";
  #toClient: ProxyMode = "pass";
  /** Connections accepted so far. */
  accepted = 0;

  private constructor(target: Endpoint, listen: Endpoint) {
    this.#target = target;
    this.#listen = listen;
    this.#server = createServer({ allowHalfOpen: false }, (client) => this.#accept(client));
  }

  static async start(target: Endpoint, listen: Endpoint = { port: 0 }): Promise<TcpProxy> {
    const proxy = new TcpProxy(target, listen);
    if ("port" in listen) proxy.#server.listen(listen.port, "127.0.0.1");
    else proxy.#server.listen(listen.path);
    await once(proxy.#server, "listening");
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Of a proxy on a Unix socket. */
  get path(): string {
    return this.#server.address() as string;
  }

  get open(): number {
    return this.#pairs.size;
  }

  /** Ends every connection; new ones are taken. */
  cut(): void {
    for (const [a, b] of this.#pairs) {
      a.destroy();
      b.destroy();
    }
  }

  /** Cuts, and takes no new connection until {@link allow}. */
  refuse(): void {
    this.#refusing = true;
    this.cut();
  }

  allow(): void {
    this.#refusing = false;
  }

  set(modes: { readonly toServer?: ProxyMode; readonly toClient?: ProxyMode }): void {
    this.#toServer = modes.toServer ?? this.#toServer;
    this.#toClient = modes.toClient ?? this.#toClient;
    for (const wake of this.#wakers) wake();
    this.#wakers.clear();
  }

  async close(): Promise<void> {
    this.cut();
    this.set({ toServer: "pass", toClient: "pass" });
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
    if ("path" in this.#listen) rmSync(this.#listen.path, { force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #accept(client: Socket): void {
    this.accepted++;
    if (this.#refusing) {
      client.destroy();
      return;
    }
    const server = "port" in this.#target ? connect(this.#target.port, "127.0.0.1") : connect(this.#target.path);
    const pair = [client, server] as const;
    this.#pairs.add(pair);
    for (const [from, to, mode] of [
      [client, server, () => this.#toServer],
      [server, client, () => this.#toClient],
    ] as const) {
      from.on("error", () => undefined);
      from.on("close", () => {
        to.destroy();
        this.#pairs.delete(pair);
      });
      void this.#pump(from, to, mode); // ends with its sockets
    }
  }

  async #pump(from: Socket, to: Socket, mode: () => ProxyMode): Promise<void> {
    try {
      for await (const chunk of from) {
        while (mode() === "hold") await new Promise<void>((resolve) => this.#wakers.add(resolve));
        const now = mode();
        if (now === "swallow") continue;
        if (typeof now === "number") await new Promise((resolve) => setTimeout(resolve, now));
        if (!to.write(chunk as Buffer)) await once(to, "drain");
      }
    } catch {
      // a socket was destroyed: its "close" ends the other
    }
  }
}
