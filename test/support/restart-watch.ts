import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { inNetns } from "../../src/lab/net/ip.ts";
import { execOk } from "../../src/lab/process/exec.ts";
import { until } from "./until.ts";

/** What the kernel tells of changes in a namespace, while it is watched. */
export interface KernelWatch extends AsyncDisposable {
  /** Everything so far that somebody's request has caused. */
  changes(): Promise<string[]>;
}

/** Said once by us, to know that the watchers listen, and once more to know that they have said all. */
const MARKS = ["hdmark1", "hdmark2"] as const;

/** Watches links, addresses, routes, neighbours and nftables of a namespace by the tools' own monitors. */
export async function watchKernel(netns: string): Promise<KernelWatch> {
  const prefix = inNetns(netns);
  const watchers = [
    new Watcher([...prefix, "ip", "monitor", "link", "address", "route", "neigh"]),
    new Watcher([...prefix, "nft", "monitor"]),
  ];
  const mark = async (name: string): Promise<void> => {
    // A monitor says nothing when it begins to listen: the mark is made until it was heard.
    await until(`the monitors in ${netns} heard ${name}`, async () => {
      await execOk([...prefix, "ip", "link", "add", name, "type", "veth", "peer", "name", `${name}p`]);
      await execOk([...prefix, "ip", "link", "del", name]);
      await execOk([...prefix, "nft", "add", "table", "inet", name]);
      await execOk([...prefix, "nft", "delete", "table", "inet", name]);
      await delay(20);
      return watchers.every((w) => w.lines.some((line) => line.includes(name)));
    });
  };
  await mark(MARKS[0]);
  return {
    async changes() {
      await mark(MARKS[1]);
      return watchers.flatMap((w) => w.lines.filter((line) => isChange(line)));
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(watchers.map((w) => w.close()));
    },
  };
}

/** Neighbours that the kernel learns and forgets by itself are nobody's doing; ours are permanent. */
function isChange(line: string): boolean {
  if (line.trim() === "" || MARKS.some((mark) => line.includes(mark))) return false;
  if (/^# new generation|^\s+link\/|^\s+inet6? fe80/.test(line)) return false;
  return !/lladdr|FAILED|INCOMPLETE|PROBE|STALE|REACHABLE|DELAY/.test(line) || /PERMANENT/.test(line);
}

class Watcher {
  readonly #child: ChildProcess;
  #text = "";

  constructor(argv: readonly string[]) {
    const [file = "", ...args] = argv;
    this.#child = spawn(file, args, { stdio: ["ignore", "pipe", "inherit"] });
    this.#child.stdout?.setEncoding("utf8").on("data", (text: string) => (this.#text += text));
  }

  get lines(): readonly string[] {
    return this.#text.split("\n");
  }

  async close(): Promise<void> {
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await ended;
  }
}
