import type { Controller } from "../../src/controller/controller.ts";
import type { HttpAnswer, Route } from "../../src/infra/http/http-server.ts";
import type { Registry } from "../../src/infra/metrics/metrics.ts";
import type { Scheduler } from "../../src/kvscheduler/api/scheduler.ts";

export interface RestSources {
  readonly registry: Registry;
  readonly ready: () => boolean;
  readonly health: () => ReadonlyMap<string, string>;
  readonly status: () => Promise<unknown>;
  /** Undefined before they have been created. */
  readonly scheduler: () => Scheduler | undefined;
  readonly controller: () => Controller | undefined;
}

/** The agent's REST: what people and probes ask. */
export function restRoutes(sources: RestSources): ReadonlyMap<string, Route> {
  return new Map<string, Route>([
    ["GET /livez", () => ({ status: 200, body: "ok\n" })],
    ["GET /readyz", () => readyz(sources)],
    ["GET /status", async () => json(await sources.status())],
    [
      "GET /metrics",
      async () => ({ status: 200, body: await sources.registry.metrics(), contentType: sources.registry.contentType }),
    ],
    ["GET /controller/history", () => json(sources.controller()?.history() ?? [])],
    ["GET /scheduler/history", () => json(sources.scheduler()?.history() ?? [])],
    [
      "GET /scheduler/status",
      ({ query }) => {
        const prefix = query.get("prefix");
        return json(
          sources
            .scheduler()
            ?.statuses(prefix === null ? {} : { prefix })
            .map(plainStatus) ?? [],
        );
      },
    ],
  ]);
}

function readyz(sources: RestSources): HttpAnswer {
  const ill = sources.health();
  if (sources.ready() && ill.size === 0) return { status: 200, body: "ok\n" };
  const lines = [...ill].map(([component, problem]) => `${component}: ${problem}`);
  return { status: 503, body: `${lines.join("\n") || "starting"}\n` };
}

const json = (body: unknown): HttpAnswer => ({ status: 200, body });

/** Errors have no JSON of their own. */
function plainStatus(status: ReturnType<Scheduler["status"]>): unknown {
  const { error, ...rest } = status;
  return { ...rest, ...(error ? { error: error.message } : {}) };
}
