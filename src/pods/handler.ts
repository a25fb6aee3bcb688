import type { Clock } from "../base/clock/clock.ts";
import { fullMessage, toError } from "../base/errors/errors.ts";
import type { ControllerEvent, EventOutcome, EventOutput, EventQueue, Handler } from "../controller/api.ts";
import type { Log } from "../infra/log/log.ts";
import type { Key, KeyValue } from "../kvscheduler/api/descriptor.ts";
import type { PodEndNow, PodRow, PodWiring, SandboxId } from "./api.ts";
import { expectedState } from "./cni/check.ts";
import { CniError } from "./cni/errors.ts";
import type { CniAddRequest } from "./cni/request.ts";
import { HostPorts } from "./host-ports.ts";
import {
  CniEvent,
  type CniJob,
  canceled,
  isCniEvent,
  isKeep,
  isLostSandboxes,
  isUndo,
  KeepEvent,
  UndoEvent,
} from "./jobs.ts";
import { furtherOf, hostPortsOf, newSandbox, routeMetricOf } from "./new-sandbox.ts";
import { addError, type FailedAdd, type Plan, type Removal } from "./plans.ts";
import { addResult, podResult } from "./result.ts";
import { encodeSandbox, type Sandbox, sandboxKey } from "./sandbox.ts";

/** Addresses as pods need them; IPAM stands behind it. */
export interface PodAddresses {
  /** One address for each of the node's families, all or none. @throws CniError NO_ADDRESS. */
  allocate(owner: SandboxId, requested: readonly string[]): readonly string[];
  release(owner: SandboxId): void;
  /** `owner` keeps what it had: it was released, and given to nobody since. */
  keep(owner: SandboxId, ips: readonly string[]): void;
  /** Records of the local database that changed since the last call; they keep addresses from being reused at once. */
  writes(): Iterable<readonly [key: string, value: string | undefined]>;
}

export interface PodsOptions {
  readonly wiring: PodWiring;
  readonly addresses: PodAddresses;
  readonly queue: EventQueue;
  readonly clock: Clock;
  readonly log: Log;
  /** Items of other features that an ADD waits for, beside those of the wiring. */
  readonly alsoNeeds?: (row: PodRow) => Iterable<Key>;
  /** What the pod's host ports come to, which another handler keeps in force: an ADD and a DEL wait for it, CHECK looks at it. */
  readonly hostPortItems?: (id: SandboxId) => Iterable<KeyValue>;
  /** MTU of pods' interfaces. */
  readonly mtu: () => number;
  /** From the local database. */
  readonly sandboxes: Iterable<Sandbox>;
}

/** Turns CNI operations into pods' rows: gives out addresses, remembers sandboxes, answers when all is in force. */
export class PodsHandler implements Handler {
  readonly name = "pods";
  readonly #options: PodsOptions;
  readonly #sandboxes = new Map<SandboxId, Sandbox>();
  readonly #hostPorts = new HostPorts();
  readonly #plans = new WeakMap<CniEvent, Plan[]>();

  constructor(options: PodsOptions) {
    this.#options = options;
    for (const sandbox of options.sandboxes) this.#adopt(sandbox);
  }

  /** All sandboxes, in the order in which they were added. */
  sandboxes(): Iterable<Sandbox> {
    return this.#sandboxes.values();
  }

  handles(event: ControllerEvent): boolean {
    return isCniEvent(event) || isUndo(event) || isLostSandboxes(event) || isKeep(event);
  }

  resync(_event: ControllerEvent, out: EventOutput): void {
    for (const { row } of this.#sandboxes.values()) this.#put(row, out);
  }

  update(event: ControllerEvent, out: EventOutput): void {
    if (isCniEvent(event)) {
      const plans: Plan[] = [];
      this.#plans.set(event, plans);
      // Removals last: should one of them fail, nobody has been given meanwhile what it keeps.
      for (const removes of [false, true]) {
        for (const job of event.jobs.filter((j) => j.removes === removes)) {
          const plan = this.#plan(job, out);
          if (plan) plans.push(plan);
        }
      }
    } else if (isUndo(event)) {
      for (const id of event.ids) this.#remove(id, out);
    } else if (isLostSandboxes(event)) {
      // One that was added anew since it was missed is another one.
      const ids = event.lost.flatMap(({ id, netnsId }) => (this.#sandboxes.get(id)?.row.netnsId === netnsId ? id : []));
      this.#options.log.warn({ sandboxes: ids }, "removing sandboxes whose namespace is gone");
      for (const id of ids) this.#remove(id, out);
    } else if (isKeep(event)) {
      for (const id of event.ids) {
        const sandbox = this.#sandboxes.get(id);
        if (!sandbox) continue;
        this.#options.addresses.keep(id, sandbox.row.ips);
        out.remember(sandboxKey(id), encodeSandbox(sandbox));
      }
    }
    for (const [key, value] of this.#options.addresses.writes()) out.remember(key, value);
  }

  async finish(event: ControllerEvent, outcome: EventOutcome): Promise<void> {
    if (isUndo(event)) event.done();
    if (!isCniEvent(event)) return;
    const plans = this.#plans.get(event) ?? [];
    this.#undo(plans.flatMap((plan) => this.#finishAdd(plan, outcome) ?? []));
    for (const plan of plans) if (plan.kind === "del") this.#finishDel(plan, outcome);
    await Promise.all(plans.map((plan) => this.#finishCheck(plan)));
  }

  /** Nothing is known of what has been done, so all that was planned is taken back, or kept. */
  failed(event: ControllerEvent, error: Error): void {
    if (isUndo(event)) event.done();
    if (!isCniEvent(event)) return;
    const plans = this.#plans.get(event) ?? [];
    this.#undo(plans.flatMap((plan) => (plan.kind === "add" ? { plan, error } : [])));
    for (const plan of plans) if (plan.kind === "del") this.#keep(plan.gone.map((r) => r.sandbox));
    const added = new Set(plans.flatMap((plan) => (plan.kind === "add" ? plan.job : [])));
    for (const job of event.jobs) if (!added.has(job)) job.reject(error);
  }

  /** `undefined` when the job is settled already. A job that is refused changes nothing for the others. */
  #plan(job: CniJob, out: EventOutput): Plan | undefined {
    if (job.signal.aborted) {
      job.reject(canceled(job));
      return undefined;
    }
    try {
      const { request } = job;
      switch (request.command) {
        case "ADD":
          return this.#planAdd(job, request, out);
        case "DEL": {
          const sandbox = job.sandbox && this.#sandboxes.get(job.sandbox);
          // There may be a record that could not be read, or that could not be removed.
          if (!sandbox && job.sandbox) out.remember(sandboxKey(job.sandbox), undefined);
          return { kind: "del", job, gone: this.#planRemoval(sandbox ? [sandbox] : [], out) };
        }
        case "GC": {
          const valid = new Set(request.validAttachments.map((a) => `${a.containerId}/${a.ifname}`));
          const stale = [...this.#sandboxes.values()].filter(
            (s) => s.network === request.network && !valid.has(s.row.id),
          );
          return { kind: "del", job, gone: this.#planRemoval(stale, out) };
        }
        case "CHECK": {
          const sandbox = job.sandbox && this.#sandboxes.get(job.sandbox);
          if (sandbox) return { kind: "check", job, sandbox };
          throw new CniError("UNKNOWN_CONTAINER", `no pod interface ${job.sandbox ?? ""} was added on this node`);
        }
      }
    } catch (e) {
      job.reject(toError(e));
    }
    return undefined;
  }

  #planAdd(job: CniJob, request: CniAddRequest, out: EventOutput): Plan {
    const { clock, mtu } = this.#options;
    const id = job.sandbox as SandboxId;
    const netnsId = job.netnsId;
    if (!netnsId) throw new Error(`ADD ${id} without its namespace's identity`);
    const existing = this.#sandboxes.get(id);
    if (existing) {
      const same = existing.row.netnsId === netnsId;
      if (same && existing.asked === job.asked) return { kind: "again", job, sandbox: existing };
      if (same) {
        throw new CniError(
          "ALREADY_ADDED",
          `${id} was added before, with other parameters`,
          "the runtime must DEL it before it ADDs it again",
        );
      }
    }
    this.#refuseFurther(request);
    const hostPorts = this.#freeHostPorts(id, request);
    // The namespace behind the path is another one: the old pod went away without a DEL.
    if (existing) this.#remove(id, out);
    const ips = this.#allocate(id, request, existing, out);
    const sandbox = newSandbox({
      id,
      netnsId,
      request,
      ips,
      hostPorts,
      maxMtu: mtu(),
      routeMetric: routeMetricOf(this.#sandboxes.values(), netnsId, request),
      further: furtherOf(this.#sandboxes.values(), id, request),
      linkKind: (pod) => this.#options.wiring.linkKind(pod),
      asked: job.asked,
      addedAt: clock.wall(),
    });
    this.#adopt(sandbox);
    out.remember(sandboxKey(id), encodeSandbox(sandbox));
    const keys = new Set([...this.#put(sandbox.row, out), ...(this.#options.alsoNeeds?.(sandbox.row) ?? [])]);
    return { kind: "add", job, sandbox, keys };
  }

  /** `existing`, removed just now, is back as it was when there are no addresses for the pod that takes its place. */
  #allocate(id: SandboxId, request: CniAddRequest, existing: Sandbox | undefined, out: EventOutput) {
    const { addresses } = this.#options;
    const requested = request.options.ips.map((ip) => ip.address);
    try {
      return addresses.allocate(id, requested);
    } catch (e) {
      if (existing) {
        addresses.keep(id, existing.row.ips);
        this.#adopt(existing);
        out.remember(sandboxKey(id), encodeSandbox(existing));
        this.#put(existing.row, out);
      }
      throw e;
    }
  }

  #freeHostPorts(id: SandboxId, request: CniAddRequest) {
    const hostPorts = hostPortsOf(request);
    const conflict = this.#hostPorts.conflict(id, hostPorts);
    if (!conflict) return hostPorts;
    const { port, owner } = conflict;
    throw new CniError("INVALID_CONFIG", `host port ${port.hostPort}/${port.protocol} is taken`, `by the pod ${owner}`);
  }

  #refuseFurther({ options }: CniAddRequest): void {
    for (const { name, kind } of options.interfaces ?? []) {
      const why = this.#options.wiring.refusesFurther(kind);
      if (why !== undefined) {
        throw new CniError("INVALID_CONFIG", `the pod cannot have its interface ${name}/${kind}`, why);
      }
    }
  }

  #planRemoval(gone: readonly Sandbox[], out: EventOutput): readonly Removal[] {
    return gone.map((sandbox) => {
      // As they are until the handlers behind this one learn of it.
      const hostPorts = this.#hostPortItems(sandbox.row).map(({ key }) => key);
      return { sandbox, keys: this.#remove(sandbox.row.id, out).union(new Set(hostPorts)) };
    });
  }

  /** Answers an ADD that is in force; returns one that is not. */
  #finishAdd(plan: Plan, outcome: EventOutcome): FailedAdd | undefined {
    if (plan.kind !== "add") return undefined;
    // Handlers behind this one have said by now what they do about it.
    const keys = new Set([...plan.keys, ...this.#hostPortItems(plan.sandbox.row).map(({ key }) => key)]);
    const error = addError({ ...plan, keys }, outcome);
    if (error) return { plan, error };
    plan.job.resolve(this.#result(plan.job, plan.sandbox));
    return undefined;
  }

  /** Takes back what failed ADDs have done, then answers them. */
  #undo(failed: readonly FailedAdd[]): void {
    if (failed.length === 0) return;
    const answer = () => {
      for (const { plan, error } of failed) plan.job.reject(error);
    };
    this.#options.queue.followUp(
      new UndoEvent(
        failed.map(({ plan }) => plan.sandbox.row.id),
        answer,
      ),
    );
  }

  #finishDel(plan: Plan & { kind: "del" }, { txn, rememberError }: EventOutcome): void {
    const left: Sandbox[] = [];
    const errors: string[] = [];
    for (const { sandbox, keys } of plan.gone) {
      const error = rememberError ?? [...keys].map((key) => txn?.errors.get(key)).find((e) => e !== undefined);
      if (!error) continue;
      left.push(sandbox);
      errors.push(`${sandbox.row.id}: ${fullMessage(error)}`);
    }
    if (left.length === 0) {
      plan.job.resolve();
      return;
    }
    this.#keep(left);
    plan.job.reject(new CniError("TRY_AGAIN_LATER", "not everything could be removed", errors.join("; ")));
  }

  /** Otherwise the runtime's next DEL would find nothing, and call what is left a success. */
  #keep(sandboxes: readonly Sandbox[]): void {
    if (sandboxes.length === 0) return;
    for (const sandbox of sandboxes) this.#adopt(sandbox);
    this.#options.queue.followUp(new KeepEvent(sandboxes.map((s) => s.row.id)));
  }

  async #finishCheck(plan: Plan): Promise<void> {
    if (plan.kind !== "check" && plan.kind !== "again") return;
    const { row } = plan.sandbox;
    try {
      const problems = await this.#options.wiring.check(...this.#expected(plan), this.#hostPortItems(row));
      if (problems.length === 0) plan.job.resolve(this.#result(plan.job, plan.sandbox));
      else throw new CniError("CHECK_FAILED", `the wiring of ${row.id} is not as it was added`, problems.join("; "));
    } catch (e) {
      plan.job.reject(toError(e));
    }
  }

  /** CHECK judges what the chain's final result still lists: a later plugin may have changed or removed things. */
  #expected({ job, sandbox }: Plan & { kind: "again" | "check" }): readonly [PodRow, PodEndNow | undefined] {
    const { request } = job;
    const { row } = sandbox;
    if (request.command !== "CHECK") return [row, undefined];
    const expected = expectedState(request.prevResult, podResult(row, this.#options.wiring.gateways), request);
    const ips = row.ips.filter((ip) => expected.ips.some((listed) => listed.address.startsWith(`${ip}/`)));
    // Results before version 1.1.0 tell no MTU.
    const now = { mtu: expected.interface.mtu ?? 0, routes: expected.routes.map((route) => route.dst) };
    return [{ ...row, mac: expected.interface.mac ?? row.mac, ips }, now];
  }

  #result(job: CniJob, sandbox: Sandbox) {
    if (job.request.command !== "ADD") return undefined;
    return addResult(sandbox.row, this.#options.wiring.gateways, job.request);
  }

  #hostPortItems({ id, hostPorts }: PodRow): readonly KeyValue[] {
    return hostPorts.length === 0 ? [] : [...(this.#options.hostPortItems?.(id) ?? [])];
  }

  #adopt(sandbox: Sandbox): void {
    this.#sandboxes.set(sandbox.row.id, sandbox);
    this.#hostPorts.claim(sandbox.row.id, sandbox.row.hostPorts);
  }

  #put(row: PodRow, out: EventOutput): ReadonlySet<Key> {
    const keys = new Set<Key>();
    for (const { key, value } of this.#options.wiring.render(row)) {
      out.put(key, value);
      keys.add(key);
    }
    return keys;
  }

  /** Keys of what goes; none when the sandbox is unknown. */
  #remove(id: SandboxId, out: EventOutput): ReadonlySet<Key> {
    const sandbox = this.#sandboxes.get(id);
    const keys = new Set<Key>();
    this.#options.addresses.release(id);
    out.remember(sandboxKey(id), undefined);
    if (!sandbox) return keys;
    this.#sandboxes.delete(id);
    this.#hostPorts.release(id, sandbox.row.hostPorts);
    for (const { key } of this.#options.wiring.render(sandbox.row)) {
      out.delete(key);
      keys.add(key);
    }
    return keys;
  }
}
