import { mkdir, open, readdir, readFile, rm, stat, truncate } from "node:fs/promises";
import { join } from "node:path";
import { errnoOf } from "../../base/errors/errors.ts";
import { lastEntry } from "./line.ts";

/** A file with the lines of consecutive transactions. */
export interface Segment {
  readonly path: string;
  /** Number and wall-clock end of its first transaction; both are in its name. */
  readonly first: number;
  readonly since: number;
  bytes: number;
}

/** `txn-000000000042-1767225600000.jsonl` */
const NAME = /^txn-(\d+)-(\d+)\.jsonl$/;

export function segmentAt(dir: string, first: number, since: number): Segment {
  const name = `txn-${String(first).padStart(12, "0")}-${Math.max(0, Math.floor(since))}.jsonl`;
  return { path: join(dir, name), first, since, bytes: 0 };
}

/**
 * The segments of a directory, oldest first, and the last number in them. What a crash has left torn at the end is cut
 * off, so that the last segment can be continued. The directory is made if there is none; other files are left alone.
 */
export async function openSegments(dir: string): Promise<{ segments: Segment[]; lastSeq: number }> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const segments: Segment[] = [];
  for (const name of await readdir(dir)) {
    const match = NAME.exec(name);
    if (match === null) continue;
    const path = join(dir, name);
    segments.push({ path, first: Number(match[1]), since: Number(match[2]), bytes: (await stat(path)).size });
  }
  segments.sort((a, b) => a.first - b.first || a.since - b.since);
  for (let last = segments.at(-1); last !== undefined; last = segments.at(-1)) {
    const found = lastEntry(await readFile(last.path));
    if (found !== undefined) {
      if (found.end < last.bytes) await truncate(last.path, found.end);
      last.bytes = found.end;
      return { segments, lastSeq: found.entry.txn?.seq ?? found.entry.gap!.last };
    }
    await rm(last.path); // nothing in it can be read
    segments.pop();
  }
  return { segments, lastSeq: 0 };
}

/** Appends to the segment's file, which is made if there is none. What is written may be read by its owner only. */
export async function append(segment: Segment, data: Buffer): Promise<void> {
  const file = await open(segment.path, "a", 0o600);
  try {
    await file.appendFile(data);
  } finally {
    await file.close();
  }
  segment.bytes += data.length;
}

/** The segment's content; empty if it has been removed meanwhile. */
export async function contentOf(segment: Segment): Promise<Buffer> {
  try {
    return await readFile(segment.path);
  } catch (e) {
    if (errnoOf(e) !== "ENOENT") throw e;
    return Buffer.alloc(0);
  }
}
