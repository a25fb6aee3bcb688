import type { HistoryPage, StorableTxn } from "../../api/history.ts";
import type { RecordedTxn } from "../../api/record.ts";
import { renderTxn } from "../../render.ts";
import { knownSince, selectTxns, type TxnSelection, valuesAt } from "../past.ts";
import { inPieces, jsonArray, textLines } from "../pieces.ts";
import { plainStatus, toJson } from "../plain.ts";
import { BadQueryError, choice, moment, text, whole } from "../query.ts";
import { answerOf, type DefinedRoute, defineRoute, NotFoundError, ok } from "../route.ts";
import { inSlices } from "../slices.ts";
import { keyHistory, READ, type ReadHistory } from "../stored.ts";
import { columns, iso, statusText, timelineText } from "../text.ts";

const KINDS = [
  "northbound",
  "notification",
  "retry",
  "unimplemented",
  "late",
  "grace",
] as const satisfies readonly RecordedTxn["kind"][];
const MAX_SEQ = Number.MAX_SAFE_INTEGER;
const YES_NO = ["true", "false"] as const;

/** Transactions, the past of a key, and what was at a moment. */
export function historyRoutes(wall: () => number, readHistory: ReadHistory | undefined): DefinedRoute[] {
  const time = (help: string) => moment(wall, help);
  return [
    defineRoute({
      method: "GET",
      path: "/scheduler/history",
      help: "transactions, oldest first: planned and executed operations",
      params: {
        seq: whole(1, MAX_SEQ, "only this transaction"),
        since: time("that ended at or after it"),
        until: time("that ended at or before it"),
        kind: choice(KINDS, "only of this kind"),
        failed: choice(YES_NO, "only those in which something failed"),
        limit: whole(1, 100_000, "the newest ones only"),
      },
      formats: ["json", "text"],
      answer: async ({ scheduler, query, format }) => {
        const { failed, ...rest } = query;
        const page = await pageOf(scheduler.history(), readHistory, query);
        const txns = await inSlices(selectTxns(page.txns, { ...rest, failed: failed === "true" }));
        if (query.seq !== undefined && txns.length === 0) {
          throw new NotFoundError(`the history does not hold transaction ${query.seq} (any more)`);
        }
        return ok(
          format,
          format === "json" ? inPieces(historyJson(txns)) : textLines(historyText(txns, page), (t) => t),
        );
      },
    }),
    defineRoute({
      method: "GET",
      path: "/scheduler/timeline",
      help: "one key's past: every operation on it that the history holds",
      params: { key: text("KEY", "which value (mandatory)"), until: time("up to then") },
      formats: ["json", "text"],
      answer: async ({ scheduler, query, format }) => {
        const { key, until } = query;
        if (key === undefined) throw new BadQueryError("the parameter key is missing: whose timeline?");
        const known = await keyHistory(scheduler, readHistory, key);
        const entries = known.entries.filter((e) => until === undefined || e.endedAt <= until);
        const timeline = {
          key,
          status: plainStatus(scheduler.status(key)),
          entries,
          ...(Number.isFinite(known.since) && { completeSince: known.since }),
        };
        return answerOf(format, timeline, ({ status }) => {
          const lines = entries.length === 0 ? "  no operation in the history" : timelineText(entries);
          return `${statusText(status)}\n${lines}`;
        });
      },
    }),
    defineRoute({
      method: "GET",
      path: "/scheduler/snapshot",
      help: "which values there were at a moment, and in which state",
      params: {
        time: time("which moment (mandatory)"),
        prefix: text("KEY", "keys that begin so"),
        descriptor: text("NAME", "of this descriptor"),
      },
      formats: ["json", "text"],
      answer: async ({ scheduler, query, format }) => {
        const { time: at, prefix, descriptor } = query;
        if (at === undefined) throw new BadQueryError("the parameter time is missing: which moment?");
        const stats = scheduler.stats();
        const history = scheduler.history();
        const known = knownSince(history, stats.since, stats.history.dropped);
        const values = await inSlices(valuesAt(scheduler.statuses(), history, at, known));
        const shown = values.filter(
          (v) =>
            (prefix === undefined || v.key.startsWith(prefix)) &&
            (descriptor === undefined || v.descriptor === descriptor),
        );
        if (format === "json") return ok(format, jsonArray(shown));
        const rows = shown.map((v) => [v.key, v.state, v.txn === undefined ? "" : `#${v.txn}`, v.value ?? ""]);
        return ok(format, `${[`at ${iso(at)}:`, columns(rows)].join("\n")}\n`);
      },
    }),
  ];
}

async function pageOf(
  memory: readonly RecordedTxn[],
  readHistory: ReadHistory | undefined,
  { seq, since, until, limit, kind, failed }: TxnSelectionQuery,
): Promise<HistoryPage> {
  if (readHistory === undefined) return { txns: memory, gaps: [], more: false };
  const selective = kind !== undefined || failed === "true";
  return await readHistory(
    {
      ...(seq !== undefined && { from: seq, to: seq }),
      ...(since !== undefined && { since }),
      ...(until !== undefined && { until }),
      ...(selective ? { limit: READ } : limit !== undefined && { limit }),
    },
    memory,
  );
}

interface TxnSelectionQuery extends Omit<TxnSelection, "failed"> {
  readonly failed?: "true" | "false";
}

function* historyText(txns: readonly RecordedTxn[], { gaps, more }: HistoryPage): Generator<string, void> {
  if (more) yield "(there are older ones: since=, until= or limit= get them)\n";
  for (const { first, last, count } of gaps) yield `(${count} of the transactions ${first} to ${last} are lost)\n`;
  for (const txn of txns) yield `${renderTxn(txn)}\n`;
}

function* historyJson(txns: readonly RecordedTxn[]): Generator<string, void> {
  for (const [i, txn] of txns.entries()) {
    yield i === 0 ? "[" : ",\n";
    yield* txnJson(txn);
  }
  yield txns.length === 0 ? "[]\n" : "]\n";
}

/** Operations of which the text is made at once. */
const CHUNK = 64;

/** One transaction as JSON, a part at a time: of one with thousands of operations that takes longer than may be. */
function* txnJson(txn: RecordedTxn): Generator<string, void> {
  if (!isStorable(txn)) {
    yield toJson(txn);
    return;
  }
  const head = Object.fromEntries(Object.entries(txn).filter(([k]) => k !== "planned" && k !== "executed"));
  yield toJson(head).slice(0, -1);
  for (const list of ["planned", "executed"] as const) {
    yield `,"${list}":[`;
    for (let from = 0; ; from += CHUNK) {
      const ops = txn.slice(list, from, from + CHUNK);
      if (ops.length > 0) yield (from === 0 ? "" : ",") + toJson(ops).slice(1, -1);
      if (ops.length < CHUNK) break;
    }
    yield "]";
  }
  yield "}";
}

function isStorable(txn: RecordedTxn): txn is StorableTxn {
  return typeof (txn as Partial<StorableTxn>).slice === "function";
}
