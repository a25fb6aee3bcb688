import type { Controller } from "../../src/controller/controller.ts";
import type { MetricFamily } from "../../src/dataplane/api.ts";
import type { HttpAnswer, Route } from "../../src/infra/http/http-server.ts";
import type { Registry } from "../../src/infra/metrics/metrics.ts";
import type { Scheduler } from "../../src/kvscheduler/api/scheduler.ts";
import type { FileHistory } from "../../src/kvscheduler/history-file/index.ts";
import { renderMetrics, schedulerMetrics } from "../../src/kvscheduler/introspect/metrics.ts";
import { schedulerRoutes } from "../../src/kvscheduler/introspect/routes.ts";
import type { PolicyMetric } from "../../src/policy/metrics.ts";
import { type PolicyRoutesOptions, policyRoutes } from "../../src/policy/rest.ts";
import type { ServiceMetric } from "../../src/services/metrics.ts";
import { type ServiceRoutesOptions, serviceRoutes } from "../../src/services/rest.ts";

export interface RestSources {
  readonly registry: Registry;
  readonly ready: () => boolean;
  readonly health: () => ReadonlyMap<string, string>;
  readonly status: () => Promise<unknown>;
  /** Undefined before they have been created. */
  readonly scheduler: () => Scheduler | undefined;
  readonly controller: () => Controller | undefined;
  /** What the dataplane counts. */
  readonly dataplaneMetrics: () => Promise<readonly MetricFamily[]>;
  /** None where policies are not enforced, or not yet. */
  readonly policyMetrics: () => Promise<readonly PolicyMetric[]>;
  readonly policy: PolicyRoutesOptions;
  /** None where services are left to others, or not served yet. */
  readonly serviceMetrics: () => readonly ServiceMetric[];
  readonly services: ServiceRoutesOptions;
  /** Reads transactions from the disk; what memory holds is all there is if undefined. */
  readonly history: () => FileHistory | undefined;
}

/** The agent's REST: what people and probes ask. */
export function restRoutes(sources: RestSources): ReadonlyMap<string, Route> {
  return new Map<string, Route>([
    ["GET /livez", () => ({ status: 200, body: "ok\n" })],
    ["GET /readyz", () => readyz(sources)],
    ["GET /status", async () => json(await sources.status())],
    ["GET /metrics", () => metrics(sources)],
    ["GET /controller/history", () => json(sources.controller()?.history() ?? [])],
    ...policyRoutes(sources.policy),
    ...serviceRoutes(sources.services),
    ...schedulerRoutes({
      scheduler: sources.scheduler,
      readHistory: (query, memory) =>
        sources.history()?.read(query, memory) ?? Promise.resolve({ txns: memory, gaps: [], more: false }),
    }),
  ]);
}

function readyz(sources: RestSources): HttpAnswer {
  const ill = sources.health();
  if (sources.ready() && ill.size === 0) return { status: 200, body: "ok\n" };
  const lines = [...ill].map(([component, problem]) => `${component}: ${problem}`);
  return { status: 503, body: `${lines.join("\n") || "starting"}\n` };
}

/** The scheduler's are made from its statistics when somebody asks; the dataplane's are of another process than this. */
async function metrics(sources: RestSources): Promise<HttpAnswer> {
  const { registry, scheduler, dataplaneMetrics, policyMetrics, serviceMetrics } = sources;
  const stats = scheduler()?.stats();
  const own = stats === undefined ? "" : renderMetrics(schedulerMetrics(stats), { process: "agent" });
  const policies = renderMetrics(await policyMetrics(), { process: "agent" });
  const services = renderMetrics(serviceMetrics(), { process: "agent" });
  const dataplane = renderMetrics(await dataplaneMetrics());
  return {
    status: 200,
    body: (await registry.metrics()) + own + policies + services + dataplane,
    contentType: registry.contentType,
  };
}

const json = (body: unknown): HttpAnswer => ({ status: 200, body });
