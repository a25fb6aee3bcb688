import { LabError } from "../errors.ts";

/** Nodes get .1 to .200 of the underlay's IPv4 network. */
export const MAX_NODES = 200;

export interface Interface {
  readonly v4: string;
  readonly v6: string;
}

/**
 * Addresses of a lab. Each lives in namespaces of its own, joined to nothing else, so all labs use the same ones.
 * The outside host is on another network behind the fabric's router, which knows no route to pod addresses: what a pod
 * sends there untranslated never gets an answer.
 */
export const underlayPlan = {
  v4: { network: "192.168.77.0/24", length: 24 },
  v6: { network: "fd77::/64", length: 64 },
  router: { v4: "192.168.77.254", v6: "fd77::fe" } satisfies Interface,
  // TEST-NET-2 (RFC 5737) and the documentation prefix (RFC 3849): outside every pool one would configure
  outside: { v4: "198.51.100.2", v6: "2001:db8:77::2" } satisfies Interface,
  outsideRouter: { v4: "198.51.100.1", v6: "2001:db8:77::1" } satisfies Interface,
  outsideLength: { v4: 24, v6: 64 },
  /** `index` counts from 1. */
  node(index: number): Interface {
    if (!Number.isInteger(index) || index < 1 || index > MAX_NODES) {
      throw new LabError("USAGE", `a lab has 1 to ${MAX_NODES} nodes`);
    }
    return { v4: `192.168.77.${index}`, v6: `fd77::${index.toString(16)}` };
  },
} as const;

/** Pools of pod addresses, and the size of a node's share of each. */
export const podPools = [
  { cidr: "10.244.0.0/16", nodePrefix: 24 },
  { cidr: "fd10:244::/48", nodePrefix: 64 },
] as const;

/** How the text of every address of a lab's nodes and pods begins, and of no other network's one would expect. */
export const labAddressPrefixes: readonly string[] = ["192.168.77.", "fd77:", "10.244.", "fd10:244:"];

/** The fabric's ends of the cables to the outside host and to a node. */
export const OUTSIDE_PORT = "hdout";
export const nodePort = (node: string): string => `hd${node}`;

/** Commands (iproute2's words) that build the fabric inside its own namespace. */
export function fabricCommands(outsideNetns: string, mtu: number): string[] {
  const p = underlayPlan;
  return [
    // No forwarding delay and no snooping: with a querier missing, snooping would in time stop neighbour discovery.
    `link add hdbr mtu ${mtu} type bridge stp_state 0 forward_delay 0 mcast_snooping 0`,
    "link set hdbr up",
    `addr add ${p.router.v4}/${p.v4.length} dev hdbr`,
    `addr add ${p.router.v6}/${p.v6.length} dev hdbr nodad`,
    `link add ${OUTSIDE_PORT} mtu ${mtu} type veth peer name eth0 mtu ${mtu} netns ${outsideNetns}`,
    `addr add ${p.outsideRouter.v4}/${p.outsideLength.v4} dev ${OUTSIDE_PORT}`,
    `addr add ${p.outsideRouter.v6}/${p.outsideLength.v6} dev ${OUTSIDE_PORT} nodad`,
    `link set ${OUTSIDE_PORT} up`,
  ];
}

/** Commands for the outside host's namespace. */
export function outsideCommands(): string[] {
  const p = underlayPlan;
  return [
    `addr add ${p.outside.v4}/${p.outsideLength.v4} dev eth0`,
    `addr add ${p.outside.v6}/${p.outsideLength.v6} dev eth0 nodad`,
    "link set eth0 up",
    `route add default via ${p.outsideRouter.v4}`,
    `route add default via ${p.outsideRouter.v6}`,
  ];
}

/** Commands for the fabric's namespace that plug a node in. */
export function nodePortCommands(node: string, nodeNetns: string, mtu: number): string[] {
  const port = nodePort(node);
  return [
    `link add ${port} mtu ${mtu} type veth peer name eth0 mtu ${mtu} netns ${nodeNetns}`,
    `link set ${port} master hdbr up`,
  ];
}

/** Commands for a node's namespace. */
export function nodeCommands(index: number): string[] {
  const p = underlayPlan;
  const { v4, v6 } = p.node(index);
  return [
    `addr add ${v4}/${p.v4.length} dev eth0`,
    `addr add ${v6}/${p.v6.length} dev eth0 nodad`,
    "link set eth0 up",
    `route add default via ${p.router.v4}`,
    `route add default via ${p.router.v6}`,
  ];
}
