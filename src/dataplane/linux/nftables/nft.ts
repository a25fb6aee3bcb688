import { spawn } from "node:child_process";
import { HeddleError } from "../../../base/errors/errors.ts";

/** One thing that `nft -j list table` prints: `{ "set": {…} }`. */
export type NftJsonObject = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/** The kernel's nftables, or a double of it. */
export interface Nft {
  /** Carries out a script as one transaction: all of it, or nothing. @throws NftError. */
  run(script: string): Promise<void>;
  /** Everything in `inet <table>`; undefined when there is no such table. */
  list(table: string): Promise<readonly NftJsonObject[] | undefined>;
  /** As {@link list}, without chains and rules. */
  sets(table: string): Promise<readonly NftJsonObject[] | undefined>;
  /** All chains of all tables, `{ "chain": {…} }`. */
  chains(): Promise<readonly NftJsonObject[]>;
  /** The rules of one chain of any table, `{ "rule": {…} }`; none when it is gone. */
  rules(family: string, table: string, chain: string): Promise<readonly NftJsonObject[]>;
}

export type NftErrorCode =
  /** The kernel or `nft` refused the script; nothing was applied. */
  | "REFUSED"
  /** `nft` could not be run; install the Debian package nftables. */
  | "NO_NFT";

export class NftError extends HeddleError<NftErrorCode> {}

/**
 * nftables through the `nft` program, in the network namespace of this process. `nft` validates against the kernel's own
 * state and turns the script into one netlink batch, which the kernel commits as a whole.
 */
export class NftProgram implements Nft {
  readonly #command: readonly string[];

  /** `command` begins what is executed: `["ip", "netns", "exec", "blue", "nft"]` works in another namespace. */
  constructor(command: readonly string[] = ["nft"]) {
    this.#command = command;
  }

  async run(script: string): Promise<void> {
    await this.#exec(["-f", "-"], script);
  }

  async list(table: string): Promise<readonly NftJsonObject[] | undefined> {
    return this.#list(["table", "inet", table]);
  }

  async sets(table: string): Promise<readonly NftJsonObject[] | undefined> {
    // nft 1.0.6 takes no table behind maps.
    const found = await this.#list(["sets", "table", "inet", table], ["maps", "inet"]);
    return found?.filter(({ map }) => map === undefined || map["table"] === table);
  }

  async chains(): Promise<readonly NftJsonObject[]> {
    return objects(await this.#exec(["-j", "list", "chains"]));
  }

  async rules(family: string, table: string, chain: string): Promise<readonly NftJsonObject[]> {
    return ((await this.#list(["chain", family, table, chain])) ?? []).filter((object) => "rule" in object);
  }

  /** Undefined when there is no such thing. */
  async #list(...lists: readonly (readonly string[])[]): Promise<readonly NftJsonObject[] | undefined> {
    const commands = lists.map((what) => `list ${what.join(" ")}`);
    try {
      return objects(await this.#exec(["-j", commands.join("; ")]), commands.length);
    } catch (e) {
      if (e instanceof NftError && e.code === "REFUSED" && /No such file or directory/.test(e.message)) {
        return undefined;
      }
      throw e;
    }
  }

  #exec(args: readonly string[], input = ""): Promise<string> {
    const [program = "nft", ...before] = this.#command;
    return exec(program, [...before, ...args], input);
  }
}

/** Of each command a line. */
function objects(json: string, commands = 1): NftJsonObject[] {
  const lines = json.trimEnd().split("\n");
  if (lines.length !== commands) throw new Error(`nft answered ${lines.length} of ${commands} commands`);
  return lines.flatMap((line) => (JSON.parse(line) as { nftables: NftJsonObject[] }).nftables);
}

function exec(program: string, args: readonly string[], input: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"] });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => out.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => err.push(chunk));
    child.once("error", (cause) => {
      reject(new NftError("NO_NFT", `cannot run ${program}; install the Debian package nftables`, { cause }));
    });
    child.once("close", (code) => {
      if (code === 0) resolve(Buffer.concat(out).toString());
      else reject(new NftError("REFUSED", firstError(Buffer.concat(err).toString()) || `nft ended with ${code}`));
    });
    // An early end of nft breaks the pipe; its exit code tells more than the EPIPE does.
    child.stdin.on("error", () => {});
    child.stdin.end(input);
  });
}

/**
 * `nft` prints, for each error, where, what, and the line with a marker below:
 * ```
 * /dev/stdin:1:26-34: Error: Could not process rule: File exists
 * add table inet hd
 *                ^^
 * ```
 */
function firstError(text: string): string {
  const lines = text.trim().split("\n");
  const at = lines.findIndex((line) => line.includes("Error:"));
  if (at < 0) return lines[0] ?? "";
  const what = (lines[at] ?? "").replace(/^.*Error: /, "");
  const source = (lines[at + 1] ?? "").trim();
  return source ? `${what} (in "${source}")` : what;
}
