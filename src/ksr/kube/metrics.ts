import { Counter, type Registry } from "../../infra/metrics/metrics.ts";

/** `heddle_ksr_*` of what the API server is asked and tells. */
export class KubeMetrics {
  readonly events: Counter<"kind" | "type">;
  readonly lists: Counter<"kind">;
  readonly watches: Counter<"kind">;
  readonly errors: Counter<"kind" | "reason">;

  constructor(registry: Registry) {
    const registers = [registry];
    this.events = new Counter({
      name: "heddle_ksr_events_total",
      help: "Events of watches",
      labelNames: ["kind", "type"],
      registers,
    });
    this.lists = new Counter({
      name: "heddle_ksr_lists_total",
      help: "Complete listings; more than one a kind means that history was gone",
      labelNames: ["kind"],
      registers,
    });
    this.watches = new Counter({
      name: "heddle_ksr_watches_total",
      help: "Watches that were begun",
      labelNames: ["kind"],
      registers,
    });
    this.errors = new Counter({
      name: "heddle_ksr_source_errors_total",
      help: "Requests to the API server that failed",
      labelNames: ["kind", "reason"],
      registers,
    });
  }
}
