import { crc32 } from "node:zlib";
import type { HistoryGap } from "../api/history.ts";
import type { RecordedTxn } from "../api/record.ts";

/** What one line of a segment holds: a transaction, or a note that some were dropped before this place. */
export type Entry =
  | { readonly txn: RecordedTxn; readonly gap?: undefined }
  | { readonly gap: HistoryGap; readonly txn?: undefined };

const LF = 0x0a;
/** `9c4f02ab ` */
const CRC_LENGTH = 9;

/**
 * One line: `9c4f02ab {"seq":12,"kind":"northbound",…}`. CRC-32 of the JSON's bytes in hexadecimal, a space, the JSON,
 * a line feed. JSON holds no line feed of its own, so lines can be told apart whatever was torn.
 * `cut -c10- FILE | jq` reads it without us.
 */
export function encodeLine(json: string): Buffer {
  const body = Buffer.from(json);
  const line = Buffer.allocUnsafe(CRC_LENGTH + body.length + 1);
  line.write(`${crc32(body).toString(16).padStart(8, "0")} `, "latin1");
  body.copy(line, CRC_LENGTH);
  line[line.length - 1] = LF;
  return line;
}

export function gapLine(gap: HistoryGap): Buffer {
  return encodeLine(JSON.stringify({ gap }));
}

/** The bytes of the JSON, if `line` (without its line feed) is whole. */
function bodyOf(line: Buffer): Buffer | undefined {
  if (line.length <= CRC_LENGTH || line[CRC_LENGTH - 1] !== 0x20) return undefined;
  const body = line.subarray(CRC_LENGTH);
  return line.toString("latin1", 0, CRC_LENGTH - 1) === crc32(body).toString(16).padStart(8, "0") ? body : undefined;
}

/** `undefined` if the line is torn or damaged. */
export function decodeLine(line: Buffer): Entry | undefined {
  const body = bodyOf(line);
  if (body === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(body.toString());
  } catch {
    return undefined; // a CRC that fits by chance
  }
  if (isGap(value)) return { gap: value.gap };
  return isTxn(value) ? { txn: value } : undefined;
}

function isGap(value: unknown): value is { gap: HistoryGap } {
  const gap = (value as { gap?: Partial<HistoryGap> } | null)?.gap;
  return typeof gap?.first === "number" && typeof gap.last === "number" && typeof gap.count === "number";
}

function isTxn(value: unknown): value is RecordedTxn {
  const txn = value as Partial<RecordedTxn> | null;
  return (
    typeof txn?.seq === "number" &&
    typeof txn.endedAt === "number" &&
    Array.isArray(txn.planned) &&
    Array.isArray(txn.executed)
  );
}

/** The lines of a segment with the place where each ends; what follows the last line feed is torn and is left out. */
export function* linesOf(content: Buffer): Generator<{ readonly line: Buffer; readonly end: number }> {
  for (let start = 0; ; ) {
    const at = content.indexOf(LF, start);
    if (at === -1) return;
    yield { line: content.subarray(start, at), end: at + 1 };
    start = at + 1;
  }
}

/** The last whole entry of a segment, and where it ends: what comes after that is torn. */
export function lastEntry(content: Buffer): { readonly entry: Entry; readonly end: number } | undefined {
  let end = content.lastIndexOf(LF) + 1;
  while (end > 0) {
    const start = end < 2 ? 0 : content.lastIndexOf(LF, end - 2) + 1;
    const entry = decodeLine(content.subarray(start, end - 1));
    if (entry !== undefined) return { entry, end };
    end = start;
  }
  return undefined;
}
