import type { NftElementValue, NftSetValue } from "../../../models/nft.ts";
import type { NftJsonObject } from "./nft.ts";

export interface FoundHook {
  readonly type: string;
  readonly hook: string;
  readonly priority: number;
  /** Where it is not the `accept` of all of ours. */
  readonly policy?: string;
}

/** A chain as found: its rules are known by the digest in their comment, "" for a rule that is not ours. */
export interface FoundChain {
  readonly name: string;
  readonly hook: FoundHook | undefined;
  readonly digests: string[];
}

export interface FoundTable {
  readonly sets: readonly NftSetValue[];
  readonly elements: readonly NftElementValue[];
  readonly chains: readonly FoundChain[];
}

/** Reads what `nft -j list table` printed. Objects of kinds that we do not use are passed over. */
export function parseTable(objects: readonly NftJsonObject[]): FoundTable {
  const sets: NftSetValue[] = [];
  const elements: NftElementValue[] = [];
  const chains = new Map<string, FoundChain>();
  for (const object of objects) {
    const set = object["set"] ?? object["map"];
    if (set) {
      const name = String(set["name"]);
      const data = object["map"] ? [set["map"]].flat().join(" . ") : undefined;
      const timeout = set["timeout"] === undefined ? undefined : Number(set["timeout"]);
      // nft does not list that a set is dynamic; those with a time are.
      const flags = timeout === undefined ? (set["flags"] as NftSetValue["flags"]) : DYNAMIC;
      sets.push({
        kind: data === undefined ? "set" : "map",
        name,
        type: [set["type"]].flat().join(" . "),
        ...(data === undefined ? {} : { data }),
        ...(flags ? { flags } : {}),
        ...(timeout === undefined ? {} : { timeout }),
        ...(hasCounters(set["stmt"]) ? { counters: true } : {}),
      });
      // Rules put their elements there, and time removes them.
      if (timeout !== undefined) continue;
      for (const elem of (set["elem"] as unknown[] | undefined) ?? []) {
        if (data === undefined) elements.push({ set: name, key: text(elem) });
        else if (Array.isArray(elem)) elements.push({ set: name, key: text(elem[0]), data: text(elem[1]) });
      }
    }
    const chain = object["chain"];
    if (chain) {
      const name = String(chain["name"]);
      chains.set(name, { name, hook: hookOf(chain), digests: [] });
    }
    const rule = object["rule"];
    if (rule) chains.get(String(rule["chain"]))?.digests.push(text(rule["comment"] ?? ""));
  }
  return { sets, elements, chains: [...chains.values()] };
}

const DYNAMIC: NftSetValue["flags"] = ["dynamic", "timeout"];

/** `"stmt": [{"counter": null}]` */
const hasCounters = (statements: unknown): boolean =>
  Array.isArray(statements) && statements.some((s) => typeof s === "object" && s !== null && "counter" in s);

function hookOf({ type, hook, prio, policy }: Readonly<Record<string, unknown>>): FoundHook | undefined {
  if (typeof hook !== "string") return undefined;
  const base = { type: String(type), hook, priority: Number(prio) };
  return typeof policy === "string" && policy !== "accept" ? { ...base, policy } : base;
}

/** `{ "continue": null }` */
const PLAIN_VERDICTS = new Set(["accept", "continue", "drop", "return"]);

/**
 * `{ concat: ["tcp", 80] }` → `tcp . 80`; `{ prefix: { addr, len } }` → `addr/len`; `{ elem: { val, counter } }` → its value;
 * verdicts as they are written.
 */
function text(json: unknown): string {
  if (typeof json !== "object" || json === null) return String(json);
  const { concat, prefix, range, elem, jump, goto } = json as {
    concat?: unknown[];
    prefix?: { addr: string; len: number };
    range?: unknown[];
    elem?: { val: unknown };
    jump?: { target: string };
    goto?: { target: string };
  };
  if (concat) return concat.map(text).join(" . ");
  if (prefix) return `${prefix.addr}/${prefix.len}`;
  if (range) return range.map(text).join("-");
  if (elem) return text(elem.val);
  if (jump) return `jump ${jump.target}`;
  if (goto) return `goto ${goto.target}`;
  const [verdict] = Object.keys(json);
  if (verdict !== undefined && PLAIN_VERDICTS.has(verdict)) return verdict;
  return JSON.stringify(json);
}
