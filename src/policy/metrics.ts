import { type Direction, type PolicyProblem, type PolicyRef, refText, type TableId } from "./api.ts";
import type { PolicyEngine } from "./engine.ts";
import type { PolicyStatus } from "./handler.ts";
import type { PolicyCounters } from "./insight.ts";
import { policiesOf, type TallyEntry } from "./tally.ts";

interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** One Prometheus metric with all its samples. */
export interface PolicyMetric {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge";
  readonly samples: readonly Sample[];
}

/** Policies that one label names; more are counted. */
const MAX_NAMES = 3;

/** Made when somebody scrapes. */
export function policyMetrics(
  engine: PolicyEngine,
  status: Pick<PolicyStatus, "connections" | "missing" | "problems" | "unreadable" | "unreadableKeys">,
  counters: PolicyCounters,
): PolicyMetric[] {
  const { connections, missing } = status;
  const rows = engine.podRows();
  const { tables, sets } = engine.stats();
  return [
    gauge(
      "policies",
      "Policies of the cluster",
      counted([...engine.policies.all()].map((p) => p.ref.kind)).map(([kind, n]) => one(n, { kind })),
    ),
    gauge("pods", "Interfaces of pods on this node", [one(rows.length)]),
    gauge(
      "isolated_pods",
      "Pods of this node that NetworkPolicies isolate",
      (["egress", "ingress"] as const).map((direction) => one(isolated(engine, direction), { direction })),
    ),
    gauge(
      "unknown_pods",
      "Pods of this node that are isolated because their policies can't be known",
      counted(rows.flatMap((r) => r.isolated ?? [])).map(([reason, n]) => one(n, { reason })),
    ),
    gauge(
      "open_pods",
      "Pods of this node that are open although their policies can't be known",
      counted(rows.flatMap((r) => r.openThough ?? [])).map(([reason, n]) => one(n, { reason })),
    ),
    gauge("tables", "Lists of rules in force, shared by pods", [one(tables)]),
    gauge("rules", "Rules in force", [one(rulesOf(engine))]),
    gauge("sets", "Groups of peers in force, shared by rules", [one(sets)]),
    gauge("missing_items", "What is to be in force and is not", [one(missing.length)]),
    gauge(
      "problems",
      "What is wrong with policies, by what is done about it",
      counted(status.problems.flatMap(({ policy, problems }) => problems.map((p) => problemKey(policy, p)))).map(
        ([key, n]) => one(n, JSON.parse(key) as Record<string, string>),
      ),
    ),
    gauge("unreadable_objects", "Objects of the store that can't be read", [
      ...counted(status.unreadable.map((o) => o.kind)).map(([kind, n]) => one(n, { kind })),
      one(status.unreadableKeys.length, { kind: "unknown" }),
    ]),
    counter("connections_judged_total", "Established connections that were judged again", [one(connections.judged)]),
    counter("connections_stopped_total", "Established connections that are no longer allowed", [
      one(connections.stopped),
    ]),
    counter("connections_resumed_total", "Stopped connections that are allowed again", [one(connections.resumed)]),
    ...counterMetrics(counters),
  ];
}

function counterMetrics({ rules, pods, stopped, forged }: PolicyCounters): PolicyMetric[] {
  const judged = Map.groupBy(rules, (entry) => JSON.stringify(labelsOf(entry)));
  const sums = (what: "bytes" | "packets"): Sample[] =>
    [...judged].map(([labels, entries]) =>
      one(
        entries.reduce((sum, e) => sum + e[what], 0),
        JSON.parse(labels) as Record<string, string>,
      ),
    );
  const denied = (what: "bytes" | "packets"): Sample[] =>
    pods.map((p) => one(p[what], { namespace: p.namespace, pod: p.pod, direction: p.direction }));
  return [
    counter("judged_packets_total", "Packets that rules have judged: the first ones of connections", sums("packets")),
    counter("judged_bytes_total", "Bytes of those packets", sums("bytes")),
    counter("denied_packets_total", "Packets that were denied to a pod of this node", denied("packets")),
    counter("denied_bytes_total", "Bytes of those packets", denied("bytes")),
    counter(
      "stopped_packets_total",
      "Packets of connections that are no longer allowed, or of unknown links",
      stopped ? [one(stopped.packets)] : [],
    ),
    counter(
      "forged_packets_total",
      "Packets from addresses that are not their pod's",
      forged ? [one(forged.packets)] : [],
    ),
  ].filter((m) => m.samples.length > 0);
}

/** What several policies say alike is theirs together: nothing is counted twice. */
function labelsOf(entry: TallyEntry): Record<string, string> {
  const names = policiesOf(entry).map(refText);
  const shown = names.slice(0, MAX_NAMES).join(", ");
  const policy = names.length > MAX_NAMES ? `${shown} and ${names.length - MAX_NAMES} more` : shown;
  return { policy, direction: entry.direction, verdict: entry.verdict };
}

const isolated = (engine: PolicyEngine, direction: Direction): number =>
  engine.podRows().filter((row) => engine.table(row[direction])?.tiers.some((t) => t.end === "deny")).length;

function rulesOf(engine: PolicyEngine): number {
  const ids = new Set<TableId>(engine.podRows().flatMap((row) => [row.egress, row.ingress]));
  let sum = 0;
  for (const id of ids) for (const { rules } of engine.table(id)?.tiers ?? []) sum += rules.length;
  return sum;
}

const problemKey = ({ kind }: PolicyRef, { effect }: PolicyProblem): string => JSON.stringify({ kind, effect });

const counted = <T extends string>(list: readonly T[]): [T, number][] =>
  [...Map.groupBy(list, (x) => x)].map(([x, all]): [T, number] => [x, all.length]).sort(([a], [b]) => (a < b ? -1 : 1));

const one = (value: number, labels: Readonly<Record<string, string>> = {}): Sample => ({ value, labels });
const metric =
  (type: PolicyMetric["type"]) =>
  (name: string, help: string, samples: readonly Sample[]): PolicyMetric => ({
    name: `heddle_policy_${name}`,
    help,
    type,
    samples,
  });
const gauge = metric("gauge");
const counter = metric("counter");
