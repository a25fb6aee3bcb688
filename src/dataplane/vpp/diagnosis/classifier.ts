import { type VppApi, VppApiError } from "../binapi/index.ts";
import { NO_INDEX } from "../target.ts";
import { DiagnosisError } from "./errors.ts";
import { type ClassifierRow, classifierRows, type PacketFilter } from "./packet-filter.ts";

export type ClassifierApi = Pick<VppApi, "requestAny">;

/** Enough for one entry; VPP's own defaults. */
const BUCKETS = 2;
const MEMORY = 2 << 20;
const VECTOR = 16;

/** A filter in VPP, of its packet tracer or its pcap capture; there is one of each. Disposing removes it with its tables. */
export async function installFilter(
  api: ClassifierApi,
  of: "trace" | "pcap",
  filter: PacketFilter,
): Promise<AsyncDisposable> {
  if (await isInstalled(api, of)) {
    throw new DiagnosisError("BUSY", `this VPP has a ${of} filter already: "vpp cli -- show classify filter" shows it`);
  }
  let chain: number = NO_INDEX;
  const remove = async () => {
    // VPP deletes the whole chain of tables with it.
    if (chain !== NO_INDEX) await setFirstTable(api, of, NO_INDEX);
  };
  try {
    for (const row of classifierRows(filter)) chain = await addTable(api, row, chain);
    await setFirstTable(api, of, chain);
  } catch (e) {
    await deleteTables(api, chain);
    throw e;
  }
  return { [Symbol.asyncDispose]: remove };
}

async function isInstalled(api: ClassifierApi, of: "trace" | "pcap"): Promise<boolean> {
  const name = `classify_${of}_get_tables`;
  try {
    const { indices } = await api.requestAny(name, of === "pcap" ? { sw_if_index: SYSTEM_WIDE } : {});
    return Array.isArray(indices) && indices.length > 0;
  } catch (e) {
    // Of a VPP that never had one for captures.
    if (e instanceof VppApiError && e.code === "INVALID_VALUE") return false;
    throw e;
  }
}

/** Of the captures; per-interface chains are for other features. */
const SYSTEM_WIDE = 0;

async function setFirstTable(api: ClassifierApi, of: "trace" | "pcap", table_index: number): Promise<void> {
  const where = of === "pcap" ? { sw_if_index: SYSTEM_WIDE } : {};
  await api.requestAny(`classify_${of}_set_table`, { ...where, table_index, sort_masks: false });
}

/** A table with one entry, asked before `next`. */
async function addTable(api: ClassifierApi, { mask, match }: ClassifierRow, next: number): Promise<number> {
  const { new_table_index: table } = await api.requestAny("classify_add_del_table", {
    ...TABLE,
    is_add: true,
    del_chain: false,
    match_n_vectors: mask.length / VECTOR,
    next_table_index: next,
    mask,
  });
  const table_index = Number(table);
  await api.requestAny("classify_add_del_session", {
    is_add: true,
    table_index,
    hit_next_index: NO_INDEX,
    opaque_index: NO_INDEX,
    advance: 0,
    action: 0,
    metadata: 0,
    match,
  });
  return table_index;
}

const TABLE = {
  table_index: NO_INDEX,
  nbuckets: BUCKETS,
  memory_size: MEMORY,
  skip_n_vectors: 0,
  miss_next_index: NO_INDEX,
  current_data_flag: 0,
  current_data_offset: 0,
};

async function deleteTables(api: ClassifierApi, first: number): Promise<void> {
  if (first === NO_INDEX) return;
  await api.requestAny("classify_add_del_table", {
    ...TABLE,
    is_add: false,
    del_chain: true,
    table_index: first,
    match_n_vectors: 1,
    next_table_index: NO_INDEX,
    mask: new Uint8Array(VECTOR),
  });
}
