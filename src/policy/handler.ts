import { isDeepStrictEqual } from "node:util";
import type { Clock } from "../base/clock/clock.ts";
import { toError } from "../base/errors/errors.ts";
import {
  type ControllerEvent,
  type EventOutcome,
  type EventOutput,
  type Handler,
  isStoreEvent,
  type ResyncEvent,
} from "../controller/api.ts";
import type { Log } from "../infra/log/log.ts";
import type { Key } from "../kvscheduler/api/descriptor.ts";
import { isUnreadable } from "../models/k8s/entry.ts";
import { K8S_PREFIX } from "../models/k8s/keys.ts";
import type { LocalPod, ObjectName, PodPolicyRow, PolicyInput, PolicyProblems, PolicyWiring } from "./api.ts";
import { type EngineOptions, type EngineStats, PolicyEngine } from "./engine.ts";
import { policyInput } from "./inputs.ts";
import { Rejudging } from "./rejudging.ts";
import { touched } from "./touched.ts";
import { View } from "./view.ts";

export interface PolicyHandlerOptions {
  readonly wiring: PolicyWiring;
  readonly engine: EngineOptions;
  /** This node's wirings as they are now. */
  readonly locals: () => Iterable<LocalPod>;
  /** Whether an event changes what {@link locals} tells. */
  readonly changesLocals: (event: ControllerEvent) => boolean;
  readonly clock: Clock;
  readonly log: Log;
  /** What the event has changed is in force. */
  readonly applied?: (event: ControllerEvent) => void;
}

/** An object of the store that can't be read; what depends on it fails closed. */
export interface UnreadableObject extends ObjectName {
  readonly kind: PolicyInput["kind"];
  readonly problem: string;
}

export interface PolicyStatus extends EngineStats {
  /** Wirings whose policies can't be known, and why. */
  readonly isolatedPods: readonly { readonly pod: string; readonly reason: string }[];
  /** Wirings whose policies can't be known, and which are open all the same, as configured. */
  readonly openPods: readonly { readonly pod: string; readonly reason: string }[];
  readonly problems: readonly PolicyProblems[];
  /** Sorted by key. */
  readonly unreadable: readonly UnreadableObject[];
  /** Keys of the store that mean nothing. */
  readonly unreadableKeys: readonly string[];
  /** {@link View.digest} of the objects by which what is in force was made: of the last of which nothing has failed. */
  readonly view: string;
  /** Items of the dataplane that are not in place as they should be. */
  readonly missing: readonly Key[];
  readonly connections: Rejudging["totals"];
  readonly warnings: readonly string[];
}

/** A pod's name, and which of that name it is. */
type KnownPod = ObjectName & { readonly uid?: string | undefined };

/**
 * Keeps in force what the cluster's policies say of this node's pods. Stands behind the pods in the chain: a pod's interface
 * and what judges its packets are made in one transaction.
 */
export class PolicyHandler implements Handler {
  readonly name = "policy";
  readonly #options: PolicyHandlerOptions;
  readonly #rejudging: Rejudging;
  #engine: PolicyEngine;
  #locals = new Map<string, LocalPod>();
  readonly #badKeys = new Set<string>();
  readonly #unreadable = new Map<string, UnreadableObject>();
  #view = new View();
  #inForce = "";
  /** {@link View.digest} after the last event. */
  #handled = "";
  /** What has come of the objects since is not all in place: items that have failed, or that wait for others. */
  readonly #missing = new Set<Key>();
  /** Items that an event puts or deletes. */
  readonly #items = new WeakMap<ControllerEvent, ReadonlySet<Key>>();
  readonly #touched = new WeakMap<ControllerEvent, ReadonlySet<string>>();
  readonly #waiting = new Set<{ readonly pod: KnownPod; readonly wake: () => void }>();

  constructor(options: PolicyHandlerOptions) {
    this.#options = options;
    this.#engine = new PolicyEngine(options.engine);
    this.#rejudging = new Rejudging({
      wiring: options.wiring,
      rows: () => this.#engine.podRows(),
      judge: (...asked) => this.#engine.verdict(...asked),
      clock: options.clock,
      log: options.log,
    });
  }

  /** Of now: a resync makes another one. For explanations. */
  get engine(): PolicyEngine {
    return this.#engine;
  }

  /** `isInPlace`: how items are now. The dataplane tries again what has failed, and tells nobody here. */
  status(isInPlace: (key: Key) => boolean): PolicyStatus {
    const { problem } = this.#rejudging;
    for (const key of this.#missing) if (isInPlace(key)) this.#missing.delete(key);
    if (this.#missing.size === 0) this.#inForce = this.#handled;
    return {
      ...this.#engine.stats(),
      isolatedPods: this.#unknownPods(({ isolated }) => isolated),
      openPods: this.#unknownPods(({ openThough }) => openThough),
      problems: this.#engine.policies.problems(),
      unreadable: [...this.#unreadable].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, object]) => object),
      unreadableKeys: [...this.#badKeys].sort(),
      view: this.#inForce,
      missing: [...this.#missing].sort(),
      connections: this.#rejudging.totals,
      warnings: problem === undefined ? [] : [problem],
    };
  }

  #unknownPods(reasonOf: (row: PodPolicyRow) => string | undefined): { pod: string; reason: string }[] {
    return this.#engine.podRows().flatMap((row) => {
      const reason = reasonOf(row);
      return reason === undefined ? [] : [{ pod: `${row.pod.namespace}/${row.pod.name}`, reason }];
    });
  }

  /** Resolves once the policies of a pod of this name can be known. Rejects with the signal's reason. */
  async whenKnown(pod: KnownPod, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#engine.isolation(pod) === undefined) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter = { pod, wake: resolve };
    const leave = () => reject(toError(signal.reason));
    this.#waiting.add(waiter);
    signal.addEventListener("abort", leave, { once: true });
    try {
      await promise;
    } finally {
      this.#waiting.delete(waiter);
      signal.removeEventListener("abort", leave);
    }
  }

  handles(event: ControllerEvent): boolean {
    if (this.#options.changesLocals(event)) return true;
    return isStoreEvent(event) && event.changes.some(({ key }) => key.startsWith(K8S_PREFIX));
  }

  resync(event: ResyncEvent, out: EventOutput): void {
    const { wiring, engine } = this.#options;
    this.#engine = new PolicyEngine(engine);
    this.#locals = new Map();
    this.#badKeys.clear();
    this.#unreadable.clear();
    this.#view = new View();
    const inputs: PolicyInput[] = [];
    for (const [key, entry] of event.entries) inputs.push(...this.#read(key, entry.value));
    this.#engine.apply([...inputs, ...this.#localInputs()]);
    const rows = this.#engine.rows();
    const items = [...wiring.policyBase(), ...wiring.renderPolicies(rows)];
    for (const { key, value } of items) out.put(key, value);
    this.#missing.clear();
    this.#items.set(event, new Set(items.map(({ key }) => key)));
    // Whatever happened while nobody looked.
    this.#touched.set(event, new Set(rows.pods.map(({ id }) => id)));
  }

  update(event: ControllerEvent, out: EventOutput): void {
    const inputs: PolicyInput[] = [];
    if (isStoreEvent(event)) {
      for (const change of event.changes) inputs.push(...this.#read(change.key, change.new?.value));
    }
    if (this.#options.changesLocals(event)) inputs.push(...this.#localInputs());
    if (inputs.length === 0) return;
    const changes = this.#engine.apply(inputs);
    const items = [...this.#options.wiring.renderPolicyChanges(changes, this.#engine)];
    for (const { key, value } of items) {
      if (value === undefined) out.delete(key);
      else out.put(key, value);
    }
    this.#items.set(event, new Set(items.map(({ key }) => key)));
    this.#touched.set(event, touched(changes, this.#engine.podRows(), this.#engine));
  }

  /** Connections are judged by what is in force by now; nobody waits for it. */
  finish(event: ControllerEvent, { txn }: EventOutcome): void {
    const items = this.#items.get(event) ?? new Set();
    for (const key of items) this.#missing.delete(key);
    for (const key of [...(txn?.errors.keys() ?? []), ...(txn?.pending ?? [])]) {
      if (items.has(key)) this.#missing.add(key);
    }
    if (![...items].some((key) => this.#missing.has(key))) this.#options.applied?.(event);
    this.#handled = this.#view.digest;
    if (this.#missing.size === 0) this.#inForce = this.#handled;
    this.#rejudging.add(this.#touched.get(event) ?? []);
    for (const { pod, wake } of this.#waiting) if (this.#engine.isolation(pod) === undefined) wake();
  }

  close(): Promise<void> {
    return this.#rejudging.close();
  }

  *#read(key: string, value: Uint8Array | undefined): Iterable<PolicyInput> {
    if (!key.startsWith(K8S_PREFIX)) return;
    this.#view.set(key, value);
    try {
      const input = policyInput(key, value);
      this.#badKeys.delete(key);
      this.#unreadable.delete(key);
      if (input && input.kind !== "local" && isUnreadable(input.object)) {
        this.#unreadable.set(key, { kind: input.kind, ...input.at, problem: input.object.unreadable });
      }
      if (input) yield input;
    } catch (e) {
      if (value === undefined) this.#badKeys.delete(key);
      else this.#badKeys.add(key);
      this.#options.log.warn({ key, reason: toError(e).message }, "unknown key among the reflected objects");
    }
  }

  /** What has become of this node's wirings since last asked. */
  *#localInputs(): Iterable<PolicyInput> {
    const now = new Map([...this.#options.locals()].map((local) => [local.id, local]));
    for (const id of this.#locals.keys()) if (!now.has(id)) yield { kind: "local", id, object: undefined };
    for (const [id, object] of now) {
      const before = this.#locals.get(id);
      if (before !== object && !isDeepStrictEqual(before, object)) yield { kind: "local", id, object };
    }
    this.#locals = now;
  }
}
