import { HeddleError } from "../base/errors/errors.ts";

/** 0: as asked. 1: it did not hold. 2: wrong usage or configuration, or asked for what can't run here. */
export const ExitCode = { OK: 0, FAILED: 1, USAGE: 2 } as const;
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

export const OUTPUT_FORMATS = ["table", "json", "yaml"] as const;
export type OutputFormat = (typeof OUTPUT_FORMATS)[number];

/** Ends a command with an exit code; the message, if any, goes to standard error. */
export class CliExit extends HeddleError<"CLI_EXIT"> {
  /** A command that was run for somebody else passes its own status on, so this is any number. */
  readonly exitCode: number;

  constructor(exitCode: number, message = "") {
    super("CLI_EXIT", message);
    this.exitCode = exitCode;
  }
}

/** Rows for people: the first row is the heading. Derived from the same data that JSON and YAML print. */
export type Rows = readonly (readonly (string | number)[])[];

/** Prints data in the format that was asked for; `table` turns it into rows (or finished text). */
export async function print<T>(data: T, format: OutputFormat, table: (data: T) => Rows | string): Promise<void> {
  process.stdout.write(`${await render(data, format, table)}\n`);
}

export async function render<T>(data: T, format: OutputFormat, table: (data: T) => Rows | string): Promise<string> {
  switch (format) {
    case "json":
      return JSON.stringify(data, null, 2);
    case "yaml": {
      const { stringify } = await import("yaml");
      return stringify(data, { aliasDuplicateObjects: false }).trimEnd();
    }
    case "table": {
      const shown = table(data);
      return typeof shown === "string" ? shown : await renderRows(shown);
    }
    default:
      throw new CliExit(ExitCode.USAGE, `"${String(format satisfies never)}" is no output format`);
  }
}

// cli-table3 draws a border wherever a character is not taken away from it.
const BORDERS =
  "top top-mid top-left top-right bottom bottom-mid bottom-left bottom-right left left-mid mid mid-mid right right-mid";
const NO_BORDERS = { ...Object.fromEntries(BORDERS.split(" ").map((b) => [b, ""])), middle: "  " };

/** Columns aligned, without borders, so that `awk` and eyes both find them. */
export async function renderRows(rows: Rows): Promise<string> {
  const { default: Table } = await import("cli-table3");
  const table = new Table({
    chars: NO_BORDERS,
    style: { "padding-left": 0, "padding-right": 0, border: [], head: [] },
  });
  for (const row of rows) table.push(row.map((cell) => String(cell)));
  return table
    .toString()
    .split("\n")
    .map((line) => line.trimEnd())
    .join("\n")
    .replaceAll(/\n{2,}/g, "\n\n"); // an empty row, between two tables, is drawn two lines high
}
