import { Command, Option } from "commander";
import { wholeNumber } from "../options.ts";
import { print, type Rows } from "../output.ts";
import { type FilterOptions, filterOptions, filterQuery, pathOf, type QueryOptions, queryCommand } from "./options.ts";
import { callAgent } from "./rest.ts";
import { dumpRows, historyRows, snapshotRows, southboundRows, statusRows, timelineText, valueRows } from "./tables.ts";

/** Prints what the agent answers: its JSON as rows, JSON or YAML. */
async function show<T>(options: QueryOptions, path: string, rows: (data: T) => Rows | string): Promise<void> {
  const body = await callAgent(options, { method: "GET", path });
  await print(JSON.parse(body) as T, options.output, rows);
}

/** Prints what the agent writes for people; JSON and YAML come from its JSON. */
async function showText(options: QueryOptions, path: (format: string) => string): Promise<void> {
  if (options.output !== "table") return await show<unknown>(options, path("json"), () => "");
  process.stdout.write(await callAgent(options, { method: "GET", path: path("text") }));
}

interface HistoryFlags extends QueryOptions {
  readonly seq?: number;
  readonly since?: string;
  readonly until?: string;
  readonly kind?: string;
  readonly failed?: boolean;
  readonly limit: number;
  readonly full?: boolean;
}

function historyCommand(): Command {
  return queryCommand(new Command("history"))
    .description("transactions: what was planned, what was done")
    .option("--seq <n>", "only this one, in full", wholeNumber(1, Number.MAX_SAFE_INTEGER))
    .option("--since <time>", "that ended at or after it: 2026-01-31T12:00:00Z, or 10m ago as 10m")
    .option("--until <time>", "that ended at or before it")
    .option("--kind <kind>", "northbound, notification, retry, unimplemented, late or grace")
    .option("--failed", "only those in which something failed")
    .option("--limit <n>", "the newest ones", wholeNumber(1, 100_000), 20)
    .option("--full", "with every operation")
    .action(async (o: HistoryFlags) => {
      const { seq, since, until, kind, failed, limit } = o;
      const query = { seq, since, until, kind, failed, limit };
      if (seq === undefined && o.full !== true) return await show(o, pathOf("history", query), historyRows);
      await showText(o, (format) => pathOf("history", { ...query, format }));
    });
}

function timelineCommand(): Command {
  return queryCommand(new Command("timeline"))
    .description("what was done with one key, and when")
    .argument("<key>")
    .option("--until <time>", "up to then")
    .action((key: string, o: QueryOptions & { until?: string }) =>
      show(o, pathOf("timeline", { key, until: o.until }), timelineText),
    );
}

function statusCommand(): Command {
  return filterOptions(queryCommand(new Command("status")))
    .description("states of values, what pending ones wait for, why others failed")
    .argument("[key]", "only this one, and what is derived from it")
    .action((key: string | undefined, o: QueryOptions & FilterOptions) => {
      const path = pathOf("status", { key, ...filterQuery(o) });
      return key === undefined
        ? show(o, path, statusRows)
        : show(o, path, (status: Parameters<typeof statusRows>[0][number]) => statusRows([status, ...status.derived]));
    });
}

function valuesCommand(): Command {
  return filterOptions(queryCommand(new Command("values")))
    .description("each value as it is asked for and as it is in place")
    .option("--differing", "only where the two are not the same")
    .action((o: QueryOptions & FilterOptions & { differing?: boolean }) =>
      show(o, pathOf("values", { ...filterQuery(o), differing: o.differing }), valueRows),
    );
}

function snapshotCommand(): Command {
  return queryCommand(new Command("snapshot"))
    .description("which values there were at a moment, and in which state")
    .argument("<time>", "2026-01-31T12:00:00Z, or 10m ago as 10m")
    .option("--prefix <key>", "keys that begin so")
    .option("--descriptor <name>", "of this descriptor")
    .action((time: string, o: QueryOptions & FilterOptions) =>
      show(o, pathOf("snapshot", { time, prefix: o.prefix, descriptor: o.descriptor }), snapshotRows),
    );
}

interface DumpFlags extends QueryOptions, FilterOptions {
  readonly view: string;
}

function dumpCommand(): Command {
  return queryCommand(new Command("dump"))
    .description("values: as asked for, as believed to be in place, or as the southbound has them now")
    .addOption(
      new Option("--view <view>", "southbound reads it now")
        .choices(["northbound", "southbound", "cached"])
        .default("cached"),
    )
    .option("--prefix <key>", "keys that begin so")
    .option("--descriptor <name>", "of this descriptor")
    .action((o: DumpFlags) => {
      const { view, prefix, descriptor } = o;
      const path = pathOf("dump", { view, prefix, descriptor });
      return view === "southbound" ? show(o, path, southboundRows) : show(o, path, dumpRows);
    });
}

function statsCommand(): Command {
  return filterOptions(queryCommand(new Command("stats")))
    .description("transactions, queue, calls of descriptors, values, retries, watchers; or counts of values")
    .addOption(new Option("--by <what>", "count values by it, instead").choices(["state", "descriptor", "lastOp"]))
    .action(async (o: QueryOptions & FilterOptions & { by?: string }) => {
      const filter = filterQuery(o);
      const counting = o.by !== undefined || Object.values(filter).some((f) => f !== undefined);
      await showText(o, (format) =>
        counting ? pathOf("counts", { by: o.by, ...filter, format }) : pathOf("stats", { format }),
      );
    });
}

/** Commands that only look. */
export const lookingCommands = (): Command[] => [
  historyCommand(),
  timelineCommand(),
  statusCommand(),
  valuesCommand(),
  snapshotCommand(),
  dumpCommand(),
  statsCommand(),
];
