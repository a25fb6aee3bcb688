import { familyOf, parseIp } from "../../../src/base/ip/address.ts";
import { cidrContains, parseCidr } from "../../../src/base/ip/cidr.ts";
import { type Client, type Frontend, type ServiceRows } from "../../../src/services/api.ts";
import type { OracleOutcome, OraclePacket } from "./oracle.ts";

/** Rows as somebody who enforces them has them. */
export class EnforcedRows {
  readonly #rows: ServiceRows;
  readonly #frontends: ReadonlyMap<string, Frontend>;
  readonly #own: readonly string[];

  /** `own`: this node's addresses, which a dataplane knows by itself. */
  constructor(rows: ServiceRows, own: readonly string[]) {
    this.#rows = rows;
    this.#own = own;
    this.#frontends = new Map(rows.frontends.map((f) => [f.key, f]));
  }

  /** As src/services/api.ts says. */
  judge({ from, to, protocol, port }: OraclePacket): OracleOutcome {
    const { base, clusterIps, pools } = this.#rows;
    const family = familyOf(parseIp(to));
    const at = (where: string): Frontend | undefined => this.#frontends.get(`${family}/${protocol}/${where}/${port}`);
    const exact = at(to);
    const isNodePort = (base.nodePortAddresses as readonly string[]).includes(to);
    const served = exact?.kind === "HostPort" ? undefined : exact;
    const isHere = this.#own.includes(to) || to.startsWith("127.");
    const frontend = served ?? (isNodePort ? at("node") : undefined) ?? (isHere ? (exact ?? at("local")) : undefined);
    if (!frontend) {
      const assigned = clusterIps.find((c) => c.address === to);
      if (assigned) return { verdict: assigned.servedBy === "us" ? "reject" : "not-a-service" };
      return { verdict: isIn(to, base.serviceCidrs) ? "drop" : "not-a-service" };
    }
    if (frontend.sources && !isIn(from, frontend.sources)) return { verdict: "drop" };
    const client: Client = this.#own.includes(from) ? "node" : isIn(from, base.podCidrs) ? "pod" : "outside";
    const path = frontend.paths[client];
    if (path.verdict === "translate") {
      const { address, port: number } = path.to;
      return {
        verdict: "balance",
        backends: [`${address} ${number}${address === from ? "*" : ""}`],
        affinity: undefined,
      };
    }
    if (path.verdict !== "balance") return { verdict: path.verdict };
    const pool = pools.find((p) => p.id === path.pool);
    if (!pool) throw new Error(`no pool ${path.pool}`);
    const backends = pool.backends.map(
      (b) => `${b.address} ${b.port}${path.masquerade || b.address === from ? "*" : ""}`,
    );
    return { verdict: "balance", backends: backends.sort(), affinity: pool.affinity };
  }
}

const isIn = (ip: string, networks: readonly string[]): boolean =>
  networks.some((n) => cidrContains(parseCidr(n), parseIp(ip)));
