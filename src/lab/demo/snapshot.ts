import { inNetns, ipJson } from "../net/ip.ts";
import { execOk } from "../process/exec.ts";

/** What there is in one place, by kind (`link`, `route`, …). Each thing is one line of text that a person can look up. */
export type Snapshot = ReadonlyMap<string, ReadonlySet<string>>;

export interface Difference {
  /** `n1`, `this machine`, … */
  readonly where: string;
  /** `link`, `route`, … */
  readonly kind: string;
  readonly what: string;
  readonly change: "left" | "gone";
}

/** What is in `after` and was not in `before`, and the other way round, in a fixed order. */
export function differences(where: string, before: Snapshot, after: Snapshot): Difference[] {
  const found: Difference[] = [];
  for (const kind of [...new Set([...before.keys(), ...after.keys()])].sort()) {
    const old = before.get(kind) ?? new Set();
    const now = after.get(kind) ?? new Set();
    for (const what of [...now].sort()) if (!old.has(what)) found.push({ where, kind, what, change: "left" });
    for (const what of [...old].sort()) if (!now.has(what)) found.push({ where, kind, what, change: "gone" });
  }
  return found;
}

export const sameSnapshot = (a: Snapshot, b: Snapshot): boolean => differences("", a, b).length === 0;

export const formatDifference = (d: Difference): string =>
  `${d.where}: ${d.kind} ${d.what} ${d.change === "left" ? "is left behind" : "is gone"}`;

type Json = Record<string, unknown>;

const text = (value: unknown): string => (typeof value === "string" || typeof value === "number" ? String(value) : "");

function words(...parts: readonly (string | false)[]): string {
  return parts.filter((p) => p !== false && p !== "").join(" ");
}

/** One route as iproute2 would show it, without what changes by itself (expiry, cached metrics). */
export function routeText(r: Json): string {
  const nexthops = Array.isArray(r["nexthops"]) ? (r["nexthops"] as Json[]) : [];
  const hop = (h: Json): string => {
    const via = h["via"] as Json | undefined;
    const gateway = text(h["gateway"]) || text(via?.["host"]);
    return words(gateway !== "" && `via ${gateway}`, h["dev"] !== undefined && `dev ${text(h["dev"])}`);
  };
  return words(
    text(r["type"]),
    text(r["dst"]),
    hop(r),
    ...nexthops.map((n) => `nexthop ${hop(n)}`),
    r["table"] !== undefined && `table ${text(r["table"])}`,
    r["metric"] !== undefined && `metric ${text(r["metric"])}`,
    r["prefsrc"] !== undefined && `src ${text(r["prefsrc"])}`,
  );
}

// Counters and the like: they differ without anything having been added.
const VOLATILE = new Set(["handle", "index", "counter", "packets", "bytes", "expires", "last", "used"]);

function stable(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(stable);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([k]) => !VOLATILE.has(k))
      .map(([k, v]) => [k, stable(v)]),
  );
}

/** The things of `nft -j list ruleset`: tables, chains, rules, sets, maps, and every element on its own. */
export function nftThings(ruleset: { readonly nftables?: readonly Json[] }): string[] {
  const things: string[] = [];
  for (const entry of ruleset.nftables ?? []) {
    for (const [kind, value] of Object.entries(entry)) {
      if (kind === "metainfo") continue;
      const { elem, ...rest } = value as Json & { elem?: unknown[] };
      const name = words(kind, text(rest["family"]), text(rest["table"]), text(rest["chain"]), text(rest["name"]));
      things.push(kind === "rule" ? `${name} ${JSON.stringify(stable(rest["expr"]))}` : name);
      for (const e of elem ?? []) things.push(`${name} element ${JSON.stringify(stable(e))}`);
    }
  }
  return things;
}

const things = (lines: readonly string[]): Set<string> => new Set(lines.filter((l) => l !== ""));

/** Everything of the kernel's network state in a namespace (the machine's own if undefined) that does not come and go. */
export async function snapshotNetwork(netns: string | undefined): Promise<Map<string, Set<string>>> {
  const prefix = netns === undefined ? [] : inNetns(netns);
  const [links, addresses, routes4, routes6, rules4, rules6, neighbours, fdb, nft] = await Promise.all([
    ipJson(netns, ["link", "show"]),
    ipJson(netns, ["addr", "show"]),
    ipJson(netns, ["-4", "route", "show", "table", "all"]),
    ipJson(netns, ["-6", "route", "show", "table", "all"]),
    ipJson(netns, ["-4", "rule", "show"]),
    ipJson(netns, ["-6", "rule", "show"]),
    ipJson(netns, ["neigh", "show", "nud", "permanent"]),
    execOk([...prefix, "bridge", "-j", "fdb", "show"]).then((t) => JSON.parse(t || "[]") as Json[]),
    execOk([...prefix, "nft", "-j", "list", "ruleset"]).then((t) => JSON.parse(t || "{}") as { nftables?: Json[] }),
  ]);
  const addressTexts = addresses.flatMap((l) =>
    ((l["addr_info"] as Json[] | undefined) ?? []).map((a) =>
      words(`${text(a["local"])}/${text(a["prefixlen"])}`, `dev ${text(l["ifname"])}`),
    ),
  );
  return new Map([
    ["link", things(links.map((l) => text(l["ifname"])))],
    ["address", things(addressTexts)],
    ["route", things([...routes4, ...routes6].map(routeText))],
    [
      "rule",
      things([...rules4.map((r) => `ipv4 ${JSON.stringify(r)}`), ...rules6.map((r) => `ipv6 ${JSON.stringify(r)}`)]),
    ],
    ["neighbour", things(neighbours.map((n) => words(text(n["dst"]), `dev ${text(n["dev"])}`, text(n["lladdr"]))))],
    [
      "fdb entry",
      things(
        fdb
          .filter((f) => f["state"] === "permanent")
          .map((f) =>
            words(text(f["mac"]), `dev ${text(f["ifname"])}`, f["dst"] !== undefined && `dst ${text(f["dst"])}`),
          ),
      ),
    ],
    ["nft", things(nftThings(nft))],
  ]);
}
