import { breathe } from "../../base/slice/slice.ts";
import { toJson } from "./plain.ts";

/** Characters after which a piece is handed over. Writing so many takes well under a millisecond. */
const PIECE = 64 * 1024;

/**
 * A long text in pieces; the event loop gets a turn after each. A dump of a hundred thousand values would hold it for
 * hundreds of milliseconds otherwise.
 */
export async function* inPieces(lines: Iterable<string>): AsyncGenerator<string, void> {
  let piece = "";
  for (const line of lines) {
    piece += line;
    if (piece.length < PIECE) continue;
    yield piece;
    piece = "";
    await breathe();
  }
  if (piece !== "") yield piece;
}

/** A JSON array in pieces; `toItem` is called as late as it can be. */
export function jsonArray<T>(
  items: Iterable<T>,
  toItem: (item: T) => unknown = (item) => item,
): AsyncGenerator<string, void> {
  return inPieces(arrayLines(items, toItem));
}

function* arrayLines<T>(items: Iterable<T>, toItem: (item: T) => unknown): Generator<string, void> {
  let before = "[";
  for (const item of items) {
    yield before + toJson(toItem(item));
    before = ",\n";
  }
  yield before === "[" ? "[]\n" : "]\n";
}

/** Lines of text in pieces, each ended by a line feed. */
export function textLines<T>(items: Iterable<T>, toLine: (item: T) => string): AsyncGenerator<string, void> {
  return inPieces(lines(items, toLine));
}

function* lines<T>(items: Iterable<T>, toLine: (item: T) => string): Generator<string, void> {
  for (const item of items) yield `${toLine(item)}\n`;
}
