import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";

export interface GivenLease {
  /** Whose it is; everybody's if absent. */
  readonly mac?: string;
  readonly address: string;
  /** 24 if absent. */
  readonly prefix?: number;
  readonly router?: string;
  readonly nameServer?: string;
  /** 3600 if absent. */
  readonly seconds?: number;
}

/** A running dhcp-server.ts. */
export class DhcpServer implements Disposable {
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess) {
    this.#process = process;
  }

  /** `inside`: the command that runs another one in the namespace; `address`: the server's own there. */
  static async start(inside: readonly string[], address: string): Promise<DhcpServer> {
    const script = new URL("dhcp-server.ts", import.meta.url).pathname;
    const [program, ...args] = [...inside, process.execPath, script, address];
    const server = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
    const ended = once(server, "exit").then(([code]) => {
      throw new Error(`the DHCP server ended with ${code}`);
    });
    await Promise.race([once(server.stdout, "data"), ended]);
    ended.catch(() => undefined);
    return new DhcpServer(server);
  }

  /** From now on; who has another one hears of it when he renews that. */
  give(lease: GivenLease): void {
    this.#process.stdin?.write(`${JSON.stringify(lease)}\n`);
  }

  [Symbol.dispose](): void {
    this.#process.kill("SIGKILL");
  }
}
