import { type Clock, systemClock } from "../../base/clock/clock.ts";
import type { Scheduler } from "../api/scheduler.ts";
import { toJson } from "./plain.ts";
import { parseQuery } from "./query.ts";
import { CONTENT_TYPES, type DefinedRoute, failure, type RestRoute } from "./route.ts";
import { actionRoutes } from "./routes/actions.ts";
import { graphRoutes } from "./routes/graph.ts";
import { historyRoutes } from "./routes/history.ts";
import { valueRoutes } from "./routes/values.ts";
import type { ReadHistory } from "./stored.ts";

export type { RestAnswer, RestRequest, RestRoute } from "./route.ts";
export type { ReadHistory } from "./stored.ts";

export interface SchedulerRoutesOptions {
  /** Undefined as long as there is none; requests are answered with 503 then. */
  readonly scheduler: () => Scheduler | undefined;
  /** For moments that are counted back from now; the system's clock if absent. */
  readonly clock?: Clock;
  /** Where transactions are that memory does not hold any more; none if absent. */
  readonly readHistory?: ReadHistory;
}

/**
 * The scheduler on REST: what it does, what it knows, and why. `"GET /scheduler/history"` → what answers it, for whatever
 * HTTP server there is. Everything is bounded and checked; a wrong query is answered 400 with what is allowed. `GET
 * /scheduler` lists the routes. Answers show values in full: keep the server on the loopback, or behind authentication.
 */
export function schedulerRoutes(options: SchedulerRoutesOptions): ReadonlyMap<string, RestRoute> {
  const clock = options.clock ?? systemClock;
  const routes = [
    ...historyRoutes(() => clock.wall(), options.readHistory),
    ...valueRoutes(),
    ...graphRoutes(options.readHistory),
    ...actionRoutes(),
  ];
  const map = new Map<string, RestRoute>([
    ["GET /scheduler", (request) => Promise.resolve(index(routes, request.query))],
  ]);
  for (const { method, path, handle } of routes) {
    map.set(`${method} ${path}`, (request) => handle(options.scheduler(), request));
  }
  return map;
}

function index(routes: readonly DefinedRoute[], query: URLSearchParams) {
  try {
    parseQuery({}, query);
  } catch (e) {
    return failure(400, (e as Error).message);
  }
  const shown = routes.map(({ method, path, help, params }) => ({ method, path, help, params }));
  return { status: 200, body: `${toJson(shown, 2)}\n`, contentType: CONTENT_TYPES.json };
}
