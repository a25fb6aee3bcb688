import { Counter, Gauge, Histogram, LATENCY_BUCKETS, type Registry } from "../../infra/metrics/metrics.ts";
import type { K8sKind } from "../../models/k8s/keys.ts";

/** What is asked when somebody reads the metrics. */
export interface ReflectorView {
  readonly kinds: readonly KindView[];
  /** How long the store has not been heard of; 0 while it is there. */
  readonly storeBehindMs: number;
}

export interface KindView {
  readonly kind: K8sKind;
  readonly objects: number;
  readonly unwritten: number;
  /** Age of the oldest change that the store does not have, in milliseconds; 0 if there is none. */
  readonly lagMs: number;
  /** Of the last complete listing, milliseconds since 1970; undefined before. */
  readonly listedAt: number | undefined;
  readonly problems: number;
}

/** `heddle_ksr_*` of what is written; `view` undefined where nothing is. Alert on `heddle_ksr_lag_seconds` above 5. */
export class ReflectorMetrics {
  readonly writes: Counter<"kind" | "op">;
  readonly writeErrors: Counter;
  readonly repairs: Counter<"kind">;
  readonly writeSeconds: Histogram<"kind">;
  readonly storeGaps: Counter<"why">;

  constructor(registry: Registry, view: () => ReflectorView | undefined) {
    const registers = [registry];
    const perKind = (name: string, help: string, value: (kind: KindView) => number | undefined): void => {
      new Gauge({
        name,
        help,
        labelNames: ["kind"],
        registers,
        collect() {
          this.reset();
          for (const kind of view()?.kinds ?? []) {
            const v = value(kind);
            if (v !== undefined) this.set({ kind: kind.kind }, v);
          }
        },
      });
    };
    perKind("heddle_ksr_objects", "Objects to be in the store", (k) => k.objects);
    perKind("heddle_ksr_unwritten", "Changes that the store doesn't have yet", (k) => k.unwritten);
    perKind("heddle_ksr_lag_seconds", "Age of the oldest change that the store doesn't have", (k) => k.lagMs / 1000);
    perKind("heddle_ksr_problems", "Objects that can't be reflected as they are", (k) => k.problems);
    perKind("heddle_ksr_last_sync_timestamp_seconds", "Time of the last complete listing", (k) =>
      k.listedAt === undefined ? undefined : k.listedAt / 1000,
    );
    new Gauge({
      name: "heddle_ksr_leader",
      help: "1 for the reflector that writes, 0 for those that stand by",
      registers,
      collect() {
        this.set(view() ? 1 : 0);
      },
    });
    new Gauge({
      name: "heddle_ksr_store_behind_seconds",
      help: "How long the store has not been heard of; 0 while it is there",
      registers,
      collect() {
        this.set((view()?.storeBehindMs ?? 0) / 1000);
      },
    });
    this.writes = new Counter({
      name: "heddle_ksr_writes_total",
      help: "Entries written to the store and deleted from it",
      labelNames: ["kind", "op"],
      registers,
    });
    this.writeErrors = new Counter({
      name: "heddle_ksr_write_errors_total",
      help: "Writes that the store refused or did not answer",
      registers,
    });
    this.repairs = new Counter({
      name: "heddle_ksr_repairs_total",
      help: "Entries that were found to be other than they should",
      labelNames: ["kind"],
      registers,
    });
    this.writeSeconds = new Histogram({
      name: "heddle_ksr_write_seconds",
      help: "From a change in the source to its being in the store",
      labelNames: ["kind"],
      buckets: LATENCY_BUCKETS,
      registers,
    });
    this.storeGaps = new Counter({
      name: "heddle_ksr_store_gaps_total",
      help: "Times that the store had to be compared anew: history gone, or data lost",
      labelNames: ["why"],
      registers,
    });
  }
}
