import { type CallStats, type Distribution, LATENCY_BOUNDS_MS, type SchedulerStats } from "../api/stats.ts";
import { statesOf } from "./text.ts";

type Labels = Readonly<Record<string, string>>;

interface Sample {
  /** `_bucket`, `_sum` and `_count` of a histogram. */
  readonly suffix?: string;
  readonly labels: Labels;
  readonly value: number;
}

/** One metric with all its samples. */
export interface MetricFamily {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly samples: readonly Sample[];
}

/** Version 0.0.4 of Prometheus' text format, which {@link renderMetrics} writes. */
export const METRICS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** The scheduler's metrics. Made when somebody scrapes: an operation pays for its two counters only. Seconds. */
export function schedulerMetrics(stats: SchedulerStats): MetricFamily[] {
  const { transactions, queue, calls, retries, watchers, history } = stats;
  return [
    family(
      "counter",
      "transactions_total",
      "Transactions by kind and outcome",
      transactions.flatMap(({ kind, outcomes }) => each(outcomes, (outcome, value) => one(value, { kind, outcome }))),
    ),
    family(
      "histogram",
      "transaction_seconds",
      "From taking a transaction to its result",
      transactions.flatMap(({ kind, duration }) => histogram(duration, { kind })),
    ),
    family(
      "histogram",
      "queue_wait_seconds",
      "From queueing a transaction to taking it",
      transactions.flatMap(({ kind, wait }) => histogram(wait, { kind })),
    ),
    family(
      "histogram",
      "phase_seconds",
      "Parts of a transaction: refresh, plan, execute, record",
      stats.phases.flatMap(({ phase, duration }) => histogram(duration, { phase })),
    ),
    family("gauge", "queue_length", "Transactions that wait", [one(queue.length)]),
    family("gauge", "queue_capacity", "Transactions that may wait", [one(queue.capacity)]),
    family("counter", "queue_refused_total", "Transactions refused because the queue was full", [one(queue.refused)]),
    family("counter", "notices_merged_total", "Notified keys that joined one that was waiting", [one(queue.merged)]),
    family(
      "counter",
      "operations_total",
      "Calls of descriptors by outcome; late: past the deadline",
      calls.flatMap(({ descriptor, op, outcomes }) =>
        each(outcomes, (outcome, value) => one(value, { descriptor, op, outcome })),
      ),
    ),
    family(
      "histogram",
      "operation_seconds",
      "Duration of what descriptors and commit groups carry out",
      byDescriptor(calls.filter((c) => !isReading(c))),
    ),
    family(
      "histogram",
      "retrieve_seconds",
      "Duration of reading the southbound",
      byDescriptor(calls.filter(isReading)),
    ),
    family(
      "gauge",
      "values",
      "Values by state",
      [...statesOf(stats)].map(([state, value]) => one(value, { state })),
    ),
    family("gauge", "graph_nodes", "Keys that the scheduler knows something of", [one(stats.graph.nodes)]),
    family("gauge", "retries_waiting", "Keys that wait for their retry", [one(retries.waiting)]),
    family("counter", "retries_total", "Retry transactions", [one(retries.run)]),
    family(
      "gauge",
      "suspended",
      "1 for each descriptor or commit group that hangs and is left alone",
      stats.suspended.map((descriptor) => one(1, { descriptor })),
    ),
    family(
      "gauge",
      "awaited_sources",
      "1 for each expected source that has not given its first state",
      stats.awaited.map((source) => one(1, { source })),
    ),
    family("gauge", "watchers", "Open watches of states", [one(watchers.open)]),
    family("counter", "watcher_missed_events_total", "Events that slow watchers missed", [one(watchers.missed)]),
    family("gauge", "history_transactions", "Transactions in the history", [one(history.transactions)]),
    family("gauge", "history_bytes", "Estimated memory of the history", [one(history.bytes)]),
    family("gauge", "longest_slice_seconds", "Longest run of own code between two turns of the event loop", [
      one(stats.longestSliceMs / 1000),
    ]),
  ];
}

const isReading = ({ op }: CallStats): boolean => op === "retrieve" || op === "retrieve-one";

/** One histogram for a descriptor, whatever the operation: sixteen buckets for each would be too many series. */
function byDescriptor(calls: readonly CallStats[]): Sample[] {
  const sums = new Map<string, Distribution>();
  for (const { descriptor, duration } of calls) {
    const sum = sums.get(descriptor);
    sums.set(descriptor, sum === undefined ? duration : added(sum, duration));
  }
  return [...sums].flatMap(([descriptor, duration]) => histogram(duration, { descriptor }));
}

function added(a: Distribution, b: Distribution): Distribution {
  return {
    count: a.count + b.count,
    sumMs: a.sumMs + b.sumMs,
    minMs: Math.min(a.minMs, b.minMs),
    maxMs: Math.max(a.maxMs, b.maxMs),
    buckets: a.buckets.map((n, i) => n + (b.buckets[i] ?? 0)),
  };
}

/** Prometheus' text format. `labels` are added to every sample. */
export function renderMetrics(families: readonly MetricFamily[], labels: Labels = {}): string {
  // Families that are about the same things share their labels, thousands of them.
  const texts = new Map<Labels, string>();
  const textOf = (own: Labels): string => {
    let text = texts.get(own);
    if (text === undefined) texts.set(own, (text = labelText({ ...own, ...labels })));
    return text;
  };
  let text = "";
  for (const { name, help, type, samples } of families) {
    text += `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
    for (const sample of samples) {
      text += `${name}${sample.suffix ?? ""}${textOf(sample.labels)} ${sample.value}\n`;
    }
  }
  return text;
}

function family(type: MetricFamily["type"], name: string, help: string, samples: readonly Sample[]): MetricFamily {
  return { name: `heddle_scheduler_${name}`, help, type, samples };
}

const one = (value: number, labels: Labels = {}): Sample => ({ labels, value });

function each(
  counts: Readonly<Partial<Record<string, number>>>,
  sample: (name: string, value: number) => Sample,
): Sample[] {
  return Object.entries(counts).map(([name, value]) => sample(name, value ?? 0));
}

function histogram(d: Distribution, labels: Labels): Sample[] {
  let below = 0;
  const buckets = LATENCY_BOUNDS_MS.map((bound, i): Sample => {
    below += d.buckets[i] ?? 0;
    return { suffix: "_bucket", labels: { ...labels, le: String(bound / 1000) }, value: below };
  });
  return [
    ...buckets,
    { suffix: "_bucket", labels: { ...labels, le: "+Inf" }, value: d.count },
    { suffix: "_sum", labels, value: d.sumMs / 1000 },
    { suffix: "_count", labels, value: d.count },
  ];
}

/** `{kind="northbound",outcome="ok"}` */
function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function escapeLabel(value: string): string {
  // Few have anything to escape, and looking is cheaper.
  if (!/[\\"\n]/.test(value)) return value;
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
