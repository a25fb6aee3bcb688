import type { HttpAnswer, Route } from "../../src/infra/http/http-server.ts";
import type { Registry } from "../../src/infra/metrics/metrics.ts";

/** What `/status` answers. */
export interface KsrStatus {
  readonly role: "leader" | "stand-by";
  readonly identity: string;
  readonly leader: string | undefined;
  /** What is read; undefined for a stand-by. */
  readonly source: string | undefined;
  readonly store: string | undefined;
  /** By kind. */
  readonly kinds: Readonly<Record<string, unknown>>;
  /** How each resource of the API is followed. */
  readonly resources: Readonly<Record<string, string>> | undefined;
  readonly problems: readonly string[];
}

export interface RestSources {
  readonly registry: Registry;
  readonly health: () => ReadonlyMap<string, string>;
  readonly status: () => KsrStatus;
}

/** The reflector's REST: what people and probes ask. */
export function restRoutes({ registry, health, status }: RestSources): ReadonlyMap<string, Route> {
  const alive = (): HttpAnswer => ({ status: 200, body: "ok\n" });
  return new Map<string, Route>([
    ["GET /healthz", alive],
    ["GET /livez", alive],
    ["GET /readyz", () => readyz(health())],
    ["GET /status", () => ({ status: 200, body: status() })],
    ["GET /metrics", async () => ({ status: 200, body: await registry.metrics(), contentType: registry.contentType })],
  ]);
}

/** A stand-by is ready, too: it is ready to lead. */
function readyz(ill: ReadonlyMap<string, string>): HttpAnswer {
  if (ill.size === 0) return { status: 200, body: "ok\n" };
  return { status: 503, body: `${[...ill].map(([component, problem]) => `${component}: ${problem}`).join("\n")}\n` };
}
