import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { systemClock } from "../../src/base/clock/clock.ts";
import { HeddleError } from "../../src/base/errors/errors.ts";
import { Tasks } from "../../src/base/tasks/tasks.ts";
import type { KsrConfig } from "../../src/infra/config/ksr-config.ts";
import { ConfigError } from "../../src/infra/config/load.ts";
import { HttpServer } from "../../src/infra/http/http-server.ts";
import type { Component } from "../../src/infra/lifecycle/lifecycle.ts";
import type { Log } from "../../src/infra/log/log.ts";
import { createRegistry } from "../../src/infra/metrics/metrics.ts";
import type { Source } from "../../src/ksr/api.ts";
import { AlwaysLeading, type Election } from "../../src/ksr/election/api.ts";
import { StoreElection } from "../../src/ksr/election/store-election.ts";
import { KubeClient } from "../../src/ksr/kube/client.ts";
import { type Credentials, loadCredentials } from "../../src/ksr/kube/credentials.ts";
import { KubeSource } from "../../src/ksr/kube/kube-source.ts";
import { LeaseElection } from "../../src/ksr/kube/lease-election.ts";
import { KubeMetrics } from "../../src/ksr/kube/metrics.ts";
import { DirectorySource } from "../../src/ksr/manifests/directory-source.ts";
import { reflecting } from "../../src/ksr/reflecting.ts";
import { ReflectorMetrics } from "../../src/ksr/reflector/metrics.ts";
import { Reflector } from "../../src/ksr/reflector/reflector.ts";
import type { Store } from "../../src/stores/api/store.ts";
import { openStore } from "../../src/stores/open.ts";
import { type KsrStatus, restRoutes } from "./rest.ts";

/** Errors of configuration, and of a source or store that was asked for and cannot be used. */
export function isUsageError(e: unknown): boolean {
  return e instanceof ConfigError || (e instanceof HeddleError && USAGE_CODES.has(e.code));
}

const USAGE_CODES = new Set(["INVALID", "KUBECONFIG", "UNAUTHENTICATED"]);

/** The reflector, put together by hand. Components start in the order of {@link components} and close in reverse. */
export class Ksr {
  readonly #config: KsrConfig;
  readonly #log: Log;
  readonly #registry = createRegistry("ksr");
  readonly #metrics: ReflectorMetrics;
  readonly #kubeMetrics = new KubeMetrics(this.#registry);
  readonly #failed = Promise.withResolvers<never>();
  readonly #identity = `${hostname()}_${randomUUID()}`;
  readonly #tasks: Tasks;
  #health: () => ReadonlyMap<string, string> = () => new Map();
  #store!: Store;
  /** Undefined with manifests. */
  #api: { readonly credentials: Credentials; readonly client: KubeClient } | undefined;
  #election!: Election;
  /** While it leads. */
  #leading: { readonly source: Source; readonly reflector: Reflector } | undefined;

  constructor(config: KsrConfig, log: Log) {
    this.#config = config;
    this.#log = log;
    this.#metrics = new ReflectorMetrics(this.#registry, () => this.#leading?.reflector.view());
    this.#tasks = new Tasks((e) => this.#failed.reject(e));
    this.#failed.promise.catch(() => {}); // nobody may be waiting yet
  }

  /** Rejects when something happened that must not. */
  get failed(): Promise<never> {
    return this.#failed.promise;
  }

  watchHealth(health: () => ReadonlyMap<string, string>): void {
    this.#health = health;
  }

  components(): readonly Component[] {
    return [this.#restComponent(), this.#storeComponent(), this.#apiComponent(), this.#reflectorComponent()];
  }

  status(): KsrStatus {
    const { reflector, source } = this.#leading ?? {};
    const view = reflector?.view();
    return {
      role: reflector ? "leader" : "stand-by",
      identity: this.#identity,
      leader: this.#election?.leader,
      source: source?.name,
      store: this.#store?.kind,
      kinds: Object.fromEntries((view?.kinds ?? []).map(({ kind, ...more }) => [kind, more])),
      resources: source instanceof KubeSource ? source.states() : undefined,
      problems: [
        ...[...this.#health()].map(([component, problem]) => `${component}: ${problem}`),
        ...(source?.problems() ?? []),
        ...(reflector?.problems() ?? []),
      ],
    };
  }

  #restComponent(): Component {
    const { rest } = this.#config;
    const at = rest.lastIndexOf(":");
    const listen = { host: rest.slice(0, at).replace(/^\[|\]$/g, ""), port: Number(rest.slice(at + 1)) };
    let server: HttpServer | undefined;
    return {
      name: "rest",
      init: async () => {
        const routes = restRoutes({
          registry: this.#registry,
          health: () => this.#health(),
          status: () => this.status(),
        });
        const onError = (err: Error, request: string) => this.#log.error({ err, request }, "a request failed");
        server = await HttpServer.open({ listen, routes, onError });
      },
      close: () => server?.close(),
    };
  }

  #storeComponent(): Component {
    return {
      name: "store",
      init: async () => {
        this.#store = await openStore(this.#config.store, { clock: systemClock, log: this.#log });
      },
      close: () => this.#store.close(),
    };
  }

  #apiComponent(): Component {
    const { kubeconfig, manifests } = this.#config;
    return {
      name: "api",
      init: async () => {
        if (manifests !== undefined) return;
        const credentials = await loadCredentials(kubeconfig);
        this.#api = { credentials, client: new KubeClient({ credentials, clock: systemClock }) };
      },
      close: () => this.#api?.credentials.close(),
    };
  }

  #reflectorComponent(): Component {
    return {
      name: "reflector",
      init: () => {
        this.#election = this.#createElection();
        this.#tasks.run("election", (signal) => this.#election.run((term) => this.#lead(term), signal));
      },
      close: () => this.#tasks.close(),
      health: () => {
        if (this.#leading) return this.#leading.reflector.health();
        return this.#election.problem ?? (this.#election.leader === undefined ? "nobody leads yet" : undefined);
      },
    };
  }

  async #lead(signal: AbortSignal): Promise<void> {
    const source = this.#createSource();
    const options = { store: this.#store, clock: systemClock, log: this.#log, metrics: this.#metrics };
    const reflector = new Reflector(options);
    this.#leading = { source, reflector };
    try {
      await reflecting(source, reflector, signal);
    } finally {
      this.#leading = undefined;
    }
  }

  #createSource(): Source {
    const common = { clock: systemClock, log: this.#log };
    if (!this.#api) return new DirectorySource({ dir: this.#config.manifests ?? "", ...common });
    const { client, credentials } = this.#api;
    const { pageSize } = this.#config;
    return new KubeSource({ client, server: credentials.server, metrics: this.#kubeMetrics, pageSize, ...common });
  }

  #createElection(): Election {
    const { enabled, name, namespace } = this.#config.leaderElection;
    const common = { clock: systemClock, log: this.#log, identity: this.#identity };
    if (!enabled) return new AlwaysLeading(this.#identity);
    if (!this.#api) return new StoreElection({ store: this.#store, ...common });
    const { client, credentials } = this.#api;
    return new LeaseElection({
      client,
      name,
      namespace: namespace ?? credentials.namespace ?? "kube-system",
      ...common,
    });
  }
}
