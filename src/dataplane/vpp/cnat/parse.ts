import { CnatTable } from "../../../models/vpp/cnat.ts";

/* What only VPP's CLI tells about CNAT. Formats: cnat_translation.c, cnat_client.c, cnat_snat_policy.c of VPP 26.06. */

/**
 * Flow hashes by number of the translation, from `show cnat translation`:
 *
 *     [0] 10.96.0.1;80 TCP lb:default fhc:0x9f(default)
 *       0.0.0.0;0->10.1.0.2;8080
 */
export function parseFlowHashes(text: string): ReadonlyMap<number, number> {
  const hashes = new Map<number, number>();
  for (const [, id, hash] of text.matchAll(/^\[(\d+)\] .* fhc:0x([0-9a-f]+)/gm)) {
    hashes.set(Number(id), Number.parseInt(hash ?? "", 16));
  }
  return hashes;
}

/**
 * Addresses that VPP has taken over, from `show cnat client`; for a translation of an interface's own address the
 * client is not exclusive:
 *
 *     [1] cnat-client:[10.96.0.1] tr:1 sess:0 locks:2 flags: 10 exclusive
 */
export function parseExclusive(text: string): ReadonlySet<string> {
  const exclusive = new Set<string>();
  for (const [, address] of text.matchAll(/^\[\d+\] cnat-client:\[([^\]]+)\].* exclusive\b/gm)) {
    if (address !== undefined) exclusive.add(address);
  }
  return exclusive;
}

export interface ShownSnatPolicy {
  /** Networks of destinations, as VPP writes them. */
  readonly excluded: readonly string[];
  /** VPP's names of the interfaces. */
  readonly interfaces: readonly { readonly table: CnatTable; readonly vppName: string }[];
}

/** Headings of `show cnat snat-policy`, by table. */
const HEADINGS: Readonly<Record<CnatTable, string>> = {
  include4: "Included v4 interfaces:",
  include6: "Included v6 interfaces:",
  pod: "k8s pod interfaces:",
  host: "k8s host interfaces:",
};

/**
 * `show cnat snat-policy`; the excluded prefixes are printed as the hash table that they are:
 *
 *     Excluded prefixes:
 *       Hash table 'snat prefixes'
 *     [9]: heap offset 1216, len 1, refcnt 1, linear 0
 *         0: 10.0.0.0/8 dst
 *
 *     k8s pod interfaces:
 *       loop0
 */
export function parseSnatPolicy(text: string): ShownSnatPolicy {
  const excluded: string[] = [];
  const interfaces: { table: CnatTable; vppName: string }[] = [];
  let table: CnatTable | undefined;
  for (const line of text.split(/\r?\n/)) {
    const prefix = /^\s*\d+: ([0-9a-f.:]+\/\d+) dst\s*$/.exec(line)?.[1];
    if (prefix !== undefined) excluded.push(prefix);
    const heading = tables.find((t) => line.trim() === HEADINGS[t]);
    if (heading !== undefined) table = heading;
    else if (table !== undefined && line.startsWith("  ")) interfaces.push({ table, vppName: line.trim() });
  }
  return { excluded, interfaces };
}

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the keys of a constant
const tables = Object.keys(CnatTable) as CnatTable[];
