import { netnsName } from "../../src/lab/names.ts";
import { listNetns } from "../../src/lab/net/ip.ts";
import type { Prober } from "../../src/lab/probe/client.ts";
import { execOk } from "../../src/lab/process/exec.ts";
import { BENCH_NAMESPACE, type PodObjects } from "./objects.ts";

/** How many small commands run at once. */
const AT_ONCE = 4;

/** The namespaces of a rig's pods, all named after it, and the pods' objects. Made ahead of what is measured, many at a time. */
export class PodNamespaces {
  readonly #id: string;
  readonly #prober: Prober;
  readonly #objects: PodObjects;
  #made = 0;

  constructor(id: string, prober: Prober, objects: PodObjects) {
    this.#id = id;
    this.#prober = prober;
    this.#objects = objects;
  }

  /** Namespaces as a runtime prepares them, with loopback up, each with an echo server that waits for its interface. */
  async make(count: number, labels: Readonly<Record<string, string>> = {}): Promise<string[]> {
    const names = Array.from({ length: count }, () => netnsName.pod(this.#id, ++this.#made, BENCH_NAMESPACE));
    await this.#objects.put(names, labels);
    await batch(names.map((name) => `netns add ${name}`));
    await inParallel(names, async (name) => {
      await execOk(["ip", "-n", name, "link", "set", "lo", "up"]);
      await this.#prober.serve(name);
    });
    return names;
  }

  /** The kernel takes namespaces apart in the background, under its network lock: this waits until it has had time to. */
  async drop(names: readonly string[]): Promise<void> {
    for (const name of names) await this.#prober.unserve(name);
    await removeNetns(names);
    await this.#objects.remove(names);
    await new Promise((resolve) => setTimeout(resolve, 500 + 2 * names.length));
  }
}

/** Removes every namespace that has the rig's name. */
export const removeNetnsOf = (id: string): Promise<void> =>
  removeNetns(listNetns().filter((name) => netnsName.isOf(id, name)));

async function removeNetns(names: readonly string[]): Promise<void> {
  await batch(names.map((name) => `netns del ${name}`));
}

async function batch(commands: readonly string[]): Promise<void> {
  if (commands.length > 0) await execOk(["ip", "-batch", "-"], { stdin: `${commands.join("\n")}\n` });
}

async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const left = items.values();
  const worker = async () => {
    for (const item of left) await work(item);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}
