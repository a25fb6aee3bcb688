import type { ServiceStatus } from "./handler.ts";
import { compareText } from "./names.ts";

interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** One Prometheus metric with all its samples. */
export interface ServiceMetric {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge";
  readonly samples: readonly Sample[];
}

/** Made when somebody scrapes. What changes of services take is measured by ./insight.ts. */
export function serviceMetrics(status: ServiceStatus): ServiceMetric[] {
  const { services, slices, frontends, pools, backends, hostPorts, missing, problems, unreadable, staleEnded } = status;
  const effects = Map.groupBy(
    problems.flatMap((p) => p.problems),
    (p) => p.effect,
  );
  return [
    gauge("services", "Services of the cluster", services),
    gauge("endpoint_slices", "EndpointSlices of the cluster", slices),
    gauge("frontends", "Addresses and ports at which services are reached", frontends),
    gauge("pools", "Groups of endpoints among which connections are balanced", pools),
    gauge("backends", "Endpoints in all pools", backends),
    gauge("host_ports", "Frontends that are ports of this node's pods", hostPorts),
    gauge("missing_items", "What is to be in force and is not", missing.length),
    gauge("unreadable_objects", "Objects of the store that can't be read", unreadable.length),
    {
      ...gauge("problems", "What is wrong with services, by what is done about it", 0),
      samples: [...effects]
        .sort(([a], [b]) => compareText(a, b))
        .map(([effect, all]) => ({ labels: { effect }, value: all.length })),
    },
    {
      ...gauge("stale_connections_total", "Connections ended whose endpoint was gone", staleEnded),
      type: "counter",
    },
  ];
}

const gauge = (name: string, help: string, value: number): ServiceMetric => ({
  name: `heddle_service_${name}`,
  help,
  type: "gauge",
  samples: [{ labels: {}, value }],
});
