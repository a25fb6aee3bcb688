import { backoffDelay } from "../base/backoff/backoff.ts";
import { type Clock, millis, seconds, type Timer } from "../base/clock/clock.ts";
import { toError } from "../base/errors/errors.ts";
import { type HttpAnswer, HttpServer, type Route } from "../infra/http/http-server.ts";
import type { Log } from "../infra/log/log.ts";
import type { HealthCheck } from "./api.ts";

interface Address {
  readonly host: string;
  readonly port: number;
}

export interface HealthServersOptions {
  /** Of /healthz and /livez; nowhere if undefined. */
  readonly at: Address | undefined;
  readonly clock: Clock;
  readonly log: Log;
  /** Whether this node serves services as they are by now. */
  readonly isCurrent: () => boolean;
  /** Whether this node is about to be removed: load balancers are to send nothing new, which does not make it less alive. */
  readonly isLeaving: () => boolean;
}

/** All addresses of both families; of IPv4 where there is no IPv6. */
const ANYWHERE = ["::", "0.0.0.0"];
const AGAIN = { first: millis(500), max: seconds(30) };

/**
 * What load balancers ask: /healthz and /livez of the node, and at ports of their own whether it has endpoints of services whose
 * traffic stays on the node. A port that cannot be had is tried again: another proxy may still be there.
 */
export class HealthServers {
  readonly #options: HealthServersOptions;
  readonly #ports = new Map<number, Port>();
  #checks: ReadonlyMap<number, HealthCheck> = new Map();
  #node: Port | undefined;
  #closed = false;

  constructor(options: HealthServersOptions) {
    this.#options = options;
  }

  /** To be called once. */
  open(): void {
    const { at } = this.#options;
    if (at) this.#node = new Port(at.port, [at.host], this.#nodeRoutes(), this.#options);
  }

  /** Ports that somebody else has, and why. */
  get problems(): readonly string[] {
    return [this.#node, ...this.#ports.values()].flatMap((port) => port?.problem ?? []);
  }

  serve(checks: readonly HealthCheck[]): void {
    if (this.#closed) return;
    this.#checks = new Map(checks.map((check) => [check.port, check]));
    for (const [number, port] of this.#ports) {
      if (this.#checks.has(number)) continue;
      this.#ports.delete(number);
      void port.close(); // never rejects
    }
    for (const number of this.#checks.keys()) {
      if (this.#ports.has(number)) continue;
      const routes = new Map<string, Route>([
        ["GET /", () => this.#answer(number)],
        ["GET /healthz", () => this.#answer(number)],
      ]);
      this.#ports.set(number, new Port(number, ANYWHERE, routes, this.#options));
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    const all = [...this.#ports.values(), ...(this.#node ? [this.#node] : [])];
    await Promise.all(all.map((port) => port.close()));
  }

  /** As kube-proxy answers it. */
  #answer(port: number): HttpAnswer {
    const check = this.#checks.get(port);
    if (!check) return { status: 404 };
    const healthy = this.#options.isCurrent();
    return {
      status: check.localReady > 0 && healthy ? 200 : 503,
      headers: { "x-load-balancing-endpoint-weight": String(check.localReady), "x-content-type-options": "nosniff" },
      body: { service: check.service, localEndpoints: check.localReady, serviceProxyHealthy: healthy },
    };
  }

  #nodeRoutes(): ReadonlyMap<string, Route> {
    const { isCurrent, isLeaving, clock } = this.#options;
    const answer = (healthy: boolean, more: object): HttpAnswer => {
      const currentTime = new Date(clock.wall()).toISOString();
      return { status: healthy ? 200 : 503, body: { currentTime, healthy, ...more } };
    };
    return new Map<string, Route>([
      ["GET /healthz", () => answer(isCurrent() && !isLeaving(), { nodeEligible: !isLeaving() })],
      ["GET /livez", () => answer(isCurrent(), {})],
    ]);
  }
}

/** A port that is listened on as soon as it can be had. */
class Port {
  problem: string | undefined;
  readonly #number: number;
  readonly #hosts: readonly string[];
  readonly #routes: ReadonlyMap<string, Route>;
  readonly #options: Pick<HealthServersOptions, "clock" | "log">;
  #opening: Promise<HttpServer | undefined>;
  #again: Timer | undefined;
  #attempt = 0;
  #closed = false;

  constructor(
    number: number,
    hosts: readonly string[],
    routes: ReadonlyMap<string, Route>,
    options: Pick<HealthServersOptions, "clock" | "log">,
  ) {
    this.#number = number;
    this.#hosts = hosts;
    this.#routes = routes;
    this.#options = options;
    this.#opening = this.#open();
  }

  /** Never rejects. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#again?.cancel();
    await (await this.#opening)?.close();
  }

  async #open(): Promise<HttpServer | undefined> {
    const { clock, log } = this.#options;
    let error: Error | undefined;
    for (const host of this.#hosts) {
      try {
        const server = await HttpServer.open({
          listen: { host, port: this.#number },
          routes: this.#routes,
          onError: (err, request) => log.error({ err, request }, "health check"),
        });
        this.problem = undefined;
        return server;
      } catch (e) {
        error = toError(e);
      }
    }
    if (this.problem === undefined) log.warn({ err: error, port: this.#number }, "a health check cannot be answered");
    this.problem = `health checks at port ${this.#number} are not answered: ${error?.message}`;
    if (!this.#closed) {
      this.#again = clock.schedule(backoffDelay(AGAIN, this.#attempt++), () => {
        this.#opening = this.#open();
      });
    }
    return undefined;
  }
}
