import type { Brand } from "../base/brand/brand.ts";
import type { KeyValue } from "../kvscheduler/api/descriptor.ts";
import type { FurtherKind } from "./cni/interfaces.ts";

export type { FurtherKind } from "./cni/interfaces.ts";

/** `<container id>/<interface name>`: what the runtime adds and deletes. */
export type SandboxId = Brand<string, "SandboxId">;

export const sandboxId = (containerId: string, ifName: string): SandboxId => `${containerId}/${ifName}` as SandboxId;

export type HostPortProtocol = "sctp" | "tcp" | "udp";

/** A port of the node that leads to a port of the pod. */
export interface HostPort {
  readonly protocol: HostPortProtocol;
  readonly hostPort: number;
  readonly containerPort: number;
  /** Only this address of the node; every one of the node's addresses if absent. */
  readonly hostIp?: string | undefined;
}

/** Limits in bits per second and bits of burst; 0 is none. Ingress is towards the pod. */
export interface Bandwidth {
  readonly ingressRate: number;
  readonly ingressBurst: number;
  readonly egressRate: number;
  readonly egressBurst: number;
}

/**
 * An interface of a pod beside its first, asked for by annotation. It has no address of its own: it is an end of a wire, and
 * nothing is forwarded by it until there is one.
 */
export interface FurtherInterface {
  /** Inside the pod: of the device, or of the socket. */
  readonly name: string;
  readonly kind: FurtherKind;
  /** Name of the node's end; as that of the first. */
  readonly hostIf: string;
  /** Of the pod's end, where it is a device of the kernel. */
  readonly mac: string;
  /** Among all further interfaces of the node's pods no other one has it; from 1. */
  readonly number: number;
}

/** What a pod's interface is: the end of a pair of the kernel's, or a tap device that VPP has open. */
export type PodLinkKind = "tap" | "veth";

/** One interface of one pod, as a dataplane wires it. */
export interface PodRow {
  readonly id: SandboxId;
  /** Path of the pod's network namespace. */
  readonly netns: string;
  /** Which namespace that path named at ADD: another one there later means another pod's wiring. */
  readonly netnsId: NetnsIdentity;
  /** Name of the interface inside the pod. */
  readonly ifName: string;
  /** Name of the node's end; 15 characters at most, unique on the node. */
  readonly hostIf: string;
  /** As it was made; a dataplane that has only veth pairs puts one in the place of a tap. `veth` if absent. */
  readonly link?: PodLinkKind | undefined;
  /** The pod's addresses, plain, at most one a family. */
  readonly ips: readonly string[];
  readonly mac: string;
  readonly mtu: number;
  /**
   * Of the pod's default routes, less is better; absent for the pod's first interface. A further one must not take the
   * default route away from it, nor from what an earlier plugin of the chain has made.
   */
  readonly routeMetric?: number | undefined;
  readonly hostPorts: readonly HostPort[];
  readonly bandwidth: Bandwidth | undefined;
  /** Absent where there are none. */
  readonly further?: readonly FurtherInterface[] | undefined;
}

/** Identity of a network namespace (device and inode); the same path can name another one later. */
export type NetnsIdentity = string;

/** What later plugins of the chain have made of a pod's end, as far as they may. */
export interface PodEndNow {
  /** 0: not told, so whatever it is. */
  readonly mtu: number;
  /** Destinations of the pod's routes that are still ours. */
  readonly routes: readonly string[];
}

/** What pods need of a dataplane. */
export interface PodWiring {
  /** The items that wire a pod. Pure; the same row yields the same items. */
  render(row: PodRow): Iterable<KeyValue>;
  /**
   * Differences between what the row (as others changed it) asks for and what is, each in words; empty when all is in place.
   * `also`: other items of the pod.
   */
  check(row: PodRow, now?: PodEndNow, also?: readonly KeyValue[]): Promise<readonly string[]>;
  /** `undefined` when the path does not exist. Rejects when it is something else than a network namespace. */
  netnsIdentity(path: string): Promise<NetnsIdentity | undefined>;
  /** What the interface of a new pod is to be here. */
  linkKind(pod: Pick<PodRow, "bandwidth" | "netns">): PodLinkKind;
  /** Why a pod cannot have further interfaces of a kind here; undefined where it can. */
  refusesFurther(kind: FurtherKind): string | undefined;
  /** Addresses that a pod has as its gateways, for the result of ADD; one for each family. */
  readonly gateways: { readonly ipv4: string; readonly ipv6: string };
}
