import type { VppApi } from "../binapi/index.ts";
import { NO_INDEX } from "../target.ts";
import type { Chains } from "./filter.ts";

/** Tables of VPP's classifier that one interface asks of what it receives, and of what it sends. */
export interface Bindings {
  readonly input: Chains;
  readonly output: Chains;
}

const NONE: Chains = { 4: NO_INDEX, 6: NO_INDEX };
const TYPES = { 4: "ip4", 6: "ip6" } as const;

/** Those of all interfaces. No message tells of output. */
export async function readBindings(api: VppApi, signal?: AbortSignal): Promise<(sw_if_index: number) => Bindings> {
  const shown = async (command: "inacl" | "outacl", family: 4 | 6) =>
    parseTables(await api.cli(`show ${command} type ${TYPES[family]}`, signal ? { signal } : {}));
  const [in4, in6, out4, out6] = await Promise.all([
    shown("inacl", 4),
    shown("inacl", 6),
    shown("outacl", 4),
    shown("outacl", 6),
  ]);
  return (index) => ({
    input: { 4: in4.get(index) ?? NO_INDEX, 6: in6.get(index) ?? NO_INDEX },
    output: { 4: out4.get(index) ?? NO_INDEX, 6: out6.get(index) ?? NO_INDEX },
  });
}

/**
 * Tables by interface (format_vnet_in_out_acl_info):
 *
 *      Intfc idx      Classify table\t\tInterface name
 *              1                   3\t\tloop0
 */
export function parseTables(text: string): Map<number, number> {
  return new Map([...text.matchAll(/^ *(\d+) +(\d+)\t/gm)].map(([, index, table]) => [Number(index), Number(table)]));
}

/** Puts `wanted` in the place of `now`. */
export async function bind(
  api: VppApi,
  sw_if_index: number,
  { now, wanted = { input: NONE, output: NONE } }: { readonly now: Bindings; readonly wanted?: Bindings },
  signal: AbortSignal,
): Promise<void> {
  const messages = { input: "input_acl_set_interface", output: "output_acl_set_interface" } as const;
  const set = async (way: "input" | "output", chains: Chains, is_add: boolean): Promise<void> => {
    if (isEqual(now[way], wanted[way]) || !isBound(chains)) return;
    const tables = { ip4_table_index: chains[4], ip6_table_index: chains[6], l2_table_index: NO_INDEX };
    await api.request(messages[way], { sw_if_index, is_add, ...tables }, { signal });
  };
  // VPP does what it is asked in the order of the questions.
  await Promise.all(
    (["input", "output"] as const).flatMap((way) => [set(way, now[way], false), set(way, wanted[way], true)]),
  );
}

export const isEqual = (a: Chains, b: Chains): boolean => a[4] === b[4] && a[6] === b[6];
export const isBound = (chains: Chains): boolean => !isEqual(chains, NONE);
