import { strict as assert } from "node:assert";
import {
  type Change,
  CLIENTS,
  type ClusterIp,
  type Frontend,
  type HealthCheck,
  type Pool,
  SERVICE_ROWS_VERSION,
  type ServiceBase,
  type ServiceChanges,
  type ServiceProblems,
  type ServiceRows,
} from "../../../src/services/api.ts";

/** What somebody who only sees changes knows: as strict as a kernel about changes that do not fit, or change nothing. */
export class ServiceReplica {
  readonly clusterIps = new Map<string, ClusterIp>();
  readonly frontends = new Map<string, Frontend>();
  readonly healthChecks = new Map<string, HealthCheck>();
  readonly pools = new Map<string, Pool>();
  readonly problems = new Map<string, ServiceProblems>();
  base: ServiceBase;

  constructor(base: ServiceBase) {
    this.base = base;
  }

  apply(changes: ServiceChanges): void {
    if (changes.base) {
      assert.deepEqual(changes.base.old, this.base);
      assert.notDeepEqual(changes.base.old, changes.base.new);
      this.base = changes.base.new ?? this.base;
    }
    follow(this.clusterIps, changes.clusterIps, (r) => r.address);
    follow(this.frontends, changes.frontends, (r) => r.key);
    follow(this.healthChecks, changes.healthChecks, (r) => String(r.port));
    follow(this.pools, changes.pools, (r) => r.id);
    follow(this.problems, changes.problems, ({ object: o }) => `${o.kind} ${o.namespace}/${o.name}`);
    for (const { paths } of this.frontends.values()) {
      for (const path of CLIENTS.map((c) => paths[c])) {
        if (path.verdict === "balance") assert.ok(this.pools.has(path.pool), `there is no pool ${path.pool}`);
      }
    }
    for (const pool of this.pools.values()) assert.ok(pool.backends.length > 0, `${pool.id} is empty`);
  }

  /** In the form of the engine's own, sorted somehow. */
  rows(): ServiceRows {
    return {
      version: SERVICE_ROWS_VERSION,
      base: this.base,
      clusterIps: [...this.clusterIps.values()],
      frontends: [...this.frontends.values()],
      healthChecks: [...this.healthChecks.values()],
      pools: [...this.pools.values()],
      problems: [...this.problems.values()],
    };
  }
}

function follow<Row>(rows: Map<string, Row>, changes: readonly Change<Row>[], keyOf: (row: Row) => string): void {
  for (const { old, new: now } of changes) {
    const row = now ?? old;
    assert.ok(row, "a change of nothing");
    const key = keyOf(row);
    assert.deepEqual(rows.get(key), old, `${key} was not what the change says`);
    assert.notDeepEqual(old, now, `${key} does not change`);
    if (now) rows.set(key, now);
    else rows.delete(key);
  }
}

/** Rows in any order, made comparable. */
export const unordered = (rows: ServiceRows): unknown =>
  Object.fromEntries(
    Object.entries(rows).map(([name, list]: [string, unknown]) => [
      name,
      Array.isArray(list) ? list.map((r) => JSON.stringify(r)).sort() : list,
    ]),
  );
