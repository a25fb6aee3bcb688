import type { InterfaceOwner, MetricFamily, MetricSample } from "../../api.ts";
import type { InterfaceCounters, StatsSnapshot } from "./snapshot.ts";

type InterfaceField = Exclude<keyof InterfaceCounters, "swIfIndex" | "name">;

const INTERFACE_METRICS: readonly (readonly [InterfaceField, string, string])[] = [
  ["rxPackets", "receive_packets", "Packets that VPP received on the interface"],
  ["rxBytes", "receive_bytes", "Bytes that VPP received on the interface"],
  ["txPackets", "transmit_packets", "Packets that VPP sent on the interface"],
  ["txBytes", "transmit_bytes", "Bytes that VPP sent on the interface"],
  ["drops", "drops", "Packets of the interface that VPP dropped"],
  ["punts", "punts", "Packets of the interface that VPP handed to the host"],
  ["ip4", "receive_ipv4_packets", "IPv4 packets received on the interface"],
  ["ip6", "receive_ipv6_packets", "IPv6 packets received on the interface"],
  ["rxNoBuffer", "receive_no_buffer", "Packets lost because VPP had no buffer"],
  ["rxMiss", "receive_missed", "Packets lost because the interface's ring was full"],
  ["rxErrors", "receive_errors", "Packets received damaged"],
  ["txErrors", "transmit_errors", "Packets that could not be sent"],
];

/**
 * A snapshot as metrics. `owner` tells whose an interface is; what it returns undefined for is labelled with VPP's own
 * name only. Counters begin anew when VPP does, as Prometheus expects of a process.
 */
export function metricFamilies(
  snapshot: StatsSnapshot,
  owner: (swIfIndex: number, name: string) => InterfaceOwner | undefined = () => undefined,
): MetricFamily[] {
  const interfaces = snapshot.interfaces.map((counters) => ({
    counters,
    labels: { vpp_interface: counters.name, ...owner(counters.swIfIndex, counters.name) },
  }));
  const family = (type: MetricFamily["type"], name: string, help: string, samples: MetricSample[]): MetricFamily => ({
    name: `heddle_vpp_${name}${type === "counter" ? "_total" : ""}`,
    help,
    type,
    samples,
  });
  const { errors, nodes, heaps, buffers } = snapshot;
  const nodeLabels = nodes.map(({ node }) => ({ node }));
  const byNode = (of: (n: (typeof nodes)[number]) => number) =>
    nodes.map((n, i) => ({ labels: nodeLabels[i] ?? { node: n.node }, value: of(n) }));
  return [
    ...INTERFACE_METRICS.map(([field, name, help]) =>
      family(
        "counter",
        `interface_${name}`,
        help,
        interfaces.map(({ counters, labels }) => ({ labels, value: counters[field] })),
      ),
    ),
    family(
      "counter",
      "node_errors",
      "Errors and events counted by VPP's graph nodes",
      errors.map(({ node, error, count }) => ({ labels: { node, error }, value: count })),
    ),
    family(
      "counter",
      "node_calls",
      "Calls of a graph node",
      byNode((n) => n.calls),
    ),
    family(
      "counter",
      "node_vectors",
      "Packets that a graph node took",
      byNode((n) => n.vectors),
    ),
    family(
      "counter",
      "node_suspends",
      "Suspensions of a process node",
      byNode((n) => n.suspends),
    ),
    family(
      "counter",
      "node_clocks",
      "CPU cycles spent in a graph node",
      byNode((n) => n.clocks),
    ),
    family(
      "gauge",
      "heap_bytes",
      "VPP's heaps by state: total, used, free",
      heaps.flatMap(({ heap, total, used, free }) => byState({ heap }, { total, used, free })),
    ),
    family(
      "gauge",
      "buffers",
      "Packet buffers by state: available, used, cached",
      buffers.flatMap(({ pool, available, used, cached }) => byState({ pool }, { available, used, cached })),
    ),
    family("gauge", "vector_rate", "Packets per call of a node, over all workers; 256 is full load", [
      { labels: {}, value: snapshot.vectorRate },
    ]),
    family(
      "gauge",
      "loops_per_second",
      "Turns of a thread's main loop per second",
      snapshot.loopsPerSecond.map((value, thread) => ({ labels: { thread: String(thread) }, value })),
    ),
    family("gauge", "connections", "Connections of pods that CNAT knows, be they translated or not", [
      { labels: {}, value: snapshot.connections },
    ]),
    family("gauge", "boot_time_seconds", "When VPP started, in seconds since the Unix epoch", [
      { labels: {}, value: snapshot.bootTime },
    ]),
  ];
}

const byState = (labels: Record<string, string>, states: Record<string, number>): MetricSample[] =>
  Object.entries(states).map(([state, value]) => ({ labels: { ...labels, state }, value }));
