import type { Entry, Position, StoreErrorCode } from "../api/store.ts";
import type { FeedEvent } from "../common/feed.ts";
import { FrameError } from "./frames.ts";

/** Values travel in base64. */
export type WireEntry = readonly [key: string, revision: string, value: string];
/** Without revision and value: the key is gone. */
export type WireEvent = WireEntry | readonly [key: string];
/** `null`: the key must not exist. */
export type WireCompare = readonly [key: string, revision: string | null];
/** `null` deletes. */
export type WireWrite = readonly [key: string, value: string | null, lease?: string];

/**
 * Client to server. `id` numbers a connection's requests; a watch goes on under the id of its request until `unwatch`
 * names it.
 */
export type Request =
  | { readonly op: "get"; readonly id: number; readonly key: string }
  | { readonly op: "list"; readonly id: number; readonly prefix: string }
  | { readonly op: "txn"; readonly id: number; readonly compare: WireCompare[]; readonly writes: WireWrite[] }
  | { readonly op: "grant"; readonly id: number; readonly ttl: number }
  | { readonly op: "renew"; readonly id: number; readonly lease: string }
  | { readonly op: "revoke"; readonly id: number; readonly lease: string }
  | {
      readonly op: "watch";
      readonly id: number;
      readonly prefix: string;
      readonly resume?: Position;
      readonly seen?: Position;
    }
  | { readonly op: "unwatch"; readonly id: number; readonly watch: number }
  | { readonly op: "ping"; readonly id: number };

export type RequestWithoutId = Request extends infer R ? (R extends Request ? Omit<R, "id"> : never) : never;

/** The result of each request, in `done`. */
export interface Results {
  get: { readonly entry?: WireEntry };
  list: Record<string, never>;
  txn: { readonly succeeded: boolean; readonly revision?: string; readonly written: number };
  grant: { readonly lease: string };
  renew: { readonly alive: boolean };
  revoke: Record<string, never>;
  watch: Record<string, never>;
  unwatch: Record<string, never>;
  ping: Record<string, never>;
}

export type Response =
  /** A slice of a list, or of a watch's snapshot. */
  | { readonly id: number; readonly kind: "part"; readonly entries: WireEntry[] }
  /** The parts sent so far are a whole snapshot. */
  | { readonly id: number; readonly kind: "snapshot"; readonly position: Position; readonly rewound: boolean }
  /** The watch goes on where it was; events follow. */
  | { readonly id: number; readonly kind: "resumed"; readonly position: Position }
  | { readonly id: number; readonly kind: "events"; readonly events: WireEvent[]; readonly position?: Position }
  | { readonly id: number; readonly kind: "done"; readonly result: Results[keyof Results] }
  | { readonly id: number; readonly kind: "failed"; readonly code: StoreErrorCode; readonly message: string };

export const toWire = (entry: Entry): WireEntry => [entry.key, entry.revision, base64(entry.value)];

export const base64 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");

export const fromWire = ([key, revision, value]: WireEntry): Entry => ({
  key,
  revision,
  value: Buffer.from(value, "base64"),
});

export const eventToWire = ([key, entry]: FeedEvent): WireEvent => (entry ? toWire(entry) : [key]);

export const eventFromWire = (event: WireEvent): FeedEvent =>
  event.length === 1 ? [event[0], undefined] : [event[0], fromWire(event)];

const REQUEST_FIELDS: Record<Request["op"], Record<string, (v: unknown) => boolean>> = {
  get: { key: isString },
  list: { prefix: isString },
  txn: {
    compare: listOf((c) => isTuple(c, [isString, (r) => r === null || isString(r)], 2)),
    writes: listOf((w) => isTuple(w, [isString, (v) => v === null || isString(v), isString], 2)),
  },
  grant: { ttl: (v) => typeof v === "number" },
  renew: { lease: isString },
  revoke: { lease: isString },
  watch: { prefix: isString, resume: isOptionalString, seen: isOptionalString },
  unwatch: { watch: isId },
  ping: {},
};

/** @throws FrameError for anything that is not a {@link Request}. */
export function parseRequest(message: unknown): Request {
  const { op, id, ...rest } = (message ?? {}) as Record<string, unknown>;
  if (!isId(id) || !isString(op) || !Object.hasOwn(REQUEST_FIELDS, op)) throw new FrameError("not a request");
  const fields = REQUEST_FIELDS[op as Request["op"]];
  for (const [name, valid] of Object.entries(fields)) {
    if (!valid(rest[name])) throw new FrameError(`request ${op}: wrong ${name}`);
  }
  return message as Request;
}

function isString(v: unknown): v is string {
  return typeof v === "string";
}

function isOptionalString(v: unknown): boolean {
  return v === undefined || typeof v === "string";
}

function isId(v: unknown): v is number {
  return Number.isSafeInteger(v) && (v as number) > 0;
}

function listOf(valid: (v: unknown) => boolean): (v: unknown) => boolean {
  return (v) => Array.isArray(v) && v.every(valid);
}

function isTuple(v: unknown, items: readonly ((v: unknown) => boolean)[], least: number): boolean {
  return Array.isArray(v) && v.length >= least && v.length <= items.length && v.every((item, i) => items[i]?.(item));
}

/** Entries or events per frame, and bytes of their values, so that no frame comes near the bound. */
const PART_COUNT = 500;
const PART_BYTES = 1024 * 1024;

/** Cuts what is too much for one frame into slices. */
export function* slices<T extends WireEvent>(items: Iterable<T>): Generator<T[]> {
  let slice: T[] = [];
  let bytes = 0;
  for (const item of items) {
    slice.push(item);
    bytes += item[0].length + (item[2]?.length ?? 0);
    if (slice.length >= PART_COUNT || bytes >= PART_BYTES) {
      yield slice;
      slice = [];
      bytes = 0;
    }
  }
  if (slice.length > 0) yield slice;
}
