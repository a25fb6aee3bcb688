import type { Key } from "./descriptor.ts";
import type { RecordedOp, RecordedTxn } from "./record.ts";
import type { UnmetDependency, ValueState } from "./status.ts";

/** Which part of the graph is meant: all conditions that are given must hold. */
export interface GraphFilter {
  readonly prefix?: Key;
  readonly descriptor?: string;
  /** Only these keys (those that a transaction touched, for example). */
  readonly keys?: ReadonlySet<Key>;
  /** This key, and whatever is within `depth` edges of it, in both directions. */
  readonly neighbours?: Key;
  /** Default 1. Without `neighbours` meaningless. */
  readonly depth?: number;
  /** At most so many nodes, the first ones by key (with `neighbours`: the nearest). Default 10,000. */
  readonly limit?: number;
}

export interface GraphNode {
  readonly key: Key;
  /** `NONEXISTENT`: somebody waits for this key, and nothing is known of it. */
  readonly state: ValueState;
  readonly descriptor?: string;
  /** Exists with another value; {@link GraphEdge.kind} `derived` tells which. */
  readonly derived: boolean;
  /** The northbound source whose value counts. Absent for derived and for southbound values. */
  readonly source?: string;
  /** The value in place, or the wanted one; as {@link Descriptor.describe} puts it. */
  readonly value?: string;
  readonly error?: string;
  /** For PENDING. */
  readonly unmet?: readonly UnmetDependency[];
  /** Number of the transaction that last changed it. */
  readonly txn?: number;
}

/** `from` needs `to`. */
export interface GraphEdge {
  readonly from: Key;
  /** Absent for an any-of dependency that nothing meets. */
  readonly to?: Key;
  /** `derived`: `from` is derived from `to`. `key`: a dependency on one key. `any-of`: one of the keys that meet it. */
  readonly kind: "derived" | "key" | "any-of";
  /** The dependency's label. */
  readonly label?: string;
  /** Whether the dependency is met; for `derived` whether the base is in place. */
  readonly met: boolean;
  /** For any-of: the prefixes of which one must appear. */
  readonly prefixes?: readonly Key[];
  /** For any-of: more keys meet it than there are edges (at most ten are named). */
  readonly more?: true;
}

/** Nodes that match the filter and the edges between them, sorted: the same graph gives the same view. */
export interface GraphView {
  /** Sorted by key. */
  readonly nodes: readonly GraphNode[];
  /** Sorted by from, kind, label, to. Both ends are among the nodes. */
  readonly edges: readonly GraphEdge[];
  /** Nodes that matched and were left out because of the limit. */
  readonly omitted: number;
}

/** One operation on a key, and the transaction it belonged to. */
export interface TimelineEntry {
  readonly seq: number;
  readonly kind: RecordedTxn["kind"];
  readonly source: string;
  readonly description?: string;
  readonly resync?: "full" | "upstream" | "downstream";
  /** Wall-clock milliseconds. */
  readonly startedAt: number;
  readonly endedAt: number;
  readonly op: RecordedOp;
  /** Planned, and not carried out: the transaction was cut short before. */
  readonly dropped?: boolean;
}
