import { setTimeout as delay } from "node:timers/promises";
import type { Snapshot } from "../../src/lab/demo/snapshot.ts";
import { ipJson } from "../../src/lab/net/ip.ts";
import type { PodCall } from "./agent-node/pod.ts";
import type { TestPod } from "./agent-node.ts";
import { everyKind, type RestartNode } from "./restart-node.ts";
import type { Random } from "./restart-random.ts";
import { wholeState } from "./restart-state.ts";
import { until } from "./until.ts";

export interface StormCounts {
  added: number;
  addsFailed: number;
  deleted: number;
  delsRepeated: number;
  kills: number;
  killsWhileStarting: number;
}

interface Living {
  readonly pod: TestPod;
  readonly hostPort: number | undefined;
}

/**
 * Runtimes that add and remove pods all the time, and somebody who kills the agent. What an operation answered is checked at
 * once and noted in {@link broken}; so is what an operation must not answer.
 */
export class Storm {
  readonly counts: StormCounts = {
    added: 0,
    addsFailed: 0,
    deleted: 0,
    delsRepeated: 0,
    kills: 0,
    killsWhileStarting: 0,
  };
  /** Promises that did not hold, in words. */
  readonly broken: string[] = [];
  readonly #node: RestartNode;
  readonly #random: Random;
  readonly #living = new Map<string, Living>();
  #going = true;

  constructor(node: RestartNode, random: Random) {
    this.#node = node;
    this.#random = random;
  }

  get living(): readonly TestPod[] {
    return [...this.#living.values()].map((l) => l.pod);
  }

  /**
   * Runs `workers` runtimes and kills the agent `kills` times; goes on until more pods than that were added, however slow
   * the machine. Returns when all operations have been answered.
   */
  async blow(workers: number, kills: number): Promise<void> {
    this.#going = true;
    const enough = this.counts.added + kills;
    const working = Array.from({ length: workers }, (_, i) => this.#work(9000 + i, this.#random.fork()));
    // An agent that does not come back is why nothing is answered.
    const [killing, ...worked] = await Promise.allSettled([this.#killing(kills, enough), ...working]);
    for (const end of [killing, ...worked]) if (end.status === "rejected") throw end.reason;
  }

  async #killing(kills: number, enough: number): Promise<void> {
    try {
      for (let i = 0; i < kills; i++) await this.#kill();
      await until("pods were added", () => this.counts.added > enough, 60_000);
    } finally {
      this.#going = false;
    }
  }

  /** Moments are drawn, but what happens at them is the machine's doing: a seed repeats the plan, not the interleaving. */
  async #kill(): Promise<void> {
    const random = this.#random;
    await delay(random.between(50, 700));
    await this.#node.stopAgent("SIGKILL");
    this.counts.kills++;
    if (random.chance(0.25)) {
      this.#node.launch();
      await delay(random.between(50, 500));
      await this.#node.stopAgent("SIGKILL");
      this.counts.killsWhileStarting++;
    }
    await this.#node.startAgent();
  }

  async #work(hostPort: number, random: Random): Promise<void> {
    while (this.#going) {
      // One that stayed at the last checkpoint may have it still.
      const isTaken = [...this.#living.values()].some((living) => living.hostPort === hostPort);
      const mapped = random.chance(0.5) && !isTaken ? hostPort : undefined;
      const pod = await this.#add(mapped, random);
      if (pod) {
        await delay(random.between(0, 150));
        // Some stay for the next checkpoint.
        if (this.#going || random.chance(0.5)) await this.remove(pod, random);
      }
    }
  }

  async #add(hostPort: number | undefined, random: Random): Promise<TestPod | undefined> {
    const pod = await this.#node.node.pod();
    const call: PodCall = hostPort === undefined ? {} : everyKind(hostPort);
    const answer = await pod.call("ADD", call);
    if (answer.exitCode !== 0) {
      this.counts.addsFailed++;
      if (answer.error?.code !== 11) this.broken.push(`ADD of ${pod.netns} failed: ${JSON.stringify(answer.error)}`);
      await this.#del(pod, random);
      await this.#node.node.deleteNetns(pod.netns);
      return undefined;
    }
    this.counts.added++;
    this.#living.set(pod.netns, { pod, hostPort });
    await this.#reachable(pod, "at once");
    return pod;
  }

  /** DEL until it is answered, then the end of the namespace. */
  async remove(pod: TestPod, random: Random = this.#random): Promise<void> {
    await this.#node.unserve(pod);
    await this.#reachable(pod, "before its DEL");
    this.#living.delete(pod.netns);
    const hostIf = pod.hostIf();
    await this.#del(pod, random);
    const links = await ipJson(this.#node.node.netns, ["link", "show"]);
    if (links.some((l) => l["ifname"] === hostIf)) this.broken.push(`${hostIf} is there after DEL was answered`);
    await this.#node.node.deleteNetns(pod.netns);
    this.counts.deleted++;
  }

  async #del(pod: TestPod, random: Random): Promise<void> {
    let first = true;
    let last: unknown;
    const answered = until(
      `DEL of ${pod.netns} is answered`,
      async () => {
        const answer = await pod.call("DEL");
        if (answer.exitCode === 0) return true;
        last = answer.error ?? answer.stderr;
        if (answer.error?.code !== 11) this.broken.push(`DEL of ${pod.netns} failed: ${JSON.stringify(answer.error)}`);
        if (first) this.counts.delsRepeated++;
        first = false;
        await delay(random.between(20, 100));
        return false;
      },
      // On a busy machine an agent that is killed half a second after it is ready has done little.
      120_000,
    );
    await answered.catch((e: unknown) => {
      throw new Error(`DEL of ${pod.netns} kept failing: ${JSON.stringify(last)}`, { cause: e });
    });
  }

  async #reachable(pod: TestPod, when: string): Promise<void> {
    for (const problem of await this.#node.unreachable(pod)) {
      this.broken.push(`${pod.netns}, ${when}: ${problem}`);
    }
  }

  /**
   * What is wrong now that nothing is under way: CHECK and packets of the living pods, and whatever is on the node beyond
   * `before` and theirs.
   */
  async problems(before: Snapshot): Promise<string[]> {
    const problems: string[] = [];
    for (const { pod, hostPort } of this.#living.values()) {
      const check = await pod.check();
      if (check.exitCode !== 0) problems.push(`CHECK of ${pod.netns}: ${JSON.stringify(check.error)}`);
      await this.#node.serve(pod);
      problems.push(...(await this.#node.unreachable(pod, hostPort)));
    }
    const now = await wholeState(this.#node.node);
    const words = [...this.#living.values()].flatMap(({ pod, hostPort }) => [
      ...namesOf(pod),
      ...(hostPort === undefined ? [] : [` . ${hostPort}`]),
    ]);
    const theirs = (thing: string) => words.some((word) => thing.includes(word));
    for (const [kind, things] of now) {
      if (kind === "used address" || kind === "traffic control") continue; // compared when no pod is left
      const known = before.get(kind) ?? new Set();
      for (const thing of things) if (!known.has(thing) && !theirs(thing)) problems.push(`leaked ${kind}: ${thing}`);
      for (const thing of known) if (!things.has(thing)) problems.push(`lost ${kind}: ${thing}`);
    }
    const records = now.get("sandbox record")?.size ?? 0;
    if (records !== this.#living.size) problems.push(`${records} sandbox records for ${this.#living.size} pods`);
    return problems;
  }
}

/** Everything by which a pod's things are known. Addresses end where they end: 10.1.1.2 is not 10.1.1.23. */
function namesOf(pod: TestPod): string[] {
  const hostIf = pod.hostIf();
  const ips = pod.ips().flatMap((ip) => [`${ip} `, `"${ip}"`, `${ip}/`]);
  return [pod.netns, pod.containerId, hostIf, `hdi${hostIf.slice(2, 14)}`, ...ips, ...ips.map((ip) => ip.trim() + ".")];
}
