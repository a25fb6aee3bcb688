import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { API_FILES_BELOW_PREFIX } from "../../../src/dataplane/vpp/binapi/index.ts";
import { sharedMemoryFiles } from "../../../src/dataplane/vpp/supervisor/startup-conf.ts";
import { until } from "../until.ts";
import { VPP_PREFIX } from "./api-files.ts";

/** VPP's executable, if one is installed below HEDDLE_VPP_PREFIX. */
export const VPP_BINARY: string | undefined = [join(VPP_PREFIX, "bin/vpp")].find((path) => existsSync(path));

/** For the title of a suite that needs it. */
export const vppNote: string =
  VPP_BINARY === undefined ? ` (skipped: no VPP at ${VPP_PREFIX}/bin/vpp; HEDDLE_VPP_PREFIX names another place)` : "";

const apiPrefix = (directory: string): string => directory.split("/").at(-1) ?? "";

/** Small enough for a test machine, no hugepages, no devices, sockets in a directory of its own. */
const config = (directory: string, { without = [], buffers = 4096, core = 0 }: RealVppOptions): string => `
unix { nodaemon runtime-dir ${directory} cli-listen ${directory}/cli.sock log ${directory}/vpp.log }
api-segment { prefix ${apiPrefix(directory)} }
socksvr { socket-name ${directory}/api.sock }
statseg { socket-name ${directory}/stats.sock size 32m }
memory { main-heap-size 512m }
buffers { buffers-per-numa ${buffers} page-size 4k }
cpu { main-core ${core} }
plugins { ${["dpdk", ...without].map((name) => `plugin ${name}_plugin.so { disable }`).join(" ")} }
`;

/**
 * A command that runs the one behind it with a /tmp of its own, which has nothing but the VPP's directory: a VPP in a
 * container, seen from the host.
 */
const OWN_TMP = (directory: string): string[] => {
  const mounts = [
    "set -e; mkdir -p $0/tmp/$(basename $0)",
    "mount --bind $0 $0/tmp/$(basename $0)",
    "mount --rbind $0/tmp /tmp",
    'exec "$@"',
  ];
  return ["unshare", "-m", "sh", "-c", mounts.join("; "), directory];
};

export interface RealVppOptions {
  /** Has it have a /tmp of its own: a VPP in a container, seen from the host. */
  readonly ownTmp?: boolean;
  /** Plugins that are not loaded: `acl`. */
  readonly without?: readonly string[];
  /** 4096 if absent. */
  readonly buffers?: number;
  /** Number of the CPU that it runs on; 0 if absent. */
  readonly core?: number;
  /** What it has in its environment beside this process's. */
  readonly env?: Readonly<Record<string, string>>;
  /** A namespace under /run/netns to run it in; one of its own without devices if absent. */
  readonly netns?: string;
}

/** A VPP of a test's own: in a network namespace without devices, or in a given one; gone when the test is over. */
export class RealVpp implements AsyncDisposable {
  readonly directory: string;
  readonly socket: string;
  readonly apiDirectory = join(VPP_PREFIX, API_FILES_BELOW_PREFIX);
  /** The command that VPP's own is added to. */
  readonly #wrapper: readonly [string, ...string[]];
  readonly #env: Readonly<Record<string, string>>;
  #process: ChildProcess | undefined;

  private constructor(directory: string, { ownTmp = false, netns, env = {} }: RealVppOptions) {
    this.directory = directory;
    this.#env = env;
    const enter: [string, ...string[]] = netns === undefined ? ["unshare", "-n", "--"] : ["ip", "netns", "exec", netns];
    this.#wrapper = [...enter, ...(ownTmp ? OWN_TMP(directory) : [])];
    this.socket = join(directory, "api.sock");
  }

  /** Resolves when the API socket is there. The error of a VPP that does not start has the end of its log. */
  static async start(options: RealVppOptions = {}): Promise<RealVpp> {
    const vpp = new RealVpp(mkdtempSync(join(tmpdir(), "hd-vpp-")), options);
    writeFileSync(join(vpp.directory, "startup.conf"), config(vpp.directory, options));
    try {
      await vpp.run();
    } catch (e) {
      await vpp[Symbol.asyncDispose]();
      throw e;
    }
    return vpp;
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** Also after {@link kill}. */
  async run(): Promise<void> {
    rmSync(this.socket, { force: true });
    const [file, ...wrapper] = this.#wrapper;
    // For VPP alone.
    const env = ["env", ...Object.entries(this.#env).map(([name, value]) => `${name}=${value}`)];
    const args = [...wrapper, ...env, VPP_BINARY ?? "vpp", "-c", join(this.directory, "startup.conf")];
    const child = spawn(file, args, { stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => (output = `${output}${chunk.toString()}`.slice(-4000)));
    child.stderr.on("data", (chunk: Buffer) => (output = `${output}${chunk.toString()}`.slice(-4000)));
    this.#process = child;
    await until("VPP's API socket", () => {
      if (child.exitCode !== null || child.signalCode !== null) throw new Error(`VPP ended: ${output}${this.#log()}`);
      return existsSync(this.socket);
    });
  }

  /** Resolves when the process is gone. */
  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    await new Promise<void>((resolve) => {
      child.once("exit", () => resolve());
      child.kill(signal);
    });
  }

  /** Stops it without ending it: a VPP that hangs. */
  pause(): void {
    this.#process?.kill("SIGSTOP");
  }

  resume(): void {
    this.#process?.kill("SIGCONT");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.resume();
    await this.kill();
    this.removeFiles();
  }

  /** What is left of one that was killed. */
  removeFiles(): void {
    rmSync(this.directory, { recursive: true, force: true });
    for (const file of sharedMemoryFiles({ apiPrefix: apiPrefix(this.directory) })) rmSync(file, { force: true });
  }

  #log(): string {
    const file = join(this.directory, "vpp.log");
    return existsSync(file) ? readFileSync(file, "utf8").slice(-2000) : "";
  }
}
