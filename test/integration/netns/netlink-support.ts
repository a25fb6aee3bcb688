import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";

/** Network namespaces of one test file, with names of their own, removed on dispose. */
export class TestNamespaces implements Disposable {
  readonly #names: string[] = [];

  /** Makes a namespace and returns its path. */
  add(): string {
    const name = `hdt${randomBytes(4).toString("hex")}`;
    execFileSync("ip", ["netns", "add", name]);
    this.#names.push(name);
    return `/run/netns/${name}`;
  }

  [Symbol.dispose](): void {
    for (const name of this.#names.splice(0)) execFileSync("ip", ["netns", "del", name]);
  }
}

/** Runs a command inside a namespace and returns what it prints. */
export function runIn(path: string, command: string): string {
  const name = path.slice(path.lastIndexOf("/") + 1);
  return execFileSync("ip", ["netns", "exec", name, ...command.split(" ")], { encoding: "utf8", stdio: "pipe" });
}

/** Whether this process may make namespaces. */
export const isRoot = process.getuid?.() === 0;
