import type { Key } from "../api/descriptor.ts";
import type { ResyncKind, Txn } from "../api/scheduler.ts";
import { BadQueryError } from "./query.ts";
import { TooLargeError } from "./route.ts";

/** Bytes of a posted change. */
export const MAX_PLAN_BYTES = 1024 * 1024;

const FIELDS = ["changes", "resync", "mode", "source"] as const;
const RESYNCS: readonly ResyncKind[] = ["full", "upstream", "downstream"];
const MODES = ["best-effort", "atomic"] as const;

/** A change of which only the plan is wanted. `changes` are pairs; null deletes. */
export interface PostedPlan extends Pick<Txn, "resync" | "mode" | "source"> {
  readonly changes: readonly (readonly [Key, unknown])[];
}

/**
 * Reads a posted change:
 * `{"changes": [["route/10.0.0.0/24", {"via": "eth0"}], ["route/10.1.0.0/24", null]], "resync": "full"}`
 * @throws BadQueryError naming the place; TooLargeError
 */
export function parsePlan(body: Uint8Array): PostedPlan {
  if (body.length > MAX_PLAN_BYTES) throw new TooLargeError(`the body is larger than ${MAX_PLAN_BYTES} bytes`);
  const posted = parseObject(body);
  for (const name of Object.keys(posted)) {
    if (!FIELDS.some((f) => f === name)) {
      throw new BadQueryError(`there is no field ${JSON.stringify(name)}; allowed: ${FIELDS.join(", ")}`);
    }
  }
  const resync = oneOf("resync", posted["resync"], RESYNCS);
  const mode = oneOf("mode", posted["mode"], MODES);
  const source = posted["source"];
  if (source !== undefined && (typeof source !== "string" || source === "")) {
    throw new BadQueryError("source is not a text");
  }
  return {
    changes: changesOf(posted["changes"], resync),
    ...(resync !== undefined && { resync }),
    ...(mode !== undefined && { mode }),
    ...(source !== undefined && { source }),
  };
}

function parseObject(body: Uint8Array): Readonly<Record<string, unknown>> {
  let posted: unknown;
  try {
    posted = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch (e) {
    throw new BadQueryError(`the body is not JSON: ${e instanceof Error ? e.message : String(e)}`);
  }
  if (typeof posted !== "object" || posted === null || Array.isArray(posted)) {
    throw new BadQueryError(`the body is not an object with the fields ${FIELDS.join(", ")}`);
  }
  return posted as Readonly<Record<string, unknown>>;
}

function oneOf<C extends string>(name: string, value: unknown, choices: readonly C[]): C | undefined {
  if (value === undefined) return undefined;
  const found = choices.find((c) => c === value);
  if (found === undefined) throw new BadQueryError(`${name} is none of ${choices.join(", ")}`);
  return found;
}

function changesOf(value: unknown, resync: ResyncKind | undefined): PostedPlan["changes"] {
  if (value === undefined && resync === "downstream") return [];
  if (!Array.isArray(value)) throw new BadQueryError("changes is not a list of pairs [key, value or null]");
  const seen = new Set<Key>();
  return value.map((pair: unknown, i) => {
    if (!Array.isArray(pair) || pair.length !== 2) {
      throw new BadQueryError(`changes[${i}] is not a pair [key, value or null]`);
    }
    const [key, wanted] = pair as [unknown, unknown];
    if (typeof key !== "string" || key === "") throw new BadQueryError(`changes[${i}][0] is not a key`);
    if (seen.has(key)) throw new BadQueryError(`changes[${i}]: ${key} is there twice`);
    seen.add(key);
    return [key, wanted ?? undefined] as const;
  });
}
