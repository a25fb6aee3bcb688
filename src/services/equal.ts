import { type Backend, CLIENTS, type Frontend, type HealthCheck, type Path, type Pool } from "./api.ts";

const sameList = <T>(a: readonly T[], b: readonly T[], same: (x: T, y: T) => boolean): boolean =>
  a === b || (a.length === b.length && a.every((x, i) => same(x, b[i] as T)));

const sameBackend = (a: Backend, b: Backend): boolean =>
  a.address === b.address &&
  a.port === b.port &&
  a.local === b.local &&
  a.onHost === b.onHost &&
  a.terminating === b.terminating;

/** Of two pools of one ID. */
export const samePool = (a: Pool, b: Pool): boolean =>
  a.affinity === b.affinity &&
  a.balancing === b.balancing &&
  sameList(a.backends, b.backends, sameBackend) &&
  sameList(a.draining, b.draining, sameBackend);

function samePath(a: Path, b: Path): boolean {
  if (a.verdict === "balance" && b.verdict === "balance") return a.pool === b.pool && a.masquerade === b.masquerade;
  if (a.verdict === "translate" && b.verdict === "translate") return sameBackend(a.to, b.to);
  return a.verdict === b.verdict;
}

/** Of two frontends of one key. */
export const sameFrontend = (a: Frontend, b: Frontend): boolean =>
  a.kind === b.kind &&
  a.service.namespace === b.service.namespace &&
  a.service.name === b.service.name &&
  a.service.port === b.service.port &&
  a.service.pod === b.service.pod &&
  (a.sources === undefined) === (b.sources === undefined) &&
  sameList(a.sources ?? [], b.sources ?? [], (x, y) => x === y) &&
  sameList(a.except ?? [], b.except ?? [], (x, y) => x === y) &&
  CLIENTS.every((c) => samePath(a.paths[c], b.paths[c]));

/** Of two health checks of one port. */
export const sameHealthCheck = (a: HealthCheck, b: HealthCheck): boolean =>
  a.localReady === b.localReady && a.service.namespace === b.service.namespace && a.service.name === b.service.name;
