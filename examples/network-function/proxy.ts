// The thing that is programmed: a TCP forwarder. It knows nothing of the scheduler, and has the manners of a real
// device: calls fail, and whoever closes a listener takes its target along.
import { connect, createServer, type Server, type Socket } from "node:net";

export interface Target {
  readonly host: string;
  readonly port: number;
}

interface Listener {
  readonly server: Server;
  readonly port: number;
  readonly connections: Set<Socket>;
  target: Target | undefined;
}

/** Listens on ports of 127.0.0.1 and carries connections to targets. */
export class Proxy {
  readonly #listeners = new Map<string, Listener>();

  /** Rejects with EADDRINUSE if somebody else has the port. */
  async listen(name: string, port: number): Promise<void> {
    if (this.#listeners.has(name)) throw new Error(`there is a listener ${name} already`);
    const server = createServer((client) => this.#forward(name, client));
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, "127.0.0.1", resolve);
    });
    this.#listeners.set(name, { server, port, connections: new Set(), target: undefined });
  }

  async close(name: string): Promise<void> {
    const listener = this.#get(name);
    this.#listeners.delete(name);
    for (const connection of listener.connections) connection.destroy();
    await new Promise((resolve) => listener.server.close(resolve));
  }

  setTarget(name: string, target: Target | undefined): void {
    this.#get(name).target = target;
  }

  /** What it does now. */
  dump(): { name: string; port: number; target: Target | undefined }[] {
    return [...this.#listeners].map(([name, { port, target }]) => ({ name, port, target }));
  }

  #get(name: string): Listener {
    const listener = this.#listeners.get(name);
    if (listener === undefined) throw new Error(`there is no listener ${name}`);
    return listener;
  }

  #forward(name: string, client: Socket): void {
    const listener = this.#listeners.get(name);
    client.on("error", () => client.destroy());
    if (listener?.target === undefined) {
      client.destroy();
      return;
    }
    const server = connect(listener.target);
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      listener.connections.add(socket);
      socket.on("close", () => {
        listener.connections.delete(socket);
        other.destroy();
      });
    }
    server.on("error", () => client.destroy());
    client.pipe(server).pipe(client);
  }
}
