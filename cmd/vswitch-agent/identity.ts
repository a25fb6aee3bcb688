import { z } from "zod";
import { HeddleError } from "../../src/base/errors/errors.ts";
import { type Cidr, formatCidr, parseNetwork } from "../../src/base/ip/cidr.ts";
import type { AgentConfig } from "../../src/infra/config/agent-config.ts";
import type { Pool } from "../../src/nodes/subnets.ts";
import { parsePodCIDRs, podSubnets } from "../../src/nodes/subnets.ts";

/** Who this node is, kept in the local database so that the agent can start while the store is away. */
export interface Identity {
  readonly name: string;
  readonly id: number;
  readonly subnets: readonly Cidr[];
}

export const IDENTITY_KEY = "node/identity";

const record = z.object({ v: z.literal(1), name: z.string(), id: z.int().min(1), subnets: z.array(z.string()).min(1) });

/** The node was given another identity than the one that its pods have. Drain it and remove the state directory. */
export class IdentityError extends HeddleError<"IDENTITY"> {}

export function encodeIdentity(identity: Identity): string {
  const { name, id, subnets } = identity;
  return JSON.stringify({ v: 1, name, id, subnets: subnets.map(formatCidr) });
}

/** @throws IdentityError for a record that cannot be read. */
export function decodeIdentity(text: string): Identity {
  try {
    const { name, id, subnets } = record.parse(JSON.parse(text));
    return { name, id, subnets: subnets.map(parseNetwork) };
  } catch (e) {
    throw new IdentityError("IDENTITY", `local database, ${IDENTITY_KEY}: cannot be read`, { cause: e });
  }
}

/** The identity that a node ID and the configuration make. @throws PoolConfigError. */
export function makeIdentity(config: AgentConfig, name: string, id: number, pools: readonly Pool[]): Identity {
  const { podCIDRs } = config.network;
  return { name, id, subnets: podCIDRs ? parsePodCIDRs(podCIDRs) : podSubnets(pools, id) };
}
