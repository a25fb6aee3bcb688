import type { Key } from "../../api/descriptor.ts";
import type { GraphFilter } from "../../api/graph-view.ts";
import type { RecordedTxn } from "../../api/record.ts";
import type { Scheduler } from "../../api/scheduler.ts";
import { renderDot } from "../draw/dot.ts";
import { pictureOf } from "../draw/picture.ts";
import { drawSvg } from "../draw/svg.ts";
import { toJson } from "../plain.ts";
import { atMostOne, BadQueryError, choice, text, whole } from "../query.ts";
import { type DefinedRoute, defineRoute, NotFoundError, ok } from "../route.ts";
import { findTxn, type ReadHistory } from "../stored.ts";

/** Nodes in a drawing, unless a limit is given: more of them nobody finds his way in. */
const DRAWN = 500;
const MAX_DRAWN = 2000;
const MAX_LISTED = 10_000;

export function graphRoutes(readHistory: ReadHistory | undefined): DefinedRoute[] {
  return [
    defineRoute({
      method: "GET",
      path: "/scheduler/graph",
      help: "values and who needs whom, as data, for Graphviz, or drawn",
      params: {
        prefix: text("KEY", "keys that begin so"),
        descriptor: text("NAME", "of this descriptor"),
        neighbours: text("KEY", "this key and what is near it"),
        depth: whole(1, 100, "how near: so many steps (1)"),
        txn: whole(1, Number.MAX_SAFE_INTEGER, "highlight what this transaction touched"),
        only: choice(["touched"], "leave out what the transaction did not touch"),
        limit: whole(1, MAX_LISTED, `at most so many values (${DRAWN} in a drawing, ${MAX_LISTED} in a list)`),
      },
      formats: ["json", "dot", "svg"],
      answer: async ({ scheduler, query, format }) => {
        const { txn: seq, only, neighbours, depth } = query;
        if (only !== undefined && seq === undefined) {
          throw new BadQueryError("only=touched wants txn=N: touched by whom?");
        }
        if (depth !== undefined && neighbours === undefined) throw new BadQueryError("depth wants neighbours=KEY");
        atMostOne(query, "neighbours", "only");
        const txn = seq === undefined ? undefined : await findTxn(scheduler, readHistory, seq);
        if (seq !== undefined && txn === undefined) {
          throw new NotFoundError(`the history does not hold transaction ${seq} (any more)`);
        }
        const limit = query.limit ?? (format === "json" ? MAX_LISTED : DRAWN);
        if (format !== "json" && limit > MAX_DRAWN) {
          throw new BadQueryError(`limit: no more than ${MAX_DRAWN} are drawn`);
        }
        const view = scheduler.graphView({
          ...pick(query),
          limit,
          ...(txn !== undefined && only !== undefined && { keys: touchedBy(txn) }),
        });
        if (format === "json") {
          const touched = txn === undefined ? undefined : { seq: txn.seq, touched: [...touchedBy(txn)].sort() };
          return ok(format, `${toJson({ ...view, ...(touched !== undefined && { txn: touched }) })}\n`);
        }
        const picture = pictureOf(view, txn === undefined ? {} : { txn, gone: goneOf(scheduler, txn, query) });
        if (format === "dot") return ok(format, renderDot(picture));
        return ok("svg", await drawSvg(picture));
      },
    }),
  ];
}

/** Keys that the transaction touched, that do not exist any more, and that would be shown if they did. */
function goneOf(
  scheduler: Scheduler,
  txn: RecordedTxn,
  { prefix, descriptor, neighbours }: GraphFilter,
): ReadonlySet<Key> {
  if (neighbours !== undefined) return new Set();
  const gone = (txn.dryRun === true ? txn.planned : txn.executed).filter(
    (op) =>
      (prefix === undefined || op.key.startsWith(prefix)) &&
      (descriptor === undefined || op.descriptor === descriptor) &&
      scheduler.status(op.key).state === "NONEXISTENT",
  );
  return new Set(gone.map((op) => op.key));
}

function pick(query: {
  readonly prefix?: string;
  readonly descriptor?: string;
  readonly neighbours?: string;
  readonly depth?: number;
}): GraphFilter {
  const { prefix, descriptor, neighbours, depth } = query;
  return {
    ...(prefix !== undefined && { prefix }),
    ...(descriptor !== undefined && { descriptor }),
    ...(neighbours !== undefined && { neighbours }),
    ...(depth !== undefined && { depth }),
  };
}

function touchedBy(txn: RecordedTxn): ReadonlySet<Key> {
  return new Set((txn.dryRun === true ? txn.planned : txn.executed).map((op) => op.key));
}
