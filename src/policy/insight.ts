import type { Clock } from "../base/clock/clock.ts";
import { toError } from "../base/errors/errors.ts";
import { type ControllerEvent, isStoreEvent } from "../controller/api.ts";
import type { Log } from "../infra/log/log.ts";
import { Histogram, LATENCY_BUCKETS, type Registry } from "../infra/metrics/metrics.ts";
import { K8S_PREFIX } from "../models/k8s/keys.ts";
import { stampOf } from "../models/k8s/proto/stamp.ts";
import { type Count, type Direction, type PolicyCounts, type PolicyWiring, refText } from "./api.ts";
import { Attribution } from "./attribution.ts";
import { DeniedLog } from "./denied-log.ts";
import type { PolicyEngine } from "./engine.ts";
import { Tally, type TallyEntry } from "./tally.ts";

export interface InsightOptions {
  readonly engine: () => PolicyEngine;
  readonly wiring: Pick<PolicyWiring, "counts" | "followDenied">;
  readonly deniedLog: { readonly perSecond: number; readonly repeatSeconds: number };
  readonly clock: Clock;
  readonly log: Log;
  readonly registry: Registry;
}

/** What policies have decided on this node. Absent parts are what the dataplane does not count. */
export interface PolicyCounters {
  readonly rules: readonly TallyEntry[];
  readonly pods: readonly DeniedToPod[];
  readonly stopped?: Count | undefined;
  readonly forged?: Count | undefined;
  /** Why there is nothing, or nothing new. */
  readonly problem?: string | undefined;
}

/** Since the pod was wired. */
export interface DeniedToPod extends Count {
  readonly namespace: string;
  readonly pod: string;
  readonly direction: Direction;
}

/** Counts, logs and measures what policies do on this node. */
export class PolicyInsight {
  readonly #options: InsightOptions;
  readonly #attribution = new Attribution();
  readonly #tally = new Tally();
  readonly #denied: DeniedLog | undefined;
  readonly #inForce: Histogram;
  readonly #propagation: Histogram;
  #reading: Promise<PolicyCounters> | undefined;

  constructor(options: InsightOptions) {
    this.#options = options;
    const { engine, wiring, deniedLog, clock, log, registry } = options;
    if (deniedLog.perSecond > 0 && wiring.followDenied) {
      const denied = new DeniedLog({ engine, clock, log, ...deniedLog });
      wiring.followDenied((packets) => denied.take(packets));
      this.#denied = denied;
    }
    this.#inForce = new Histogram({
      name: "heddle_policy_in_force_seconds",
      help: "From learning of changed objects to packets obeying them",
      buckets: LATENCY_BUCKETS,
      registers: [registry],
    });
    this.#propagation = new Histogram({
      name: "heddle_policy_propagation_seconds",
      help: "From the reflector's learning of a changed object to packets obeying it here, by the clocks of both",
      buckets: LATENCY_BUCKETS,
      registers: [registry],
    });
  }

  /** What an event has changed is in force. */
  applied(event: ControllerEvent): void {
    const { clock } = this.#options;
    // What a resync finds may be as old as it likes.
    if (!isStoreEvent(event) || event.since === undefined) return;
    this.#inForce.observe((clock.now() - event.since) / 1000);
    for (const { key, new: entry } of event.changes) {
      const learned = key.startsWith(K8S_PREFIX) && entry ? stampOf(entry.value) : undefined;
      if (learned !== undefined) this.#propagation.observe(Math.max(0, clock.wall() - learned) / 1000);
    }
  }

  /** Read now. Who asks while it is being read gets the same. */
  counters(): Promise<PolicyCounters> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  close(): void {
    this.#denied?.close();
  }

  async #read(): Promise<PolicyCounters> {
    const { engine: engineNow, wiring } = this.#options;
    if (!wiring.counts) return { rules: [], pods: [], problem: "the dataplane does not count what policies decide" };
    const engine = engineNow();
    const origins = this.#attribution.tables(engine);
    const tables = new Map(
      [...origins.keys()].flatMap((id) => {
        const table = engine.table(id);
        return table ? [[id, table] as const] : [];
      }),
    );
    let counts: PolicyCounts;
    try {
      counts = await wiring.counts(tables.values());
    } catch (e) {
      return { rules: this.#tally.entries(), pods: [], problem: `cannot be read: ${toError(e).message}` };
    }
    this.#tally.add(counts, tables, origins);
    const names = new Set([...engine.policies.all()].map(({ ref }) => refText(ref)));
    this.#tally.forget((policy) => names.has(refText(policy)));
    return { rules: this.#tally.entries(), pods: deniedToPods(engine, counts), ...rest(counts) };
  }
}

const rest = ({ stopped, forged }: PolicyCounts) => ({ stopped, forged });

/** A pod with several wirings is one pod. */
function deniedToPods(engine: PolicyEngine, { denied }: PolicyCounts): DeniedToPod[] {
  const byPod = new Map<string, DeniedToPod>();
  for (const { id, direction, packets, bytes } of denied) {
    const pod = engine.row(id)?.pod;
    if (!pod) continue;
    const key = `${pod.namespace}/${pod.name} ${direction}`;
    const before = byPod.get(key);
    byPod.set(key, {
      namespace: pod.namespace,
      pod: pod.name,
      direction,
      packets: packets + (before?.packets ?? 0),
      bytes: bytes + (before?.bytes ?? 0),
    });
  }
  return [...byPod].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, count]) => count);
}
