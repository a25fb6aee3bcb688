import type { IpAddress } from "../base/ip/address.ts";
import type { Scheduler } from "../kvscheduler/api/scheduler.ts";
import type { NodeWiring, Uplink } from "../nodes/api.ts";
import type { PodWiring } from "../pods/api.ts";

/** Where the node meets the network between nodes. */
export interface Underlay {
  /** At most one a family, IPv4 first. */
  readonly uplinks: readonly Uplink[];
  /** Links that learn routes from router advertisements. */
  readonly raLinks: readonly string[];
}

/** What carries the packets of a node's pods. */
export interface Dataplane extends PodWiring, NodeWiring {
  readonly name: "linux" | "vpp";
  /** To be called once, before the scheduler's first transaction. */
  register(scheduler: Scheduler): void;
  /** `nodeIPs`: addresses of this node on the underlay; found from the default routes if absent. */
  underlay(nodeIPs: readonly IpAddress[] | undefined): Promise<Underlay>;
  /** What harms pods, and what could not be done for them, each in words; for status. */
  warnings(): Promise<readonly string[]>;
  /** What else it tells of itself in status. */
  status(): Readonly<Record<string, unknown>>;
  /** Ends what forwards, too, if it was started by an agent; {@link close} has still to be called. */
  stop(): Promise<void>;
  /** Ends this process's part. What forwards goes on forwarding. */
  close(): Promise<void>;
}
