import type { ControllerEvent } from "../controller/api.ts";
import type { NetnsIdentity, SandboxId } from "./api.ts";
import { sandboxId } from "./api.ts";
import { CniError } from "./cni/errors.ts";
import type { CniAddRequest, CniCheckRequest, CniDelRequest, CniGcRequest } from "./cni/request.ts";
import type { CniResult } from "./cni/result.ts";

export type QueuedRequest = CniAddRequest | CniCheckRequest | CniDelRequest | CniGcRequest;

/** One CNI operation on its way through the loop. Settled exactly once; later settlements are ignored. */
export class CniJob {
  readonly request: QueuedRequest;
  /** Aborts when nobody waits for the answer any more: the runtime gave up, or the deadline passed. */
  readonly signal: AbortSignal;
  /** Of the ADD's namespace. */
  readonly netnsId: NetnsIdentity | undefined;
  /** Digest of the request. */
  readonly asked: string;
  readonly #settled = Promise.withResolvers<CniResult | undefined>();

  constructor(request: QueuedRequest, signal: AbortSignal, asked: string, netnsId?: NetnsIdentity) {
    this.request = request;
    this.signal = signal;
    this.asked = asked;
    this.netnsId = netnsId;
    // A job may be rejected before the server looks at it.
    this.#settled.promise.catch(() => {});
  }

  get settled(): Promise<CniResult | undefined> {
    return this.#settled.promise;
  }

  /** The sandbox concerned; GC concerns all. */
  get sandbox(): SandboxId | undefined {
    return this.request.command === "GC" ? undefined : sandboxId(this.request.containerId, this.request.ifname);
  }

  /** Whether it takes something away rather than make or look at it. */
  get removes(): boolean {
    return this.request.command === "DEL" || this.request.command === "GC";
  }

  resolve(result?: CniResult): void {
    this.#settled.resolve(result);
  }

  reject(error: Error): void {
    this.#settled.reject(error);
  }

  describe(): string {
    const { request } = this;
    if (request.command === "GC") return `GC of network ${request.network}`;
    const { args } = request;
    const pod = args.podName ? ` (${args.podNamespace ?? ""}/${args.podName})` : "";
    return `${request.command} ${request.containerId.slice(0, 12)}/${request.ifname}${pod}`;
  }
}

/** How many requests one event, and so one transaction, carries at most. */
const MAX_BATCH = 64;

/** CNI requests that waited together. No two concern the same sandbox, so their order inside does not matter. */
export class CniEvent implements ControllerEvent {
  readonly kind = "cni";
  readonly onFailure = "own" as const;
  readonly retry = null;
  readonly jobs: CniJob[];
  readonly #sandboxes = new Set<SandboxId>();
  #exclusive: boolean;

  constructor(job: CniJob) {
    this.jobs = [job];
    this.#exclusive = job.sandbox === undefined;
    if (job.sandbox) this.#sandboxes.add(job.sandbox);
  }

  describe(): string {
    const [first] = this.jobs;
    const more = this.jobs.length > 1 ? ` and ${this.jobs.length - 1} more` : "";
    return `CNI ${first?.describe() ?? ""}${more}`;
  }

  dropped(): void {
    for (const job of this.jobs) {
      job.reject(new CniError("TRY_AGAIN_LATER", `${job.request.command} was not begun`, "the agent is being stopped"));
    }
  }

  absorb(next: ControllerEvent): boolean {
    if (!(next instanceof CniEvent) || this.#exclusive || next.#exclusive) return false;
    if (this.jobs.length + next.jobs.length > MAX_BATCH) return false;
    for (const id of next.#sandboxes) if (this.#sandboxes.has(id)) return false;
    this.jobs.push(...next.jobs);
    for (const id of next.#sandboxes) this.#sandboxes.add(id);
    return true;
  }
}

export const isCniEvent = (e: ControllerEvent): e is CniEvent => e instanceof CniEvent;

/** Takes back what an ADD that failed, or whose caller went away, has done so far; then answers. */
export class UndoEvent implements ControllerEvent {
  readonly kind = "cni-undo";
  readonly ids: readonly SandboxId[];
  readonly #done: () => void;

  constructor(ids: readonly SandboxId[], done: () => void) {
    this.ids = ids;
    this.#done = done;
  }

  describe(): string {
    return `undo of ${this.ids.length} failed ADD(s)`;
  }

  /** The callers have failed either way; the runtime's DEL takes back what is left. */
  dropped(): void {
    this.#done();
  }

  done(): void {
    this.#done();
  }
}

export const isUndo = (e: ControllerEvent): e is UndoEvent => e instanceof UndoEvent;

export interface LostSandbox {
  readonly id: SandboxId;
  /** Of the namespace that is gone; the sandbox may have been added anew, in another one. */
  readonly netnsId: NetnsIdentity;
}

/** Sandboxes whose namespace is gone without a DEL: a runtime that crashed, a node that was rebooted. */
export class LostSandboxesEvent implements ControllerEvent {
  readonly kind = "sandboxes-lost";
  readonly lost: readonly LostSandbox[];

  constructor(lost: readonly LostSandbox[]) {
    this.lost = lost;
  }

  describe(): string {
    return `${this.lost.length} sandbox(es) without their namespace`;
  }
}

export const isLostSandboxes = (e: ControllerEvent): e is LostSandboxesEvent => e instanceof LostSandboxesEvent;

/** A sandbox that DEL could not remove; it is kept so that the next DEL tries again. */
export class KeepEvent implements ControllerEvent {
  readonly kind = "cni-keep";
  readonly ids: readonly SandboxId[];

  constructor(ids: readonly SandboxId[]) {
    this.ids = ids;
  }

  describe(): string {
    return `${this.ids.length} sandbox(es) that could not be removed`;
  }
}

export const isKeep = (e: ControllerEvent): e is KeepEvent => e instanceof KeepEvent;

export const canceled = (job: CniJob): CniError =>
  new CniError("TRY_AGAIN_LATER", `${job.request.command} was given up before it was done`, String(job.signal.reason));
