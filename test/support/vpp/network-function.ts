import { execFileSync } from "node:child_process";
import { dirname, join } from "node:path";
import { RealVpp, VPP_BINARY } from "./real-vpp.ts";

/** A pod's process that has memif interfaces: a VPP in the pod's network namespace, which connects to its node's. */
export class NetworkFunction implements AsyncDisposable {
  readonly #vpp: RealVpp;

  private constructor(vpp: RealVpp) {
    this.#vpp = vpp;
  }

  /** `interfaces` of the pod, by their names in its annotation; they are `memif1/0`, `memif2/0` … here. */
  static async start(netns: string, interfaces: readonly string[]): Promise<NetworkFunction> {
    const self = new NetworkFunction(await RealVpp.start({ netns }));
    for (const [i, name] of interfaces.entries()) {
      const socket = i + 1;
      self.cli(`create memif socket id ${socket} filename abstract:heddle-${name}`);
      self.cli(`create interface memif socket-id ${socket} id 0 slave`);
      self.cli(`set interface state memif${socket}/0 up`);
    }
    return self;
  }

  /** Connects the first two interfaces: what comes in by one goes out by the other. */
  passOn(): void {
    this.cli("set interface l2 xconnect memif1/0 memif2/0");
    this.cli("set interface l2 xconnect memif2/0 memif1/0");
  }

  /** What a command prints. */
  cli(command: string): string {
    const vppctl = join(dirname(VPP_BINARY ?? ""), "vppctl");
    const args = ["-s", join(this.#vpp.directory, "cli.sock"), ...command.split(" ")];
    const text = execFileSync(vppctl, args, { encoding: "utf8", timeout: 20_000 });
    if (/^(unknown input|.*: error)/im.test(text)) throw new Error(`${command}: ${text}`);
    return text;
  }

  /** Whether the peer of an interface is there. */
  isConnected(index: number): boolean {
    return /flags.* connected/.test(this.cli(`show memif memif${index}/0`));
  }

  /** Packets that came in by an interface. */
  received(index: number): number {
    return Number(/rx packets +(\d+)/.exec(this.cli(`show interface memif${index}/0`))?.[1] ?? 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#vpp[Symbol.asyncDispose]();
  }
}
