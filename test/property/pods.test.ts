import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { NodeAddresses } from "../../cmd/vswitch-agent/addresses.ts";
import { parseNetwork } from "../../src/base/ip/cidr.ts";
import { resyncEvent } from "../../src/controller/store-watcher.ts";
import { silentLog } from "../../src/infra/log/log.ts";
import type { Txn } from "../../src/kvscheduler/api/scheduler.ts";
import type { SandboxId } from "../../src/pods/api.ts";
import type { CniResult } from "../../src/pods/cni/result.ts";
import type { CniJob } from "../../src/pods/jobs.ts";
import { LostSandboxesEvent } from "../../src/pods/jobs.ts";
import type { Sandbox } from "../../src/pods/sandbox.ts";
import { FakeMemory, turns } from "../support/controller/fakes.ts";
import { ended, PodsRig } from "../support/pods/pods-rig.ts";

const IDS = ["c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8"];
// Five addresses for eight pods: some ADDs find none, and addresses are soon used again.
const IDENTITY = { name: "n1", id: 1, subnets: ["10.0.0.0/29", "fd00::/64"].map((c) => parseNetwork(c)) };

type JobSpec =
  | {
      readonly kind: "ADD";
      readonly id: string;
      readonly port: number;
      readonly netnsId: string;
      /** Asked for; undefined for any. */
      readonly ip: string | undefined;
      readonly gone: boolean;
    }
  | { readonly kind: "DEL"; readonly id: string; readonly gone: boolean }
  | { readonly kind: "GC"; readonly valid: readonly string[]; readonly gone: boolean };

type Trouble =
  | { readonly kind: "none" }
  | { readonly kind: "keys"; readonly prefixes: readonly string[]; readonly times: number }
  | { readonly kind: "database" }
  | { readonly kind: "scheduler" };

type Step =
  | { readonly kind: "jobs"; readonly jobs: readonly JobSpec[]; readonly trouble: Trouble }
  | { readonly kind: "restart" }
  | { readonly kind: "lost"; readonly id: string };

const id = fc.constantFrom(...IDS);
const gone = fc.integer({ min: 0, max: 9 }).map((n) => n === 0);
const job: fc.Arbitrary<JobSpec> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("ADD" as const),
      id,
      port: fc.constantFrom(0, 0, 0, 80, 81),
      netnsId: fc.constantFrom("ns-a", "ns-a", "ns-b"),
      ip: fc.constantFrom(undefined, undefined, undefined, "10.0.0.3", "10.0.0.9"),
      gone,
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("DEL" as const), id, gone }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("GC" as const), valid: fc.subarray(IDS), gone }) },
);
const trouble: fc.Arbitrary<Trouble> = fc.oneof(
  { weight: 4, arbitrary: fc.constant({ kind: "none" as const }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("keys" as const),
      prefixes: fc.subarray(["link/hd0", "link/hd5", "link/hda", "route/10.0.0.3", "route/10", "port/"], {
        minLength: 1,
      }),
      times: fc.integer({ min: 1, max: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: "database" as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: "scheduler" as const }) },
);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("jobs" as const),
      jobs: fc.array(job, { minLength: 1, maxLength: 8 }),
      trouble,
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: "restart" as const }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("lost" as const), id }) },
);

/** An agent's pods over the real IPAM. */
function start(memory: FakeMemory, sandboxes: readonly Sandbox[]) {
  const records = [...memory.records].filter(([key]) => key.startsWith("ipam/"));
  const addresses = new NodeAddresses(IDENTITY, records, sandboxes, silentLog);
  const rig = new PodsRig({ memory, addresses, sandboxes });
  rig.controller.push(resyncEvent("start", new Map()));
  return { rig, addresses };
}

/** What the answers so far say: the addresses of each pod that is there. */
type Promised = Map<SandboxId, readonly string[]>;

class World {
  readonly #memory = new FakeMemory();
  readonly #promised: Promised = new Map();
  /** Failed or interrupted, so either is right. */
  readonly #unsure = new Set<SandboxId>();
  #node = start(this.#memory, []);

  async run(s: Step): Promise<void> {
    const { rig } = this.#node;
    if (s.kind === "restart") {
      const sandboxes = [...rig.remembered.values()];
      await rig.controller.close();
      this.#node = start(this.#memory, sandboxes);
    } else if (s.kind === "lost") {
      const sandbox = [...rig.pods.sandboxes()].find((x) => x.containerId === s.id);
      if (sandbox) {
        rig.controller.push(new LostSandboxesEvent([{ id: sandbox.row.id, netnsId: sandbox.row.netnsId }]));
        this.#promised.delete(sandbox.row.id);
        this.#unsure.delete(sandbox.row.id);
      }
    } else {
      await this.#jobs(s.jobs, s.trouble);
    }
    await this.#node.rig.idle();
    await this.#node.rig.heal();
    this.#check();
  }

  async #jobs(specs: readonly JobSpec[], trouble: Trouble): Promise<void> {
    const { rig } = this.#node;
    this.#cause(trouble);
    const pushed = specs.map((spec) => [spec, this.#push(spec)] as const);
    for (const [spec, queued] of pushed) this.#note(spec, await ended(queued));
    await turns();
    rig.fail();
    this.#memory.refuse = undefined;
  }

  #cause(trouble: Trouble): void {
    const { rig } = this.#node;
    if (trouble.kind === "database") this.#memory.refuse = new Error("disk full");
    if (trouble.kind === "scheduler") rig.scheduler.answer = () => Promise.reject(new Error("closed"));
    if (trouble.kind !== "keys") return;
    rig.fail(...trouble.prefixes);
    const { answer } = rig.scheduler;
    let left = trouble.times;
    rig.scheduler.answer = (txn: Txn) => (left-- > 0 ? answer(txn) : {});
  }

  #push(spec: JobSpec): CniJob {
    const { rig } = this.#node;
    const signal = spec.gone ? { signal: AbortSignal.abort("gone") } : {};
    if (spec.kind === "DEL") return rig.push("DEL", { id: spec.id, ...signal });
    if (spec.kind === "GC") {
      const valid = spec.valid.map((containerID) => ({ containerID, ifname: "eth0" }));
      return rig.push("GC", { config: { "cni.dev/valid-attachments": valid }, ...signal });
    }
    const portMappings = spec.port === 0 ? [] : [{ hostPort: spec.port, containerPort: 80 }];
    const config = { runtimeConfig: { portMappings, ...(spec.ip === undefined ? {} : { ips: [spec.ip] }) } };
    return rig.push("ADD", { id: spec.id, netnsId: spec.netnsId, config, ...signal });
  }

  #note(spec: JobSpec, end: CniResult | string | undefined): void {
    const failed = typeof end === "string";
    const removed = (id: SandboxId) => {
      if (failed && this.#promised.has(id)) this.#unsure.add(id);
      if (failed) return;
      this.#promised.delete(id);
      this.#unsure.delete(id);
    };
    if (spec.kind === "GC") {
      for (const id of [...this.#promised.keys()]) if (!spec.valid.includes(id.split("/")[0] ?? "")) removed(id);
      return;
    }
    const sandbox = `${spec.id}/eth0` as SandboxId;
    if (spec.kind === "DEL") removed(sandbox);
    else if (typeof end === "object") {
      this.#promised.set(
        sandbox,
        end.ips.map((ip) => ip.address.split("/")[0] ?? ""),
      );
      this.#unsure.delete(sandbox);
    } else if (this.#promised.has(sandbox)) this.#unsure.add(sandbox); // it may have taken the place of an older one
  }

  #check(): void {
    const { rig, addresses } = this.#node;
    const sandboxes = new Map([...rig.pods.sandboxes()].map((s) => [s.row.id, s]));
    for (const [id, ips] of this.#promised) {
      const found = sandboxes.get(id);
      if (!this.#unsure.has(id)) expect(found?.row.ips, `what the ADD of ${id} answered`).toEqual(ips);
      if (!found) this.#promised.delete(id);
    }
    for (const id of sandboxes.keys()) expect(this.#promised.has(id), `${id} is there by an answer`).toBe(true);
    expect(rig.remembered).toEqual(sandboxes);
    const ips = [...sandboxes.values()].flatMap((s) => s.row.ips);
    expect(new Set(ips).size).toBe(ips.length);
    const used = addresses.usage().map((u) => u.used);
    expect(used).toEqual([sandboxes.size, sandboxes.size]);
    const ports = [...sandboxes.values()].flatMap((s) => s.row.hostPorts.map((p) => p.hostPort));
    expect(new Set(ports).size).toBe(ports.length);
    const wanted = new Set([...sandboxes.values()].flatMap((s) => [...rig.wiring.render(s.row)].map((kv) => kv.key)));
    const led = new Map([...rig.scheduler.items].filter(([key]) => key.startsWith("port/")));
    const has = [...sandboxes].flatMap(([id, { row }]) =>
      row.hostPorts.map((p) => [`port/tcp/*/${p.hostPort}`, id] as const),
    );
    expect(led, "ports lead to the pods that have them").toEqual(new Map(has));
    for (const key of rig.scheduler.items.keys()) {
      if (!key.startsWith("port/")) expect(wanted.has(key), `${key} belongs to a pod`).toBe(true);
    }
  }

  close(): Promise<void> {
    return this.#node.rig.controller.close();
  }
}

describe("the pods of a node", () => {
  it("are the same to the runtime, the handler, IPAM and the local database, whatever fails", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
        const world = new World();
        for (const s of steps) await world.run(s);
        await world.close();
      }),
      { numRuns: 150 },
    );
  });
});
