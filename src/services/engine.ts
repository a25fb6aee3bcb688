import type { IpAddress } from "../base/ip/address.ts";
import type { SandboxId } from "../pods/api.ts";
import {
  type Change,
  type ClusterIp,
  type Frontend,
  type FrontendKey,
  type HealthCheck,
  type ObjectName,
  type Pool,
  type PoolId,
  type PortProtocol,
  SERVICE_ROWS_VERSION,
  type ServiceChanges,
  type ServiceConfig,
  type ServiceInput,
  type ServicePortName,
  type ServiceProblems,
  type ServiceRows,
  type ServiceView,
} from "./api.ts";
import { candidatesOf } from "./compile/candidates.ts";
import { buildHostPorts, servedBy } from "./compile/host-ports.ts";
import { leadTo } from "./compile/pools.ts";
import { buildService, NOTHING, notServed } from "./compile/service.ts";
import { sliceProblems } from "./compile/slice.ts";
import { sameFrontend, sameHealthCheck, samePool } from "./equal.ts";
import { AssignedIps } from "./index/assigned.ts";
import { Claims, mergeChanges } from "./index/claims.ts";
import { Here, unreadable } from "./index/here.ts";
import { HostPortRecords } from "./index/host-ports.ts";
import { ProblemTable } from "./index/problem-table.ts";
import { Records, type ServiceRecord, serviceOf, slicesOf } from "./index/records.ts";
import { compareText, socketText } from "./names.ts";
import type { ServiceProblem } from "./problems.ts";

export interface ServiceStats {
  readonly services: number;
  readonly slices: number;
  readonly frontends: number;
  readonly pools: number;
  readonly backends: number;
  /** Frontends that are pods' host ports. */
  readonly hostPorts: number;
  /** Objects with problems. */
  readonly problems: number;
}

/**
 * The services of one node, and the ports of it that its pods have for themselves. Takes the cluster's state as changes, and says what is to be in force: frontends, the pools that
 * they lead to, and what surrounds them. An event costs what it touches: a slice the pools of its service.
 *
 * Pure: no clock, no I/O; the same state gives the same {@link rows}, whatever the history.
 */
export class ServiceEngine implements ServiceView {
  /** Of the indexes; for ./explain.ts, ./list.ts and ./trace.ts. */
  readonly here: Here;
  readonly records = new Records();
  readonly hostPorts = new HostPortRecords();
  readonly #frontends = new Claims<Frontend>(sameFrontend);
  readonly #healthChecks = new Claims<HealthCheck>(sameHealthCheck);
  readonly #pools = new Map<PoolId, Pool>();
  readonly #assigned = new AssignedIps();
  readonly #problems = new ProblemTable();
  readonly #triggered = new Set<number>();

  /** @throws IpError for a network of the configuration that is none. */
  constructor(config: ServiceConfig) {
    this.here = new Here(config);
  }

  /** Takes changes that belong together, and returns what they amount to. */
  apply(inputs: Iterable<ServiceInput>): ServiceChanges {
    const [oldBase, oldOwn] = [this.here.base, this.here.own.join()];
    for (const input of inputs) this.#take(input);
    this.#spread();
    const pools: Change<Pool>[] = [];
    const { dirty } = this.records;
    for (const record of dirty) pools.push(...this.#build(record));
    const { changes, contested } = this.#frontends.settle();
    if (this.here.base !== oldBase || this.here.own.join() !== oldOwn) this.hostPorts.touchAll();
    const frontends = mergeChanges(changes, this.#buildHostPorts(changes), keyOf, sameFrontend);
    const health = this.#healthChecks.settle();
    const affected = new Set([...contested, ...health.contested, ...[...dirty].map((r) => r.key)]);
    this.#judgeGone();
    for (const key of affected) this.#judge(key);
    for (const record of dirty) this.records.sweep(record);
    dirty.clear();
    const triggered = [...this.#triggered].sort((a, b) => a - b);
    this.#triggered.clear();
    const { base } = this.here;
    return {
      base: JSON.stringify(base) === JSON.stringify(oldBase) ? undefined : { old: oldBase, new: base },
      clusterIps: this.#assigned.takeChanges(),
      frontends,
      healthChecks: health.changes,
      pools: pools.sort((a, b) => compareText(poolOf(a), poolOf(b))),
      problems: this.#problems.takeChanges(),
      triggered,
    };
  }

  /** Everything that is to be in force. */
  rows(): ServiceRows {
    return {
      version: SERVICE_ROWS_VERSION,
      base: this.base,
      clusterIps: this.#assigned.rows(),
      frontends: this.#frontends.rows(),
      healthChecks: this.#healthChecks.rows(),
      pools: [...this.#pools.values()].sort((a, b) => compareText(a.id, b.id)),
      problems: this.#problems.rows(),
    };
  }

  healthChecks(): readonly HealthCheck[] {
    return this.#healthChecks.rows();
  }

  problems(): readonly ServiceProblems[] {
    return this.#problems.rows();
  }

  get base(): ServiceRows["base"] {
    return this.here.base;
  }

  frontend(key: FrontendKey): Frontend | undefined {
    return this.#frontends.winner(key)?.row;
  }

  pool(id: PoolId): Pool | undefined {
    return this.#pools.get(id);
  }

  clusterIp(address: IpAddress): ClusterIp | undefined {
    return this.#assigned.get(address);
  }

  frontendsOf(pool: PoolId): readonly Frontend[] {
    const service = this.#pools.get(pool)?.service;
    const built = service && this.records.get(service)?.built;
    return (built?.frontends ?? [])
      .filter((claim) => this.#frontends.winner(claim.key) === claim)
      .map((claim) => claim.row)
      .filter(({ paths }) => leadTo(paths, pool))
      .sort((a, b) => compareText(a.key, b.key));
  }

  /** Of a pod's interface: the host ports that it has. */
  hostPortsOf(id: SandboxId): readonly Frontend[] {
    const claims = this.hostPorts.get(id)?.built.frontends ?? [];
    return claims.filter((claim) => this.#frontends.winner(claim.key) === claim).map((claim) => claim.row);
  }

  isOwn(address: IpAddress): boolean {
    return this.here.isOwn(address);
  }

  serves(of: ServicePortName, protocol: PortProtocol, address: IpAddress, port: number): boolean {
    if (of.pod !== undefined) return this.hostPorts.leadsTo(of.pod, protocol, address, port);
    const record = this.records.get(of);
    const service = record && serviceOf(record);
    if (!service) return false;
    const wanted = { service, port: { name: of.port, protocol }, here: this.here };
    return ([4, 6] as const).some((family) =>
      candidatesOf(slicesOf(record), { ...wanted, family }).some(
        (c) => c.address === address && c.port === port && (c.ready || c.endpoint.serving),
      ),
    );
  }

  problemsOf(at: ObjectName, kind: "EndpointSlice" | "Pod" | "Service"): readonly ServiceProblem[] {
    return this.#problems.get({ kind, ...at });
  }

  stats(): ServiceStats {
    const services = [...this.records.services.values()];
    return {
      services: services.filter((r) => r.object !== undefined).length,
      slices: services.reduce((sum, r) => sum + r.slices.size, 0),
      frontends: this.#frontends.size,
      pools: this.#pools.size,
      backends: [...this.#pools.values()].reduce((sum, p) => sum + p.backends.length, 0),
      hostPorts: this.hostPorts.all().reduce((sum, { id }) => sum + this.hostPortsOf(id).length, 0),
      problems: this.#problems.size,
    };
  }

  #take(input: ServiceInput): void {
    switch (input.kind) {
      case "endpointslice": {
        const taken = this.records.putSlice(input.at, input.object);
        const at = input.object && "triggered" in input.object ? input.object.triggered : undefined;
        if (taken && at !== undefined) this.#triggered.add(at);
        return;
      }
      case "host-ports": {
        const before = this.hostPorts.put(input.id, input.object);
        this.#frontends.replace(before?.built.frontends ?? [], []);
        if (before) this.#judgePod(before.object.pod);
        return;
      }
      case "node":
        return this.here.putNode(input.at.name, input.object);
      case "own-addresses":
        return this.here.putInterfaces(input.addresses);
      case "service":
        return this.records.putService(input.at, input.object);
      case "servicecidr": {
        const { namespace, name } = input.at;
        const problems = this.here.putServiceCidr(name, input.object);
        this.#problems.put({ kind: "ServiceCIDR", namespace, name }, problems);
      }
    }
  }

  /** Marks the services that nodes and networks have an effect on. */
  #spread(): void {
    const { all, addresses } = this.here.takeEffect();
    if (!all && addresses.size === 0) return;
    for (const record of this.records.services.values()) {
      if (all || concerns(record, addresses)) this.records.dirty.add(record);
    }
  }

  #build(record: ServiceRecord): Change<Pool>[] {
    const service = serviceOf(record);
    const old = record.built ?? NOTHING;
    const now = service ? buildService(service, slicesOf(record), this.here) : NOTHING;
    record.built = service && now;
    this.#frontends.replace(old.frontends, now.frontends);
    this.#healthChecks.replace(old.healthChecks, now.healthChecks);
    this.#assigned.replace(old.clusterIps, now.clusterIps);
    const changes: Change<Pool>[] = [];
    const kept = new Set(now.pools.map((p) => p.id));
    for (const pool of now.pools) {
      const before = this.#pools.get(pool.id);
      if (before && samePool(before, pool)) continue;
      this.#pools.set(pool.id, pool);
      changes.push({ old: before, new: pool });
    }
    for (const pool of old.pools) {
      if (kept.has(pool.id)) continue;
      changes.push({ old: this.#pools.get(pool.id), new: undefined });
      this.#pools.delete(pool.id);
    }
    return changes;
  }

  /** Behind services, which come first: `changes` are what has become of those. */
  #buildHostPorts(changes: readonly Change<Frontend>[]): Change<Frontend>[] {
    for (const { old, new: now } of changes) for (const one of [old, now]) if (one) this.hostPorts.touch(one);
    const servedAt = servedBy(this, this.here.own);
    for (const record of this.hostPorts.dirty.values()) {
      const { id, object, built: old } = record;
      record.built = buildHostPorts(id, object, servedAt);
      this.#frontends.replace(old.frontends, record.built.frontends);
      this.#judgePod(object.pod);
    }
    this.hostPorts.dirty.clear();
    return this.#frontends.settle().changes;
  }

  #judgePod({ namespace, name }: ObjectName): void {
    this.#problems.put({ kind: "Pod", namespace, name }, this.hostPorts.problemsOf({ namespace, name }));
  }

  /** Of slices that are no more, or can't be read, nothing else is known. */
  #judgeGone(): void {
    const { gone, unreadable: damaged } = this.records;
    for (const [key, at] of gone) {
      const found = damaged.get(key);
      this.#problems.put({ kind: "EndpointSlice", ...at }, found ? [unreadable(found.unreadable)] : []);
    }
    gone.clear();
  }

  /** Says what is wrong with a service and its slices. */
  #judge(key: string): void {
    const record = this.records.services.get(key);
    if (!record) return;
    const { namespace, name, object, built = NOTHING, slices } = record;
    const service = serviceOf(record);
    const own = object && "unreadable" in object ? [unreadable(object.unreadable)] : built.problems;
    this.#problems.put({ kind: "Service", namespace, name }, [...own, ...this.#lost(record)]);
    if (!this.records.dirty.has(record)) return;
    const state = { exists: object !== undefined, isServed: service !== undefined && !notServed(service, this.here) };
    for (const [slice, { slice: object, stale }] of slices) {
      const problems = sliceProblems(object, state);
      if (stale !== undefined) problems.push(staleProblem(stale, object.generation));
      this.#problems.put({ kind: "EndpointSlice", namespace, name: slice }, problems);
    }
  }

  /** Claims of the service that another one has. */
  #lost({ key, built = NOTHING }: ServiceRecord): ServiceProblem[] {
    const problems = new Map<string, ServiceProblem>();
    const add = (code: "PORT_TWICE" | "TAKEN", at: string, message: string): void =>
      void problems.set(`${at} ${message}`, { code, at, message, effect: "part-ignored" });
    for (const claim of built.frontends) {
      const winner = this.#frontends.winner(claim.key);
      if (!winner || winner === claim) continue;
      const { address, port, protocol, kind } = claim.row;
      const what = address === undefined ? `node port ${port}/${protocol}` : socketText(address, port, protocol);
      if (winner.age.owner !== key) add("TAKEN", claim.at, `${what} is ${winner.age.owner}'s`);
      else if (winner.row.kind === kind) add("PORT_TWICE", claim.at, `${what} is another port's of the service`);
    }
    for (const claim of built.healthChecks) {
      const winner = this.#healthChecks.winner(claim.key);
      if (winner && winner !== claim) add("TAKEN", claim.at, `port ${claim.row.port} is ${winner.age.owner}'s`);
    }
    return [...problems.values()];
  }
}

const keyOf = ({ key }: Frontend): string => key;
const poolOf = ({ old, new: now }: Change<Pool>): string => (now ?? old)?.id ?? "";

const staleProblem = (stale: number, known: number | undefined): ServiceProblem => ({
  code: "STALE",
  at: "metadata.generation",
  message: `generation ${stale} came after generation ${known}, which stays`,
  effect: "none",
});

/** Whether one of its endpoints, or external IPs, has one of the addresses. */
function concerns(record: ServiceRecord, addresses: ReadonlySet<IpAddress>): boolean {
  if (serviceOf(record)?.externalIps.some((ip) => addresses.has(ip))) return true;
  for (const { slice } of record.slices.values()) {
    for (const { addresses: own } of slice.endpoints) if (own.some((ip) => addresses.has(ip))) return true;
  }
  return false;
}
