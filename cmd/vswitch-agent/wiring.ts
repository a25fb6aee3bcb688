import { mkdir } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { backoffDelay } from "../../src/base/backoff/backoff.ts";
import { millis, minutes, seconds, sleep, systemClock } from "../../src/base/clock/clock.ts";
import { HeddleError } from "../../src/base/errors/errors.ts";
import { type IpAddress, parseIp } from "../../src/base/ip/address.ts";
import { Tasks } from "../../src/base/tasks/tasks.ts";
import { Controller, healingEvent } from "../../src/controller/controller.ts";
import { resyncEvent, StoreWatcher } from "../../src/controller/store-watcher.ts";
import type { Dataplane, InterfaceOwner } from "../../src/dataplane/api.ts";
import type { EgressPod } from "../../src/egress/compile.ts";
import { EgressHandler } from "../../src/egress/handler.ts";
import type { AgentConfig } from "../../src/infra/config/agent-config.ts";
import { ConfigError } from "../../src/infra/config/load.ts";
import { HttpServer } from "../../src/infra/http/http-server.ts";
import type { Component } from "../../src/infra/lifecycle/lifecycle.ts";
import type { Log } from "../../src/infra/log/log.ts";
import { createRegistry } from "../../src/infra/metrics/metrics.ts";
import type { Key } from "../../src/kvscheduler/api/descriptor.ts";
import type { Scheduler } from "../../src/kvscheduler/api/scheduler.ts";
import type { ValueState } from "../../src/kvscheduler/api/status.ts";
import { FileHistory } from "../../src/kvscheduler/history-file/index.ts";
import { createScheduler } from "../../src/kvscheduler/scheduler.ts";
import { K8S_PREFIX } from "../../src/models/k8s/keys.ts";
import { NODES_PREFIX, type NodeInfo } from "../../src/models/node.ts";
import { configPrefix } from "../../src/models/wire.ts";
import { vtepMacOf } from "../../src/nodes/api.ts";
import { NodesHandler } from "../../src/nodes/handler.ts";
import { NodeRegistry } from "../../src/nodes/registry.ts";
import {
  nodeIdLimit,
  type Pool,
  PoolConfigError,
  parsePodCIDRs,
  parsePools,
  suffixClashes,
} from "../../src/nodes/subnets.ts";
import { PodsHandler } from "../../src/pods/handler.ts";
import type { Sandbox } from "../../src/pods/sandbox.ts";
import { CniServer } from "../../src/pods/server.ts";
import { SandboxSweeper } from "../../src/pods/sweeper.ts";
import type { PolicyHandler, PolicyStatus } from "../../src/policy/handler.ts";
import type { PolicyInsight } from "../../src/policy/insight.ts";
import { type PolicyMetric, policyMetrics } from "../../src/policy/metrics.ts";
import type { PolicySource } from "../../src/policy/rest.ts";
import { isOwnAddressesEvent, type ServiceStatus } from "../../src/services/handler.ts";
import { type ServiceMetric, serviceMetrics } from "../../src/services/metrics.ts";
import type { Store } from "../../src/stores/api/store.ts";
import { DbThread, LocalDb } from "../../src/stores/local/local-db.ts";
import { Mirror } from "../../src/stores/mirror/mirror.ts";
import { openStore } from "../../src/stores/open.ts";
import type { WiresHandler } from "../../src/wires/handler.ts";
import { NodeAddresses } from "./addresses.ts";
import { openDataplane } from "./dataplane.ts";
import {
  decodeIdentity,
  encodeIdentity,
  IDENTITY_KEY,
  type Identity,
  IdentityError,
  makeIdentity,
} from "./identity.ts";
import { localNodeRow } from "./local-node.ts";
import { createPolicy, waitForPod } from "./policy.ts";
import { Publisher } from "./publisher.ts";
import { restRoutes } from "./rest.ts";
import { loadSandboxes } from "./sandboxes.ts";
import { createServices, followOwnAddresses, ownAddresses, type Services } from "./services.ts";
import { LocalSysctlOriginals } from "./sysctl-originals.ts";
import { LocalTakenLinks } from "./taken-links.ts";
import { createWires, itemProblems } from "./wires.ts";

const VERSION = "0.1.0";

/** Errors of configuration, and of a dataplane or store that was asked for and cannot run. */
export function isUsageError(e: unknown): boolean {
  return (
    e instanceof ConfigError || e instanceof PoolConfigError || (e instanceof HeddleError && USAGE_CODES.has(e.code))
  );
}

const USAGE_CODES = new Set([
  "NO_VPP",
  "VPP_NO_START",
  "BAD_CONFIG",
  "NATIVE_ADDON",
  "NO_NFT",
  "NO_UNDERLAY",
  "NO_UPLINK",
  "NO_VPP_PLUGIN",
  "INVALID",
  "UNAUTHENTICATED",
]);

/**
 * The agent, put together by hand. Components start in the order of {@link components} and close in reverse: what a field
 * needs was set by a component before.
 */
export class Agent {
  readonly #config: AgentConfig;
  readonly #log: Log;
  readonly #registry = createRegistry("agent");
  readonly #nodeName: string;
  readonly #pools: readonly Pool[];
  readonly #tasks: Tasks;
  readonly #ready = Promise.withResolvers<void>();
  #isReady = false;
  #startedAt = performance.now();
  #health: () => ReadonlyMap<string, string> = () => new Map();
  /** Of all local databases: a thread of its own for each would cost more memory than their work is worth. */
  #dbThread!: DbThread;
  #db!: LocalDb;
  #originals!: LocalSysctlOriginals;
  #takenLinks!: LocalTakenLinks;
  #dataplane!: Dataplane;
  #store!: Store;
  #mirror!: Mirror;
  #identity!: Identity;
  #history: FileHistory | undefined;
  #scheduler!: Scheduler;
  #controller!: Controller;
  #nodes!: NodesHandler;
  #pods!: PodsHandler;
  #wires!: WiresHandler;
  #policy: PolicyHandler | undefined;
  #insight: PolicyInsight | undefined;
  #services!: Services;
  #egress!: EgressHandler;
  #addresses!: NodeAddresses;
  #self!: NodeInfo;
  #local!: ReturnType<typeof localNodeRow>;
  #publisher!: Publisher;
  #cni!: HttpServer;
  #rest: HttpServer | undefined;

  /** @throws PoolConfigError, ConfigError for what the schema cannot see. */
  constructor(config: AgentConfig, log: Log) {
    this.#config = config;
    this.#log = log;
    this.#nodeName = config.nodeName ?? hostname();
    this.#pools = parsePools(config.network.pools);
    if (config.network.podCIDRs) parsePodCIDRs(config.network.podCIDRs);
    this.#tasks = new Tasks((err, task) => log.error({ err, task }, "background task failed"));
  }

  /** What says how the components are. */
  watchHealth(health: () => ReadonlyMap<string, string>): void {
    this.#health = health;
  }

  components(): Component[] {
    return [
      { name: "local database", init: () => this.#openDb(), close: () => this.#closeDb() },
      { name: "dataplane", init: () => this.#openDataplane(), close: () => this.#dataplane.close() },
      { name: "REST", init: () => this.#openRest(), close: () => this.#rest?.close() },
      // The store may be out of reach before.
      { name: "lease", patient: true, init: (signal) => this.#acquireLease(signal) },
      { name: "store", init: () => this.#openStore(), close: () => this.#store.close() },
      { name: "mirror", init: () => this.#openMirror(), close: () => this.#mirror.close() },
      { name: "identity", patient: true, init: (signal) => this.#identify(signal) },
      { name: "history", init: () => this.#openHistory(), close: () => this.#history?.close() },
      { name: "scheduler", init: () => this.#createScheduler(), close: () => this.#scheduler.close() },
      { name: "controller", init: () => this.#createController(), close: () => this.#controller.close() },
      { name: "tasks", init: () => this.#startTasks(), close: () => this.#endTasks() },
      { name: "CNI server", init: () => this.#openCni(), close: () => this.#cni.close() },
    ];
  }

  /** Takes everything down that the agent has made. With `leave` the store forgets the node; otherwise it is not touched. */
  async cleanup({ leave }: { readonly leave: boolean }): Promise<void> {
    if (leave) {
      await this.#openStore();
      await this.#nodeRegistry().release(this.#nodeName);
      await this.#store.close();
    }
    await this.#openDb();
    // A VPP of ours is ended first, and what it took is the kernel's again: an interface that VPP lets go of stays down. It need
    // not be able to start, either.
    await this.#openDataplane(this.#config.vpp.attach === undefined ? "linux" : this.#config.dataplane);
    this.#createScheduler();
    const { errors } = await this.#scheduler.transact({ resync: "full", changes: [], description: "cleanup" });
    for (const [key, err] of errors) this.#log.error({ key, err }, "could not be removed");
    await this.#originals.restoreAll();
    const sandboxes = await this.#db.load("");
    await this.#db.commit([...sandboxes.keys()].map((key) => [key, undefined]));
    await this.#scheduler.close();
    await this.#dataplane.stop();
    await this.#dataplane.close();
    await this.#closeDb();
    if (errors.size > 0) throw new HeddleError("CLEANUP", `${errors.size} item(s) could not be removed`);
  }

  async #openDb(): Promise<void> {
    await mkdir(this.#config.stateDir, { recursive: true, mode: 0o700 });
    this.#dbThread = DbThread.start();
    try {
      this.#db = await LocalDb.open(join(this.#config.stateDir, "agent.db"), { thread: this.#dbThread });
    } catch (e) {
      await this.#dbThread.close();
      throw e;
    }
    this.#originals = await LocalSysctlOriginals.load(this.#db);
    this.#takenLinks = await LocalTakenLinks.load(this.#db);
  }

  async #closeDb(): Promise<void> {
    await this.#db.close();
    await this.#dbThread.close();
  }

  async #openDataplane(dataplane = this.#config.dataplane): Promise<void> {
    this.#dataplane = await openDataplane(
      { ...this.#config, dataplane },
      {
        sysctlOriginals: this.#originals,
        takenLinks: this.#takenLinks,
        nodeName: this.#nodeName,
        log: this.#log,
        // Before, everything is going to be compared with it anyhow.
        onRestart: () => this.#isReady && this.#controller.push(healingEvent("the dataplane was restarted")),
      },
    );
  }

  /** By a scheduler of its own, which does what is needed for that and removes nothing: the other one has to know all first. */
  async #acquireLease(signal: AbortSignal): Promise<void> {
    const { leases } = this.#dataplane;
    if (!leases) return;
    const sources = { default: { grace: minutes(7 * 24 * 60) } };
    const scheduler = createScheduler({ clock: systemClock, log: this.#log, sources });
    try {
      await leases.acquire(this.#nodeIPs(), scheduler, signal);
    } finally {
      await scheduler.close();
    }
  }

  async #openStore(): Promise<void> {
    this.#store = await openStore(this.#config.store, {
      clock: systemClock,
      log: this.#log,
      defaultDir: join(this.#config.stateDir, "store"),
    });
  }

  async #openMirror(): Promise<void> {
    // What is known from before is needed to get back to the store at all.
    const patience = (await this.#dataplane.isCutOff()) ? { patience: millis(0) } : {};
    this.#mirror = await Mirror.open({
      store: this.#store,
      prefixes: [NODES_PREFIX, configPrefix(this.#nodeName), ...(this.#needsObjects() ? [K8S_PREFIX] : [])],
      path: join(this.#config.stateDir, "mirror.db"),
      local: { thread: this.#dbThread },
      ...patience,
      clock: systemClock,
      log: this.#log,
    });
  }

  /** Whether anything here depends on objects of Kubernetes. */
  #needsObjects(): boolean {
    const { policy, services } = this.#config;
    return policy.enforce || services.enabled;
  }

  /** From the local database at once when it is there; from the store otherwise, however long that takes. */
  async #identify(signal: AbortSignal): Promise<void> {
    const known = (await this.#db.load(IDENTITY_KEY)).get(IDENTITY_KEY);
    if (known !== undefined) {
      this.#identity = decodeIdentity(known);
      if (this.#identity.name !== this.#nodeName) {
        const was = this.#identity.name;
        throw new IdentityError("IDENTITY", `this state directory is node ${was}'s, not ${this.#nodeName}'s`);
      }
      return;
    }
    const id = await this.#claim(signal);
    this.#identity = makeIdentity(this.#config, this.#nodeName, id, this.#pools);
    await this.#db.commit([[IDENTITY_KEY, encodeIdentity(this.#identity)]]);
  }

  async #claim(signal: AbortSignal): Promise<number> {
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#nodeRegistry().claim(this.#nodeName, { signal });
      } catch (e) {
        if (signal.aborted || (e instanceof HeddleError && e.code === "IDS_EXHAUSTED")) throw e;
        this.#log.warn({ err: e }, "cannot claim a node ID yet");
        await sleep(systemClock, backoffDelay({ first: millis(200), max: seconds(5) }, attempt), signal);
      }
    }
  }

  #nodeRegistry(): NodeRegistry {
    return new NodeRegistry({
      store: this.#store,
      clock: systemClock,
      log: this.#log,
      limit: nodeIdLimit(this.#pools),
    });
  }

  /** Transactions are kept in memory alone if the disk refuses: that must not cost the pods their network. */
  async #openHistory(): Promise<void> {
    const { enabled, count, bytes, ageHours } = this.#config.scheduler.history.file;
    if (!enabled) return;
    const dir = join(this.#config.stateDir, "history");
    const onLost = (err: Error): void => this.#log.warn({ err, dir }, "transactions are lost to the history on disk");
    try {
      this.#history = await FileHistory.open({ dir, count, bytes, age: minutes(ageHours * 60), onLost });
    } catch (err) {
      this.#log.warn({ err, dir }, "no history on disk");
    }
  }

  #createScheduler(): void {
    const { count, bytes, ageHours } = this.#config.scheduler.history;
    this.#scheduler = createScheduler({
      clock: systemClock,
      log: this.#log,
      concurrency: 1024,
      defaults: { deadline: seconds(this.#config.scheduler.opTimeoutSeconds) },
      history: { count, bytes, age: minutes(ageHours * 60), ...(this.#history && { store: this.#history }) },
    });
    this.#dataplane.register(this.#scheduler);
  }

  #nodeIPs(): readonly IpAddress[] | undefined {
    return this.#config.network.nodeIPs?.map(parseIp);
  }

  /** This node, as its place on the underlay makes it. */
  async #findSelf(): Promise<void> {
    const underlay = await this.#dataplane.underlay(this.#nodeIPs());
    this.#local = localNodeRow(this.#config, this.#identity, underlay);
    this.#self = {
      ...this.#self,
      name: this.#nodeName,
      id: this.#identity.id,
      underlayIps: underlay.uplinks.map((u) => u.address),
      podCIDRs: this.#local.podCIDRs,
      vtepMac: vtepMacOf(this.#identity.id),
      overlay: this.#config.network.overlay,
      version: VERSION,
    };
  }

  async #createController(): Promise<void> {
    await this.#findSelf();
    for (const clash of suffixClashes(this.#pools)) {
      this.#log.warn({ clash }, "pods of several nodes can have addresses with the same last 32 bits");
    }
    this.#publisher = new Publisher({
      registry: this.#nodeRegistry(),
      self: this.#self,
      clock: systemClock,
      log: this.#log,
    });
    const sandboxes = await loadSandboxes(this.#db, this.#log);
    this.#addresses = new NodeAddresses(this.#identity, await this.#db.load("ipam/"), sandboxes, this.#log);
    this.#nodes = new NodesHandler({ wiring: this.#dataplane, log: this.#log, self: this.#self, local: this.#local });
    this.#pods = new PodsHandler({
      wiring: this.#dataplane,
      addresses: this.#addresses,
      queue: { push: (e) => this.#controller.push(e), followUp: (e) => this.#controller.followUp(e) },
      clock: systemClock,
      log: this.#log,
      alsoNeeds: (row) => [
        ...(this.#policy ? (this.#dataplane.policies?.podPolicyKeys(row.hostIf) ?? []) : []),
        ...this.#egress.podKeys(row.ips),
      ],
      hostPortItems: (id) => this.#services.handler.hostPortItems(id),
      mtu: () => this.#local.podMtu,
      sandboxes,
    });
    const policy = createPolicy({
      config: this.#config.policy,
      nodeName: this.#nodeName,
      dataplane: this.#dataplane,
      pods: this.#pods,
      clock: systemClock,
      log: this.#log,
      registry: this.#registry,
    });
    this.#policy = policy?.handler;
    this.#insight = policy?.insight;
    this.#services = createServices({
      config: this.#config.services,
      nodeName: this.#nodeName,
      dataplane: this.#dataplane,
      pods: this.#pods,
      podCIDRs: this.#local.podCIDRs,
      underlayIps: () => this.#self.underlayIps,
      clock: systemClock,
      log: this.#log,
      registry: this.#registry,
      isInPlace: (key) => this.#isInPlace(key),
    });
    this.#egress = new EgressHandler({
      wiring: this.#dataplane.egress,
      local: () => this.#local,
      peers: () => this.#nodes.peers,
      pods: () => egressPods(this.#pods.sandboxes()),
      changesPods: (event) => this.#pods.handles(event),
      ownAddresses: () => ownAddresses(this.#self.underlayIps),
      changesOwnAddresses: isOwnAddressesEvent,
      publish: (egress) => {
        this.#self = { ...this.#self, egress: egress.length > 0 ? egress : undefined };
        this.#publisher.move(this.#self);
      },
      clock: systemClock,
      log: this.#log,
      isInPlace: (key) => this.#isInPlace(key),
    });
    this.#wires = createWires({
      dataplane: this.#dataplane,
      nodeName: this.#nodeName,
      local: () => this.#local,
      pods: this.#pods,
      log: this.#log,
    });
    const features = [...(this.#policy ? [this.#policy] : []), this.#services.handler, this.#egress];
    this.#controller = new Controller({
      handlers: [this.#nodes, this.#pods, ...features, this.#wires],
      scheduler: this.#scheduler,
      memory: this.#db,
      clock: systemClock,
      log: this.#log,
      registry: this.#registry,
      healing: this.#config.healing,
      onSynced: () => this.#ready.resolve(),
    });
  }

  #startTasks(): void {
    const watcher = new StoreWatcher(this.#controller, systemClock);
    const publisher = this.#publisher;
    this.#tasks.run("follow the store", () => watcher.follow(this.#mirror, (item) => publisher.observe(item.changes)));
    this.#tasks.run("publish this node", (signal) => publisher.run(signal));
    const sweeper = new SandboxSweeper({
      pods: this.#pods,
      wiring: this.#dataplane,
      queue: this.#controller,
      period: seconds(this.#config.cni.sweepSeconds),
    });
    this.#tasks.run("sweep sandboxes", (signal) => sweeper.run(systemClock, signal));
    this.#services.health?.open();
    this.#tasks.run("follow this node's addresses", (signal) =>
      followOwnAddresses(() => this.#self.underlayIps, this.#controller, systemClock, signal),
    );
    this.#tasks.run("follow the lease", (signal) => this.#followLease(watcher, signal));
  }

  /** From the first resync on, which has what is known by then: from there, everything that has an address in it is made anew. */
  async #followLease(watcher: StoreWatcher, signal: AbortSignal): Promise<void> {
    const { leases } = this.#dataplane;
    if (!leases) return;
    await Promise.race([this.#ready.promise, aborted(signal)]);
    await leases.follow(async () => {
      await this.#findSelf();
      this.#nodes.move(this.#self, this.#local);
      this.#publisher.move(this.#self);
      this.#controller.push(resyncEvent("this node's address has changed", watcher.entries));
    }, signal);
  }

  async #endTasks(): Promise<void> {
    // Its end is the end of the task that follows it.
    await this.#mirror.close();
    await this.#tasks.close();
    this.#insight?.close();
    await this.#policy?.close();
    await this.#services.health?.close();
    await this.#services.handler.close();
  }

  /** Opens once the first resync is through: before, the executable tells the runtime to try again later. */
  async #openCni(): Promise<void> {
    await this.#ready.promise;
    const { runDir, cniSocket, cni } = this.#config;
    const ownNetns = await this.#dataplane.netnsIdentity("/proc/self/ns/net");
    const server = new CniServer({
      queue: this.#controller,
      wiring: this.#dataplane,
      ownNetns: ownNetns ?? "",
      unavailable: () => this.#unavailable(),
      exhausted: () => this.#addresses.exhausted(),
      known: async (pod, signal) => {
        const { waitSeconds } = this.#config.policy;
        if (this.#policy) await waitForPod(this.#policy, pod, { waitSeconds, signal, log: this.#log });
      },
      timeoutMs: cni.timeoutSeconds * 1000,
      log: this.#log,
      registry: this.#registry,
    });
    this.#cni = await HttpServer.open({
      listen: { socket: cniSocket ?? join(runDir, "cni.sock") },
      routes: new Map([["POST /cni", server.handle]]),
      maxConcurrent: cni.maxConcurrent,
      onError: (err, request) => this.#log.error({ err, request }, "CNI server"),
    });
    this.#isReady = true;
    this.#log.info(
      {
        node: this.#nodeName,
        id: this.#identity.id,
        podCIDRs: this.#self.podCIDRs,
        dataplane: this.#dataplane.name,
        store: this.#store.kind,
        pods: [...this.#pods.sandboxes()].length,
        ms: Math.round(performance.now() - this.#startedAt),
      },
      "ready",
    );
  }

  #unavailable(): string | undefined {
    const away = this.#dataplane.problem;
    if (away !== undefined) return away;
    const problem = this.#publisher.problem ?? this.#nodes.selfProblem;
    return problem === undefined ? undefined : `the other nodes do not talk to this one: ${problem}`;
  }

  async #openRest(): Promise<void> {
    const at = this.#config.rest.lastIndexOf(":");
    const host = this.#config.rest.slice(0, at).replace(/^\[|\]$/g, "");
    this.#rest = await HttpServer.open({
      listen: { host, port: Number(this.#config.rest.slice(at + 1)) },
      routes: restRoutes({
        registry: this.#registry,
        ready: () => this.#isReady,
        health: () => this.#health(),
        status: () => this.#status(),
        scheduler: () => this.#scheduler,
        controller: () => this.#controller,
        history: () => this.#history,
        dataplaneMetrics: () => this.#dataplane.metrics(this.#interfaceOwners()),
        policyMetrics: () => this.#policyMetrics(),
        policy: { enforced: this.#config.policy.enforce, source: () => this.#policySource() },
        serviceMetrics: () => this.#serviceMetrics(),
        services: {
          isServing: () => this.#config.services.enabled,
          engine: () => (this.#isReady ? this.#services.handler.engine : undefined),
        },
      }),
      onError: (err, request) => this.#log.error({ err, request }, "REST"),
    });
  }

  #policySource(): PolicySource | undefined {
    const [policy, insight] = [this.#policy, this.#insight];
    if (!this.#isReady || !policy || !insight) return undefined;
    return { engine: policy.engine, counters: () => insight.counters() };
  }

  #isInPlace(key: Key): boolean {
    return IN_PLACE.has(this.#scheduler.status(key).state);
  }

  #policyStatus(): PolicyStatus | undefined {
    return this.#policy?.status((key) => this.#isInPlace(key));
  }

  #serviceStatus(): ServiceStatus {
    const { handler, health } = this.#services;
    const status = handler.status();
    return { ...status, warnings: [...status.warnings, ...(health?.problems ?? [])] };
  }

  #serviceMetrics(): readonly ServiceMetric[] {
    return this.#isReady ? serviceMetrics(this.#serviceStatus()) : [];
  }

  async #policyMetrics(): Promise<readonly PolicyMetric[]> {
    const status = this.#policyStatus();
    const source = this.#policySource();
    return status && source ? policyMetrics(source.engine, status, await source.counters()) : [];
  }

  #interfaceOwners(): ReadonlyMap<string, InterfaceOwner> {
    if (!this.#isReady) return new Map();
    return new Map(
      [...this.#pods.sandboxes()].map(({ row, pod }) => [
        row.hostIf,
        { interface: row.ifName, ...(pod && { namespace: pod.namespace, pod: pod.name }) },
      ]),
    );
  }

  async #status(): Promise<unknown> {
    if (!this.#isReady) return { ready: false, node: this.#nodeName, health: Object.fromEntries(this.#health()) };
    return {
      ready: true,
      version: VERSION,
      node: {
        name: this.#nodeName,
        id: this.#identity.id,
        podCIDRs: this.#self.podCIDRs,
        underlay: this.#self.underlayIps,
      },
      dataplane: {
        name: this.#dataplane.name,
        warnings: await this.#dataplane.warnings(),
        ...this.#dataplane.status(),
      },
      store: { kind: this.#config.store.kind, at: this.#store.kind, staleForMs: Math.round(this.#mirror.staleFor()) },
      peers: [...this.#nodes.peers.values()],
      ignoredNodes: this.#nodes.ignored,
      addresses: this.#addresses.usage(),
      pods: [...this.#pods.sandboxes()].map(({ row, pod, containerId }) => ({
        ...pod,
        containerId,
        ifName: row.ifName,
        hostIf: row.hostIf,
        netns: row.netns,
        ips: row.ips,
      })),
      policy: this.#policyStatus(),
      services: this.#serviceStatus(),
      egress: this.#egress.status(),
      wires: this.#wires.status(itemProblems(this.#scheduler)),
      health: Object.fromEntries(this.#health()),
    };
  }
}

/** Those that are of a pod. */
function* egressPods(sandboxes: Iterable<Sandbox>): Iterable<EgressPod> {
  for (const { pod, row } of sandboxes) if (pod) yield { namespace: pod.namespace, ips: row.ips };
}

/** As it is wanted; or gone, as it is wanted. */
const IN_PLACE: ReadonlySet<ValueState> = new Set(["CONFIGURED", "NONEXISTENT"]);

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
