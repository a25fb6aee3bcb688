import type { Key, KeyValue } from "../kvscheduler/api/descriptor.ts";
import type { Srv6End, VxlanEnd, Wire, WireguardEnd } from "../models/wire.ts";
import type { FurtherKind } from "../pods/api.ts";

/** A pod's interface as an end of a wire. */
export interface PodEndRow {
  readonly kind: "pod";
  /** Name of the node's end. */
  readonly hostIf: string;
  readonly mtu: number;
  /** L3: how the pod is reached there; empty for L2. */
  readonly addresses: readonly string[];
  /** Of the pod's end; known wherever there are {@link addresses}. */
  readonly mac: string | undefined;
}

export type WireEndRow =
  | PodEndRow
  | ({ readonly kind: "vxlan"; readonly local: string } & VxlanEnd["vxlan"])
  | ({ readonly kind: "srv6"; readonly source: string } & Srv6End["srv6"])
  | ({ readonly kind: "wireguard"; readonly local: string } & WireguardEnd["wireguard"]);

/** A wire whose ends are all known, as a dataplane makes it. */
export interface WireRow {
  readonly name: string;
  readonly layer: Wire["layer"];
  readonly ends: readonly [WireEndRow, WireEndRow];
  /** Largest IP packet that passes, in bytes. */
  readonly mtu: number;
}

/** What wires need of a dataplane. */
export interface WireWiring {
  /** The items that make a wire. Pure; the same row yields the same items. */
  renderWire(row: WireRow): Iterable<KeyValue>;
}

/** An interface of a pod of this node that can be an end. */
export interface WirableInterface {
  /** `namespace/name` */
  readonly pod: string;
  readonly name: string;
  readonly kind: FurtherKind;
  readonly hostIf: string;
  readonly mac: string;
  readonly mtu: number;
}

/** What the ends of wires are made of on this node. */
export interface WireSurroundings {
  readonly interfaces: readonly WirableInterface[];
  /** The node's own addresses on the network between nodes. */
  readonly underlayIps: readonly string[];
  /** Of the network between nodes. */
  readonly underlayMtu: number;
  /** The overlay's: not for wires. */
  readonly overlayVni: number | undefined;
}

/** A wire, for status. */
export interface WireStatus {
  readonly name: string;
  /** `in-force`; `waiting` for an end; `refused`: it makes no sense, or not here; `failed`: the dataplane did not take it. */
  readonly state: "failed" | "in-force" | "refused" | "waiting";
  /** Absent for `in-force`. */
  readonly reason?: string;
  /** Largest IP packet that passes, in bytes, where both ends are known. Nobody tells the ends of a wire of frames. */
  readonly mtu?: number;
}

/** How an item of a wire is: undefined where it is as asked. */
export type ItemProblem = (key: Key) => { readonly failed: boolean; readonly reason: string } | undefined;
