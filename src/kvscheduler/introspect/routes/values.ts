import type { Key } from "../../api/descriptor.ts";
import type { Scheduler, StatusFilter } from "../../api/scheduler.ts";
import type { ValueState, ValueStatus } from "../../api/status.ts";
import { jsonArray, textLines } from "../pieces.ts";
import { oneLine, plainStatus, toJson } from "../plain.ts";
import { atMostOne, choice, choices, text } from "../query.ts";
import { answerOf, type DefinedRoute, defineRoute, type Format, ok, type RestAnswer } from "../route.ts";
import { columns, statsText, statusText } from "../text.ts";

const STATES = [
  "NONEXISTENT",
  "MISSING",
  "UNIMPLEMENTED",
  "REMOVED",
  "CONFIGURED",
  "OBTAINED",
  "DISCOVERED",
  "PENDING",
  "INVALID",
  "FAILED",
  "RETRYING",
] as const satisfies readonly ValueState[];

const FILTER = {
  prefix: text("KEY", "keys that begin so"),
  descriptor: text("NAME", "of this descriptor"),
  state: choices(STATES, "in one of these states"),
};

const JSON_TEXT = ["json", "text"] as const satisfies readonly Format[];

/** Values: their states, their contents, and how many there are. */
export function valueRoutes(): DefinedRoute[] {
  return [
    defineRoute({
      method: "GET",
      path: "/scheduler/status",
      help: "states of values, what pending ones wait for, why others failed",
      params: { key: text("KEY", "only this one; answers with an object, not a list"), ...FILTER },
      formats: JSON_TEXT,
      answer: ({ scheduler, query, format }) => {
        for (const other of ["prefix", "descriptor", "state"]) atMostOne(query, "key", other);
        if (query.key !== undefined) {
          const status = plainStatus(scheduler.status(query.key));
          return answerOf(format, status, () =>
            [statusText(status), ...status.derived.map((d) => statusText(d, "  "))].join("\n"),
          );
        }
        const found = scheduler.statuses(filterOf(query));
        if (format === "json") return ok(format, jsonArray(found, plainStatus));
        return ok(
          format,
          textLines(found, (s) => statusText(plainStatus(s))),
        );
      },
    }),
    defineRoute({
      method: "GET",
      path: "/scheduler/values",
      help: "each value as it is asked for and as it is in place, and its state",
      params: { ...FILTER, differing: choice(["true", "false"], "only where the two are not the same") },
      formats: JSON_TEXT,
      answer: ({ scheduler, query, format }) => {
        const { differing, ...rest } = query;
        const wanted = asMap(scheduler.dump("northbound", query.prefix));
        const cached = asMap(scheduler.dump("cached", query.prefix));
        const pairs = pairsOf(scheduler.statuses(filterOf(rest)), wanted, cached, differing === "true");
        if (format === "json") return ok(format, jsonArray(pairs));
        return ok(
          format,
          textLines(pairs, ({ key, state, same, northbound, cached: found }) => {
            const shown = same ? [oneLine(found)] : [`wanted ${oneLine(northbound)}`, `in place ${oneLine(found)}`];
            return [key, state, ...shown].join("  ");
          }),
        );
      },
    }),
    defineRoute({
      method: "GET",
      path: "/scheduler/dump",
      help: "values as asked for (northbound), as believed (cached), as they are (southbound: reads it now)",
      params: {
        view: choice(["northbound", "southbound", "cached"], "which values (cached if absent)"),
        prefix: FILTER.prefix,
        descriptor: FILTER.descriptor,
      },
      formats: JSON_TEXT,
      answer: ({ scheduler, query, format, signal }) => {
        const { view = "cached", prefix, descriptor } = query;
        if (view === "southbound") return southbound(scheduler, { prefix, descriptor }, format, signal);
        const all = scheduler.dump(view, prefix);
        const shown =
          descriptor === undefined ? all : all.filter(({ key }) => scheduler.status(key).descriptor === descriptor);
        if (format === "json") return ok(format, jsonArray(shown));
        return ok(
          format,
          textLines(shown, ({ key, value }) => `${key}  ${oneLine(value)}`),
        );
      },
    }),
    defineRoute({
      method: "GET",
      path: "/scheduler/counts",
      help: "how many values there are, by their states or descriptors or what was done last with them",
      params: { by: choice(["state", "descriptor", "lastOp"], "state if absent"), ...FILTER },
      formats: JSON_TEXT,
      answer: ({ scheduler, query, format }) => {
        const { by = "state", ...rest } = query;
        const counts = new Map<string, number>();
        for (const status of scheduler.statuses(filterOf(rest))) {
          const name = status[by] ?? "(none)";
          counts.set(name, (counts.get(name) ?? 0) + 1);
        }
        const sorted = [...counts].sort(([a], [b]) => (a < b ? -1 : 1));
        const total = sorted.reduce((sum, [, n]) => sum + n, 0);
        return answerOf(format, { total, by, counts: Object.fromEntries(sorted) }, () =>
          columns([...sorted.map(([name, n]) => [name, String(n)]), ["total", String(total)]]),
        );
      },
    }),
    defineRoute({
      method: "GET",
      path: "/scheduler/stats",
      help: "statistics: transactions, queue, calls of descriptors, values, retries, watchers",
      params: {},
      formats: JSON_TEXT,
      answer: ({ scheduler, format }) => answerOf(format, scheduler.stats(), statsText),
    }),
  ];
}

interface Filter {
  readonly prefix?: string;
  readonly descriptor?: string;
  readonly state?: readonly ValueState[];
}

function filterOf({ prefix, descriptor, state }: Filter): StatusFilter {
  return {
    ...(prefix !== undefined && { prefix }),
    ...(descriptor !== undefined && { descriptor }),
    ...(state !== undefined && { states: state }),
  };
}

function asMap(values: readonly { readonly key: Key; readonly value: unknown }[]): ReadonlyMap<Key, unknown> {
  return new Map(values.map(({ key, value }) => [key, value]));
}

/** A value as it is asked for and as it is. */
interface Pair {
  readonly key: Key;
  readonly state: ValueState;
  readonly descriptor?: string;
  readonly same: boolean;
  readonly northbound?: unknown;
  readonly cached?: unknown;
}

function* pairsOf(
  statuses: readonly ValueStatus[],
  wanted: ReadonlyMap<Key, unknown>,
  cached: ReadonlyMap<Key, unknown>,
  differing: boolean,
): Generator<Pair, void> {
  for (const { key, state, descriptor } of statuses) {
    const northbound = wanted.get(key);
    const found = cached.get(key);
    // Nobody asks for a derived or southbound value: what is in place is all there is to it.
    const same = !wanted.has(key) || toJson(northbound) === toJson(found);
    if (differing && same) continue;
    yield {
      key,
      state,
      ...(descriptor !== undefined && { descriptor }),
      same,
      ...(wanted.has(key) && { northbound }),
      ...(cached.has(key) && { cached: found }),
    };
  }
}

async function southbound(
  scheduler: Scheduler,
  { prefix, descriptor }: { readonly prefix: string | undefined; readonly descriptor: string | undefined },
  format: Format,
  signal: AbortSignal,
): Promise<RestAnswer> {
  const filter = { ...(prefix !== undefined && { prefix }), ...(descriptor !== undefined && { descriptor }) };
  const dump = await scheduler.dumpSouthbound(filter, signal);
  if (format === "json") return ok(format, `${toJson(dump)}\n`);
  return ok(
    format,
    textLines(southboundLines(dump), (line) => line),
  );
}

function* southboundLines(dump: Awaited<ReturnType<Scheduler["dumpSouthbound"]>>): Generator<string, void> {
  for (const { key, value, origin, differs } of dump.values) {
    const remark = differs === undefined ? "" : differs === "unknown" ? "  (not known)" : "  (another value is known)";
    yield `${key}  ${origin}${remark}  ${oneLine(value)}`;
  }
  for (const key of dump.missing) yield `${key}  not found`;
  for (const { descriptor, error } of dump.unread) {
    yield `${descriptor}: ${error === undefined ? "cannot be read: it has no retrieve" : `cannot be read: ${error.message}`}`;
  }
}
