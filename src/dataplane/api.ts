import type { IpAddress } from "../base/ip/address.ts";
import type { EgressWiring } from "../egress/api.ts";
import type { Scheduler } from "../kvscheduler/api/scheduler.ts";
import type { NodeWiring, Uplink } from "../nodes/api.ts";
import type { PodWiring } from "../pods/api.ts";
import type { PolicyWiring } from "../policy/api.ts";
import type { ServiceWiring } from "../services/api.ts";
import type { WireWiring } from "../wires/api.ts";

/** Where the node meets the network between nodes. */
export interface Underlay {
  /** At most one a family, IPv4 first. */
  readonly uplinks: readonly Uplink[];
  /** Links that learn routes from router advertisements. */
  readonly raLinks: readonly string[];
}

/** Whose an interface is, for the labels of its counters; what is left out becomes no label. */
export interface InterfaceOwner {
  readonly namespace?: string;
  readonly pod?: string;
  /** The name that people know: `eth0` of the pod, `uplink-eth0`. */
  readonly interface?: string;
}

export interface MetricSample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** One Prometheus metric with all its samples. */
export interface MetricFamily {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge";
  readonly samples: readonly MetricSample[];
}

/** Addresses on the underlay that others give the node for a time. */
export interface UnderlayLeases {
  /**
   * To be called once, before anything on the network is asked. Resolves when the node has an address: at once if it had one
   * in an earlier life. Rejects when none comes in time. `scheduler`: one of its own, without descriptors, where what is
   * found stays as it is because its source `default` is still expected.
   */
  acquire(nodeIPs: readonly IpAddress[] | undefined, scheduler: Scheduler, signal: AbortSignal): Promise<void>;
  /**
   * Until `signal` aborts; `onMoved` is called, again if it rejects, when {@link Dataplane.underlay} or what is rendered for
   * the node has changed.
   */
  follow(onMoved: () => Promise<void>, signal: AbortSignal): Promise<void>;
}

/** What carries the packets of a node's pods. */
export interface Dataplane extends PodWiring, NodeWiring {
  readonly name: "linux" | "vpp";
  /** Absent where there are no wires. */
  readonly wires?: WireWiring;
  /** Absent where policies are not enforced. */
  readonly policies?: PolicyWiring;
  readonly services: ServiceWiring;
  readonly egress: EgressWiring;
  /** To be called once, before the scheduler's first transaction. */
  register(scheduler: Scheduler): void;
  /** `nodeIPs`: addresses of this node on the underlay; found from the default routes if absent. */
  underlay(nodeIPs: readonly IpAddress[] | undefined): Promise<Underlay>;
  /** Absent where the node's addresses are its own. */
  readonly leases?: UnderlayLeases | undefined;
  /** Why no pod can be wired now, in words; undefined when all is well. */
  readonly problem: string | undefined;
  /** Whether the node itself, and what it has to ask others, is without a network until the first resync. */
  isCutOff(): Promise<boolean>;
  /** What harms pods, and what could not be done for them, each in words; for status. */
  warnings(): Promise<readonly string[]>;
  /** What else it tells of itself in status. */
  status(): Readonly<Record<string, unknown>>;
  /** What it counts, read now. `owners`: the pods' interfaces by the names of the node's ends. */
  metrics(owners: ReadonlyMap<string, InterfaceOwner>): Promise<readonly MetricFamily[]>;
  /** Ends what forwards, too, if it was started by an agent; {@link close} has still to be called. */
  stop(): Promise<void>;
  /** Ends this process's part. What forwards goes on forwarding. */
  close(): Promise<void>;
}
