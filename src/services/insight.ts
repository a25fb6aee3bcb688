import type { Clock } from "../base/clock/clock.ts";
import { type ControllerEvent, isStoreEvent } from "../controller/api.ts";
import { Counter, Gauge, Histogram, type Registry } from "../infra/metrics/metrics.ts";
import type { ServiceChanges } from "./api.ts";

/** kube-proxy's: 0.25 and 0.5 s, every second up to a minute, and some up to five (pkg/proxy/metrics). */
const PROGRAMMING_BUCKETS = [
  0.25,
  0.5,
  ...Array.from({ length: 59 }, (_, i) => i + 1),
  ...Array.from({ length: 13 }, (_, i) => 60 + 5 * i),
  ...Array.from({ length: 6 }, (_, i) => 150 + 30 * i),
];
/** Of kube-proxy: 15 that double from a millisecond. */
const SYNC_BUCKETS = Array.from({ length: 15 }, (_, i) => 0.001 * 2 ** i);
/** Kube-proxy's default of a minute: what has not been done for so long makes a node unhealthy. */
const PATIENCE_MS = 60_000;

export interface InsightOptions {
  readonly clock: Clock;
  readonly registry: Registry;
}

/** Measures how fast services follow the cluster, under the names that dashboards of kube-proxy know. */
export class ServiceInsight {
  readonly #clock: Clock;
  readonly #programming: Histogram;
  readonly #sync: Histogram;
  readonly #queued: Gauge;
  readonly #synced: Gauge;
  readonly #endpointChanges: Counter;
  readonly #serviceChanges: Counter;
  readonly #began = new WeakMap<ControllerEvent, number>();
  /** When everything was in force for the last time; undefined if it is. */
  #waitingSince: number | undefined;

  constructor({ clock, registry }: InsightOptions) {
    this.#clock = clock;
    const registers = [registry];
    this.#programming = new Histogram({
      name: "kubeproxy_network_programming_duration_seconds",
      help: "From a change of endpoints, as their slice tells, to packets obeying it",
      buckets: PROGRAMMING_BUCKETS,
      registers,
    });
    this.#sync = new Histogram({
      name: "kubeproxy_sync_proxy_rules_duration_seconds",
      help: "From taking changes in to packets obeying them",
      buckets: SYNC_BUCKETS,
      registers,
    });
    this.#queued = new Gauge({
      name: "kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds",
      help: "When changes were last taken in, in seconds since 1970",
      registers,
    });
    this.#synced = new Gauge({
      name: "kubeproxy_sync_proxy_rules_last_timestamp_seconds",
      help: "When changes were last in force, in seconds since 1970",
      registers,
    });
    this.#endpointChanges = new Counter({
      name: "kubeproxy_sync_proxy_rules_endpoint_changes_total",
      help: "Changes of the endpoints among which connections are balanced",
      registers,
    });
    this.#serviceChanges = new Counter({
      name: "kubeproxy_sync_proxy_rules_service_changes_total",
      help: "Changes of where clients reach services",
      registers,
    });
  }

  /** Whether everything that was taken in is in force, or has not been waiting for long. */
  get isCurrent(): boolean {
    return this.#waitingSince === undefined || this.#clock.now() - this.#waitingSince < PATIENCE_MS;
  }

  /** Whether anything that was taken in is not in force now. */
  waits(isWaiting: boolean): void {
    if (isWaiting) this.#waitingSince ??= this.#clock.now();
    else this.#waitingSince = undefined;
  }

  /** Changes are about to be put in force. */
  handled(event: ControllerEvent, changes: ServiceChanges): void {
    this.#began.set(event, this.#clock.now());
    this.waits(true);
    this.#queued.set(this.#clock.wall() / 1000);
    this.#endpointChanges.inc(changes.pools.length);
    this.#serviceChanges.inc(changes.frontends.length);
  }

  /** All that the event has changed is in force. */
  applied(event: ControllerEvent, { triggered }: ServiceChanges): void {
    const began = this.#began.get(event);
    this.#synced.set(this.#clock.wall() / 1000);
    if (began !== undefined) this.#sync.observe((this.#clock.now() - began) / 1000);
    // What a resync finds may be as old as it likes.
    if (!isStoreEvent(event)) return;
    for (const at of triggered) this.#programming.observe(Math.max(0, this.#clock.wall() - at) / 1000);
  }
}
