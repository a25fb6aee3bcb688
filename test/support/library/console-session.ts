import { type ChildProcess, spawn } from "node:child_process";
import { until } from "../until.ts";

export interface Step {
  readonly command: string;
  /** What the document says that comes of it. */
  readonly expected: string;
}

/** The commands and outputs of a document's ```console blocks. */
export function stepsOf(markdown: string): Step[] {
  const steps: { command: string; expected: string }[] = [];
  for (const [, block = ""] of markdown.matchAll(/^```console\n([^]*?)^```$/gm)) {
    for (const line of block.trimEnd().split("\n")) {
      if (line.startsWith("$ ")) steps.push({ command: line.slice(2), expected: "" });
      else steps.at(-1)!.expected += `${line}\n`;
    }
  }
  return steps;
}

/** A shell that gets commands one by one, as somebody types them who reads a document. */
export class ConsoleSession {
  readonly #shell: ChildProcess;
  #output = "";
  #count = 0;

  constructor(cwd: string, path: string) {
    this.#shell = spawn("bash", [], {
      cwd,
      env: { ...process.env, PATH: `${path}:${process.env["PATH"]}` },
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.#shell.stdout!.setEncoding("utf8").on("data", (text: string) => (this.#output += text));
    this.#shell.stderr!.setEncoding("utf8").on("data", (text: string) => (this.#output += text));
  }

  /** The output of a command; of one in the background what it says until it has said as much as is expected. */
  async run({ command, expected }: Step): Promise<string> {
    this.#output = "";
    const marker = `@@${++this.#count}@@\n`;
    this.#shell.stdin!.write(`${command}\nprintf '%s' '${marker}'\n`);
    await until(`end of ${command}`, () => this.#output.includes(marker), 60_000);
    const told = (): string => this.#output.replace(marker, "");
    if (command.endsWith("&")) await until(`output of ${command}`, () => told().length >= expected.length, 30_000);
    return told();
  }

  /** Ends what runs in the background, too. */
  async close(): Promise<void> {
    const ended = new Promise((resolve) => this.#shell.once("exit", resolve));
    this.#shell.stdin!.end("kill $(jobs -p) 2>/dev/null; wait\n");
    await ended;
  }
}
