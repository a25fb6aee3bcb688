import { setTimeout as delay } from "node:timers/promises";
import { ipJson, listNetns } from "../../../src/lab/net/ip.ts";
import { CniError } from "../../../src/lab/runtime/cni.ts";
import type { PodRecord } from "../../../src/lab/state/state.ts";
import { kill9 } from "../kill.ts";
import type { Random } from "../restart-random.ts";
import { until } from "../until.ts";
import type { VppLab } from "./vpp-lab.ts";

/** "Try again later", CNI specification 1.1, section 5. */
const TRY_AGAIN = 11;
/** How long a pod that was added while VPP died may take until it is reached. */
const SETTLE_MS = 30_000;

/** What dies. */
export const VICTIMS = ["vpp", "agent", "both"] as const;
export type Victim = (typeof VICTIMS)[number];

/**
 * Runtimes that add and remove pods of a node all the time, and somebody who kills its VPP, its agent, or both. What was
 * answered otherwise than it may be is noted in {@link broken}.
 */
export class LabStorm {
  readonly counts = { added: 0, addsFailed: 0, deleted: 0, delsRepeated: 0, kills: 0 };
  readonly broken: string[] = [];
  readonly #lab: VppLab;
  readonly #node: string;
  readonly #random: Random;
  readonly #living = new Set<string>();
  #next = 0;
  #going = true;

  constructor(lab: VppLab, node: string, random: Random) {
    this.#lab = lab;
    this.#node = node;
    this.#random = random;
  }

  /** `NAMESPACE/NAME` of the pods that there are. */
  get living(): readonly string[] {
    return [...this.#living];
  }

  /** Runs `workers` runtimes while `kills` victims die. Returns when everything that was asked for is answered. */
  async blow(workers: number, kills: number): Promise<void> {
    this.#going = true;
    const working = Array.from({ length: workers }, () => this.#work(this.#random.fork()));
    try {
      for (let i = 0; i < kills; i++) await this.#kill(VICTIMS[i % VICTIMS.length] ?? "vpp");
      const enough = this.counts.added + workers;
      await until("pods were added", () => this.counts.added > enough, 60_000);
    } finally {
      this.#going = false;
      await Promise.all(working);
    }
  }

  async #kill(victim: Victim): Promise<void> {
    await delay(this.#random.between(200, 1500));
    const { lab } = this.#lab;
    const pid = this.#lab.vppPid(this.#node);
    if (victim !== "agent" && pid !== undefined) kill9(pid);
    if (victim !== "vpp") await lab.restart(this.#node);
    this.counts.kills++;
  }

  async #work(random: Random): Promise<void> {
    while (this.#going) {
      const name = await this.#add();
      await delay(random.between(0, 200));
      // Some stay for the look at what is left.
      if (name !== undefined && (this.#going || random.chance(0.5))) await this.remove(name);
    }
  }

  async #add(): Promise<string | undefined> {
    const name = `storm/p${this.#next++}`;
    try {
      await this.#lab.lab.addPod(name, this.#node);
    } catch (e) {
      this.counts.addsFailed++;
      if (!isTryAgain(e)) this.broken.push(`ADD of ${name}: ${String(e)}`);
      await this.#del(name);
      return undefined;
    }
    this.counts.added++;
    this.#living.add(name);
    return name;
  }

  async remove(name: string): Promise<void> {
    await this.#del(name);
    this.#living.delete(name);
    this.counts.deleted++;
  }

  /** DEL until it is answered, as runtimes do. The lab forgets a pod whose ADD failed if its DEL went through. */
  async #del(name: string): Promise<void> {
    const record = (): PodRecord | undefined =>
      this.#lab.lab.state().pods.find((p) => `${p.namespace}/${p.name}` === name);
    await until(
      `DEL of ${name} is answered`,
      async () => {
        const pod = record();
        if (!pod) return true;
        try {
          await this.#lab.lab.pods.delete(pod);
          return true;
        } catch (e) {
          this.counts.delsRepeated++;
          if (!isTryAgain(e)) this.broken.push(`DEL of ${name}: ${String(e)}`);
          await delay(50);
          return false;
        }
      },
      SETTLE_MS,
    );
  }

  /** What is wrong now that nothing is under way: pods without a network, and what is left of those that are gone. */
  async problems(): Promise<string[]> {
    const { lab } = this.#lab;
    const problems: string[] = [];
    const unreached = async () => this.#lab.unreachable([this.#node, ...this.living]);
    await until("all pods are reached", async () => (await unreached()).length === 0, SETTLE_MS).catch(async (e) => {
      problems.push(String(e), ...(await unreached()));
    });
    for (const name of this.living) {
      await lab.pods.check(lab.pod(name)).catch((e: unknown) => problems.push(`CHECK of ${name}: ${String(e)}`));
    }
    const links = (await ipJson(lab.netnsOf(this.#node), ["link", "show"])).map((link) => String(link["ifname"]));
    const podLinks = links.filter((link) => /^hd[0-9a-f]{13}$/.test(link));
    if (podLinks.length !== this.living.length) {
      problems.push(`${podLinks.length} links for ${this.living.length} pods: ${podLinks.join(", ")}`);
    }
    const shared = [...(await this.#lab.vppctl(this.#node, "show interface")).matchAll(/^host-(hd[0-9a-f]{13}) /gm)];
    const inVpp = shared.map(([, link]) => link ?? "");
    if (inVpp.toSorted().join() !== podLinks.toSorted().join()) {
      problems.push(`VPP has ${inVpp.join(", ")}, the kernel ${podLinks.join(", ")}`);
    }
    const { id, pods } = lab.state();
    const namespaces = listNetns().filter((name) => name.startsWith(`hd${id}-p`));
    if (namespaces.length !== pods.length) problems.push(`${namespaces.length} namespaces for ${pods.length} pods`);
    return problems;
  }
}

/** By itself, or as the reason that the lab gives. */
const isTryAgain = (e: unknown): boolean =>
  e instanceof Error && ((e instanceof CniError && e.cniCode === TRY_AGAIN) || isTryAgain(e.cause));
