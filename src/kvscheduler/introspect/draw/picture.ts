import type { Key } from "../../api/descriptor.ts";
import type { GraphEdge, GraphNode, GraphView } from "../../api/graph-view.ts";
import type { RecordedOp, RecordedTxn } from "../../api/record.ts";
import type { ValueState } from "../../api/status.ts";
import { iso } from "../text.ts";

/** What is drawn of a node. */
export interface Figure {
  readonly id: string;
  /** Descriptor; or who has no descriptor. */
  readonly group: string;
  /** The key, without what all keys of its group begin with. */
  readonly label: string;
  readonly state: ValueState;
  /** What the highlighted transaction did with it. */
  readonly mark?: Mark;
  /** Everything about it, a few lines. */
  readonly tooltip: string;
}

export interface Mark {
  /** `+`, `~`, `-`; `+-` where it was made again; with `!` where it failed. */
  readonly sign: string;
  readonly failed: boolean;
}

/** Kinds of lines. Unmet ones are drawn differently. */
export type EdgeStyle = GraphEdge["kind"] | `unmet-${GraphEdge["kind"]}`;

/** `from` needs `to`: indexes of figures. */
export interface Connection {
  readonly from: number;
  readonly to: number;
  readonly style: EdgeStyle;
  readonly tooltip: string;
}

export interface Picture {
  /** One line: how many values, which part of the graph, which transaction. */
  readonly title: string;
  readonly figures: readonly Figure[];
  readonly connections: readonly Connection[];
  /** What the keys of a group begin with. */
  readonly prefixes: ReadonlyMap<string, string>;
}

export interface PictureOptions {
  /** Its keys are highlighted. */
  readonly txn?: RecordedTxn;
  /** Keys that it touched and that are not in the graph any more: they are drawn, too. */
  readonly gone?: ReadonlySet<Key>;
}

/** What {@link Figure.group} says for values that no descriptor owns. */
const NO_DESCRIPTOR = "(no descriptor)";
const NOTHING = "(nothing matches)";

/** A graph as figures and connections; how they are drawn is another's business. */
export function pictureOf(view: GraphView, { txn, gone }: PictureOptions = {}): Picture {
  const ops = txn === undefined ? new Map<Key, RecordedOp[]>() : opsByKey(txn);
  const nodes = [...view.nodes];
  const known = new Set(nodes.map((n) => n.key));
  for (const [key, list] of ops) {
    if (gone?.has(key) === true && !known.has(key)) nodes.push(ghost(key, list));
  }
  nodes.sort((a, b) => (a.key < b.key ? -1 : 1));
  const groups = nodes.map((n) => n.descriptor ?? NO_DESCRIPTOR);
  const prefixes = commonPrefixes(nodes, groups);
  const figures = nodes.map((n, i): Figure => {
    const group = groups[i]!;
    const list = ops.get(n.key);
    return {
      id: n.key,
      group,
      label: n.key.slice(prefixes.get(group)?.length ?? 0),
      state: n.state,
      tooltip: tooltipOf(n, list),
      ...(list !== undefined && { mark: markOf(list) }),
    };
  });
  const connections = connect(view.edges, figures);
  return { title: titleOf(view, nodes.length, txn), figures, connections, prefixes };
}

function opsByKey(txn: RecordedTxn): Map<Key, RecordedOp[]> {
  const ops = new Map<Key, RecordedOp[]>();
  for (const op of txn.dryRun === true ? txn.planned : txn.executed) {
    const list = ops.get(op.key);
    if (list === undefined) ops.set(op.key, [op]);
    else list.push(op);
  }
  return ops;
}

/** A node for a key that the transaction touched and that is gone. */
function ghost(key: Key, ops: readonly RecordedOp[]): GraphNode {
  const last = ops.at(-1)!;
  return {
    key,
    state: "NONEXISTENT",
    derived: last.derived === true,
    ...(last.descriptor !== undefined && { descriptor: last.descriptor }),
  };
}

const SIGNS = { create: "+", update: "~", delete: "-" } as const;

function markOf(ops: readonly RecordedOp[]): Mark {
  const failed = ops.some((op) => op.error !== undefined);
  const signs = new Set(ops.filter((op) => op.noop !== true).map((op) => SIGNS[op.op]));
  const sign = ["-", "~", "+"].filter((s) => signs.has(s as "+")).join("");
  return { sign: `${sign === "" ? "=" : sign}${failed ? "!" : ""}`, failed };
}

function connect(edges: readonly GraphEdge[], figures: Figure[]): Connection[] {
  const index = new Map(figures.map((f, i) => [f.id, i]));
  const connections: Connection[] = [];
  for (const edge of edges) {
    const from = index.get(edge.from);
    const to = edge.to === undefined ? stub(edge, figures, index) : index.get(edge.to);
    if (from === undefined || to === undefined) continue;
    connections.push({
      from,
      to,
      style: edge.met ? edge.kind : `unmet-${edge.kind}`,
      tooltip: edgeTooltip(edge),
    });
  }
  return connections;
}

/** Stands for the keys that could meet an any-of dependency, if there were one. */
function stub({ prefixes = [], label }: GraphEdge, figures: Figure[], index: Map<string, number>): number {
  const wanted = `${prefixes.join("* or ")}*`;
  const id = `any of ${wanted}`;
  let at = index.get(id);
  if (at === undefined) {
    at = figures.length;
    index.set(id, at);
    const tooltip = `${label ?? "a dependency"}: nothing that begins so is in place`;
    figures.push({ id, group: NOTHING, label: wanted, state: "NONEXISTENT", tooltip: `${wanted}\n${tooltip}` });
  }
  return at;
}

function edgeTooltip({ from, to, kind, label, met, prefixes, more }: GraphEdge): string {
  const target = to ?? prefixes?.map((p) => `${p}*`).join(" or ") ?? "";
  const also = more === true ? " (and others)" : "";
  const verb = kind === "derived" ? "is derived from" : `needs ${label ?? ""}${kind === "any-of" ? " (any of)" : ""}:`;
  return `${from}\n${verb} ${target}${also}${met ? "" : "\nnot met"}`;
}

function tooltipOf(n: GraphNode, ops: readonly RecordedOp[] = []): string {
  const lines = [n.key, `${n.state}${n.descriptor === undefined ? "" : `, ${n.descriptor}`}`];
  if (n.source !== undefined) lines.push(`source: ${n.source}`);
  if (n.derived) lines.push("derived");
  if (n.value !== undefined) lines.push(n.value);
  for (const u of n.unmet ?? []) lines.push(`waits for ${u.label}: ${u.wants.join(" or ")} since ${iso(u.since)}`);
  if (n.error !== undefined) lines.push(`failed: ${n.error}`);
  if (n.txn !== undefined) lines.push(`last changed by transaction ${n.txn}`);
  for (const op of ops) {
    const failed = op.error === undefined ? "" : `: ${op.error}`;
    lines.push(`${op.op}${op.noop === true ? " (not sent)" : ""} ${op.stateBefore} -> ${op.stateAfter}${failed}`);
  }
  return lines.join("\n");
}

function titleOf(view: GraphView, shown: number, txn: RecordedTxn | undefined): string {
  const parts = [`${shown} values, ${view.edges.length} relations`];
  if (view.omitted > 0) parts.push(`${view.omitted} more are left out`);
  if (txn !== undefined) {
    const resync = txn.resync === undefined ? "" : `, ${txn.resync} resync`;
    const what = txn.description === undefined ? "" : `: ${txn.description}`;
    parts.push(`highlighted: transaction ${txn.seq}, ${txn.kind} from ${txn.source}${resync}${what}`);
  }
  return parts.join("; ");
}

/** Whole path elements that all keys of a group have in common, if there are two at least. */
function commonPrefixes(nodes: readonly GraphNode[], groups: readonly string[]): ReadonlyMap<string, string> {
  const keys = new Map<string, Key[]>();
  for (const [i, { key }] of nodes.entries()) {
    const list = keys.get(groups[i]!);
    if (list === undefined) keys.set(groups[i]!, [key]);
    else list.push(key);
  }
  const prefixes = new Map<string, string>();
  for (const [group, list] of keys) {
    const first = list[0]!;
    const last = list.at(-1)!; // sorted: what these two share, all share
    let length = 0;
    while (length < first.length && first[length] === last[length]) length++;
    const prefix = first.slice(0, first.lastIndexOf("/", Math.max(0, length - 1)) + 1);
    if (list.length > 1 && prefix.length > 0) prefixes.set(group, prefix);
  }
  return prefixes;
}
