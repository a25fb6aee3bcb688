import { toError } from "../base/errors/errors.ts";
import type { IpAddress } from "../base/ip/address.ts";
import {
  type ControllerEvent,
  type EventOutcome,
  type EventOutput,
  type Handler,
  isResync,
  isStoreEvent,
  type ResyncEvent,
} from "../controller/api.ts";
import type { Log } from "../infra/log/log.ts";
import type { Key, KeyValue } from "../kvscheduler/api/descriptor.ts";
import { isUnreadable } from "../models/k8s/entry.ts";
import { K8S_PREFIX } from "../models/k8s/keys.ts";
import type { SandboxId } from "../pods/api.ts";
import type {
  Change,
  HealthCheck,
  ObjectName,
  PodHostPorts,
  ReflectedInput,
  ServiceChanges,
  ServiceConfig,
  ServiceInput,
  ServiceItem,
  ServiceProblems,
  ServiceWiring,
} from "./api.ts";
import { ServiceEngine, type ServiceStats } from "./engine.ts";
import { serviceInput } from "./inputs.ts";
import { problemObjectText } from "./problems.ts";
import { mayLeaveStale, type StaleConnections } from "./stale.ts";

export interface ServiceHandlerOptions {
  readonly wiring: ServiceWiring;
  readonly engine: ServiceConfig;
  /** False: the cluster's services are left to others, and only host ports are served. */
  readonly serves: boolean;
  /** Of this node's pods, in the order in which they were added; the same object as long as they are the same. */
  readonly hostPorts: () => Iterable<readonly [SandboxId, PodHostPorts]>;
  /** Whether an event may have changed them: pods come first in the chain. */
  readonly changesHostPorts: (event: ControllerEvent) => boolean;
  /** Addresses of this node's interfaces as they are now. */
  readonly ownAddresses: () => readonly IpAddress[];
  readonly stale: StaleConnections;
  readonly log: Log;
  /** An event has been taken in: what it comes to, and which checks load balancers may make from now on. */
  readonly handled?: (event: ControllerEvent, changes: ServiceChanges, healthChecks: readonly HealthCheck[]) => void;
  /** The event is over: whether what it has changed is in force, and whether that is so of all that came before. */
  readonly finished?: (event: ControllerEvent, changes: ServiceChanges, done: ServicesDone) => void;
  /** How items are now. The dataplane tries again what has failed, and tells nobody here. */
  readonly isInPlace: (key: Key) => boolean;
}

export interface ServicesDone {
  /** The event's own changes are in force. */
  readonly isApplied: boolean;
  readonly isWaiting: boolean;
}

/** An object of the store that can't be read. */
export interface UnreadableObject extends ObjectName {
  readonly kind: ReflectedInput["kind"];
  readonly problem: string;
}

export interface ServiceStatus extends Omit<ServiceStats, "problems"> {
  /** False: services are left to others. */
  readonly served: boolean;
  readonly nodePortAddresses: readonly IpAddress[];
  readonly serviceCidrs: readonly string[];
  readonly problems: readonly ServiceProblems[];
  /** Sorted by key. */
  readonly unreadable: readonly UnreadableObject[];
  /** Items of the dataplane that are not in place as they should be. */
  readonly missing: readonly Key[];
  /** Connections that were ended since the start because their endpoint was gone. */
  readonly staleEnded: number;
  readonly warnings: readonly string[];
}

const OWN_ADDRESSES = "own-addresses";

/** Tells that the node's own addresses have changed. */
export const ownAddressesEvent = (): ControllerEvent => ({
  kind: OWN_ADDRESSES,
  describe: () => "this node's addresses have changed",
});

export const isOwnAddressesEvent = (event: ControllerEvent): boolean => event.kind === OWN_ADDRESSES;

/** Keeps in force what the cluster's services and host ports say, on this node. Stands behind pods and policies in the chain. */
export class ServiceHandler implements Handler {
  readonly name = "services";
  readonly #options: ServiceHandlerOptions;
  #engine: ServiceEngine;
  #own = "";
  #hostPorts = new Map<SandboxId, PodHostPorts>();
  readonly #unreadable = new Map<string, UnreadableObject>();
  /** What has come of the objects and was not put in place: items that have failed, or that wait for others. */
  readonly #missing = new Set<Key>();
  #isUnderWay = false;
  readonly #changes = new WeakMap<ControllerEvent, ServiceChanges>();
  /** Items that an event puts or deletes. */
  readonly #items = new WeakMap<ControllerEvent, ReadonlySet<Key>>();

  /** @throws IpError for a network of the configuration that is none. */
  constructor(options: ServiceHandlerOptions) {
    this.#options = options;
    this.#engine = new ServiceEngine(options.engine);
  }

  /** Of now: a resync makes another one. For explanations. */
  get engine(): ServiceEngine {
    return this.#engine;
  }

  /** Whether anything that was taken in is not in force: an event is being worked on, or has left items undone. */
  get isWaiting(): boolean {
    return this.#isUnderWay || this.#stillMissing().size > 0;
  }

  status(): ServiceStatus {
    const { base } = this.#engine;
    const { problem, ended } = this.#options.stale;
    return {
      served: this.#options.serves,
      ...this.#engine.stats(),
      nodePortAddresses: base.nodePortAddresses,
      serviceCidrs: base.serviceCidrs,
      problems: this.#engine.problems(),
      unreadable: [...this.#unreadable].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, object]) => object),
      missing: [...this.#stillMissing()].sort(),
      staleEnded: ended,
      warnings: problem === undefined ? [] : [problem],
    };
  }

  /** What a pod's host ports come to, as they are by now. */
  hostPortItems(id: SandboxId): Iterable<KeyValue> {
    return this.#options.wiring.renderHostPorts(this.#engine.hostPortsOf(id));
  }

  handles(event: ControllerEvent): boolean {
    const { serves, changesHostPorts } = this.#options;
    if (isOwnAddressesEvent(event) || changesHostPorts(event)) return true;
    return serves && isStoreEvent(event) && event.changes.some(({ key }) => key.startsWith(K8S_PREFIX));
  }

  resync(event: ResyncEvent, out: EventOutput): void {
    const { wiring, engine } = this.#options;
    this.#engine = new ServiceEngine(engine);
    this.#own = "";
    this.#hostPorts.clear();
    this.#unreadable.clear();
    const inputs: ServiceInput[] = [...this.#ownInputs(), ...this.#hostPortInputs()];
    for (const [key, entry] of event.entries) inputs.push(...this.#read(key, entry.value));
    const changes = this.#engine.apply(inputs);
    this.#missing.clear();
    this.#put(event, changes, [...wiring.serviceBase(), ...wiring.renderServices(this.#engine.rows())], out);
  }

  update(event: ControllerEvent, out: EventOutput): void {
    const inputs: ServiceInput[] = isOwnAddressesEvent(event) ? [...this.#ownInputs()] : [];
    if (this.#options.changesHostPorts(event)) inputs.push(...this.#hostPortInputs());
    if (isStoreEvent(event)) {
      for (const change of event.changes) inputs.push(...this.#read(change.key, change.new?.value));
    }
    if (inputs.length === 0) return;
    const changes = this.#engine.apply(inputs);
    this.#put(event, changes, [...this.#options.wiring.renderServiceChanges(changes, this.#engine)], out);
  }

  finish(event: ControllerEvent, { txn }: EventOutcome): void {
    const { finished, stale } = this.#options;
    const changes = this.#changes.get(event);
    if (!changes) return;
    const items = this.#items.get(event) ?? new Set();
    for (const key of items) this.#missing.delete(key);
    for (const key of [...(txn?.errors.keys() ?? []), ...(txn?.pending ?? [])]) {
      if (items.has(key)) this.#missing.add(key);
    }
    this.#isUnderWay = false;
    const isApplied = ![...items].some((key) => this.#missing.has(key));
    finished?.(event, changes, { isApplied, isWaiting: this.isWaiting });
    // Nobody knows what happened before a resync.
    if (isResync(event) || mayLeaveStale(changes)) stale.look(this.#engine);
  }

  close(): Promise<void> {
    return this.#options.stale.close();
  }

  #stillMissing(): ReadonlySet<Key> {
    for (const key of this.#missing) if (this.#options.isInPlace(key)) this.#missing.delete(key);
    return this.#missing;
  }

  #put(event: ControllerEvent, changes: ServiceChanges, items: readonly ServiceItem[], out: EventOutput): void {
    for (const { key, value } of items) {
      if (value === undefined) out.delete(key);
      else out.put(key, value);
    }
    this.#isUnderWay = true;
    this.#changes.set(event, changes);
    this.#items.set(event, new Set(items.map(({ key }) => key)));
    for (const change of changes.problems) this.#tell(change);
    this.#options.handled?.(event, changes, this.#engine.healthChecks());
  }

  /** What is wrong by now, and was not before. */
  #tell({ old, new: now }: Change<ServiceProblems>): void {
    const known = new Set(old?.problems.map((p) => JSON.stringify(p)));
    for (const problem of now?.problems ?? []) {
      if (!now || known.has(JSON.stringify(problem))) continue;
      const { code, at, message, effect } = problem;
      this.#options.log.warn({ object: problemObjectText(now.object), code, at, effect }, message);
    }
  }

  /** Keys that mean nothing are for policies to complain of, or for nobody. */
  *#read(key: string, value: Uint8Array | undefined): Iterable<ServiceInput> {
    if (!this.#options.serves || !key.startsWith(K8S_PREFIX)) return;
    this.#unreadable.delete(key);
    try {
      const input = serviceInput(key, value);
      if (input && isUnreadable(input.object)) {
        this.#unreadable.set(key, { kind: input.kind, ...input.at, problem: input.object.unreadable });
      }
      if (input) yield input;
    } catch (e) {
      this.#options.log.debug({ key, reason: toError(e).message }, "unknown key among the reflected objects");
    }
  }

  *#ownInputs(): Iterable<ServiceInput> {
    const addresses = this.#options.ownAddresses();
    const own = addresses.join();
    if (own === this.#own) return;
    this.#own = own;
    yield { kind: "own-addresses", addresses };
  }

  /** What is other than when this was asked last. */
  *#hostPortInputs(): Iterable<ServiceInput> {
    const before = this.#hostPorts;
    this.#hostPorts = new Map(this.#options.hostPorts());
    for (const id of before.keys()) {
      if (!this.#hostPorts.has(id)) yield { kind: "host-ports", id, object: undefined };
    }
    for (const [id, object] of this.#hostPorts) {
      if (before.get(id) !== object) yield { kind: "host-ports", id, object };
    }
  }
}
