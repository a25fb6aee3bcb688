import type { Backend, Frontend, Path, Pool, PoolId } from "../../../services/api.ts";
import type { External } from "./spread.ts";

/** What VPP does with packets to a frontend. It has one table of translations for all clients. */
export type Plan =
  /** CNAT translates them to a backend of the path. `isGuarded`: what comes from outside is dropped behind that. */
  | { readonly by: "cnat"; readonly path: Path; readonly isGuarded: boolean }
  /** They go on to the host, whose kernel serves the frontend, to clients outside of the cluster. */
  | { readonly by: "host" }
  /** They are refused. */
  | { readonly by: "nobody" };

const NOBODY: Plan = { by: "nobody" };
const HOST: Plan = { by: "host" };

/** Plans of the frontends of one service port and family. `isForHost`: those that the outside uses go to the host. */
export const plansOf = (frontends: readonly Frontend[], isForHost: boolean): ReadonlyMap<Frontend, Plan> =>
  new Map(frontends.map((frontend) => [frontend, isExternal(frontend) && isForHost ? HOST : planOf(frontend)]));

/** What the outside uses of a service port and family: all of it goes one way together. */
export function externalOf(frontends: readonly Frontend[], poolAt: (id: PoolId) => Pool | undefined): External {
  const external = frontends.filter(isExternal);
  const isForHost = external.some((one) => !isForCnat(one) || isBeyondCnat(one, poolAt));
  const endpoints = external.flatMap(({ protocol, paths: { outside } }) => {
    return backendsOf(outside, poolAt)
      .filter((b) => b.local && !b.onHost)
      .map((b) => `${protocol} ${b.address} ${b.port}`);
  });
  return { isForHost, endpoints: [...new Set(endpoints)] };
}

export const isExternal = ({ kind }: Frontend): boolean => kind !== "ClusterIP";

function planOf(frontend: Frontend): Plan {
  if (!isForCnat(frontend)) return NOBODY;
  const { pod, outside } = frontend.paths;
  const path = [...(isExternal(frontend) ? [outside, pod] : [pod, outside])].find(leadsOn);
  if (path === undefined) return NOBODY;
  return { by: "cnat", path, isGuarded: isExternal(frontend) && !leadsOn(outside) };
}

/** CNAT does not look at who asks, and does not know SCTP over IPv6. */
const isForCnat = ({ sources, protocol, family }: Frontend): boolean =>
  sources === undefined && !(protocol === "SCTP" && family === 6);

/**
 * Whether the outside may get to another node itself, or by SCTP to a pod elsewhere. The one leaves by the interface that it came
 * in by, where CNAT does not take down what the answers look like; the other would need another source, and CNAT finds none for
 * SCTP.
 */
function isBeyondCnat({ protocol, paths: { outside } }: Frontend, poolAt: (id: PoolId) => Pool | undefined): boolean {
  return backendsOf(outside, poolAt).some(({ onHost, local }) => !local && (onHost || protocol === "SCTP"));
}

const leadsOn = ({ verdict }: Path): boolean => verdict === "balance" || verdict === "translate";

/** What a path leads to; nothing where packets are refused or dropped. */
export function backendsOf(path: Path, poolAt: (id: PoolId) => Pool | undefined): readonly Backend[] {
  if (path.verdict === "translate") return [path.to];
  return path.verdict === "balance" ? (poolAt(path.pool)?.backends ?? []) : [];
}
