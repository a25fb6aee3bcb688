import { systemClock } from "../../src/base/clock/clock.ts";
import { parseIp } from "../../src/base/ip/address.ts";
import type { Log } from "../../src/infra/log/log.ts";
import { IpamError, type PoolUsage } from "../../src/ipam/api.ts";
import { Ipam } from "../../src/ipam/ipam.ts";
import { CniError } from "../../src/pods/cni/errors.ts";
import type { PodAddresses } from "../../src/pods/handler.ts";
import type { Sandbox } from "../../src/pods/sandbox.ts";
import type { Identity } from "./identity.ts";

/** IPAM as pods see it. */
export class NodeAddresses implements PodAddresses {
  readonly #ipam: Ipam;

  /** Adopts what the sandboxes hold; whatever else was given out is free again. */
  constructor(identity: Identity, state: Iterable<readonly [string, string]>, sandboxes: Iterable<Sandbox>, log: Log) {
    this.#ipam = new Ipam({
      nodeName: identity.name,
      nodeId: identity.id,
      subnets: identity.subnets,
      clock: systemClock,
      state,
    });
    for (const problem of this.#ipam.problems) log.warn({ problem }, "unusable record of an address");
    for (const { row } of sandboxes) {
      try {
        const foreign = this.#ipam.adopt(row.id, row.ips.map(parseIp));
        if (foreign.length > 0) log.warn({ sandbox: row.id, ips: foreign }, "addresses outside of this node's subnets");
      } catch (err) {
        log.error({ err, sandbox: row.id }, "cannot adopt a sandbox's addresses");
      }
    }
  }

  allocate(...[owner, requested]: Parameters<PodAddresses["allocate"]>): readonly string[] {
    try {
      // The protocol's parser has seen to it that these are addresses.
      return this.#ipam.allocate(owner, { requested: requested.map(parseIp) }).ips.map((ip) => ip.address);
    } catch (e) {
      if (e instanceof IpamError) throw new CniError("NO_ADDRESS", "no address for the pod", e.message, { cause: e });
      throw e;
    }
  }

  release(owner: string): void {
    this.#ipam.release(owner);
  }

  keep(owner: string, ips: readonly string[]): void {
    this.#ipam.adopt(owner, ips.map(parseIp));
  }

  writes() {
    return this.#ipam.takeChanges();
  }

  /** The family, with its subnets, that has no address for another pod; undefined when each has one. */
  exhausted(): string | undefined {
    for (const family of [4, 6] as const) {
      const pools = this.usage().filter((pool) => pool.family === family);
      if (pools.length === 0 || pools.some((pool) => pool.free > 0)) continue;
      return `no IPv${family} address is left in ${pools.map((p) => `${p.pool} (${p.capacity})`).join(", ")}`;
    }
    return undefined;
  }

  usage(): readonly PoolUsage[] {
    return this.#ipam.usage();
  }
}
