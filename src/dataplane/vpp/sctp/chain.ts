import { addressBits, type IpFamily } from "../../../base/ip/address.ts";
import type { Element, VppApi } from "../binapi/index.ts";
import { NO_INDEX } from "../target.ts";
import { EXTENSIONS, extensions, maskOf, placeOf, shapeAt, VECTORS, type Way } from "./layout.ts";

/** Room of a table; the memory is taken as entries need it. */
const ROOM = { nbuckets: 16_384, memory_size: 64 << 20 } as const;
const LITTLE_ROOM = { nbuckets: 256, memory_size: 4 << 20 } as const;
const GO_ON = NO_INDEX;
const DROP = 0;

/** Tables in the order in which they are asked. */
export interface Chain {
  readonly family: IpFamily;
  /** VPP's number of the first table, which is always there. */
  readonly head: number;
  /** Where packets go on; VPP's number for none if they are through. */
  readonly tail: number;
  /** VPP's numbers by place. */
  readonly tables: Map<number, number>;
  /** Numbers of entries by place. */
  readonly sizes: Map<number, number>;
}

/** As VPP tells it, with its place. */
export type Entry = Pick<Element<"classify_session_dump">, "match" | "opaque_index">;

/** Makes, changes and reads chains of tables. A packet meets a chain as it was before a change, or as it is after it. */
export class ChainTables {
  readonly #api: VppApi;

  constructor(api: VppApi) {
    this.#api = api;
  }

  /** With the tables that are always there: pods themselves, and on IPv6 what has extension headers. */
  async make(family: IpFamily, way: Way, tail: number): Promise<Chain> {
    const self = placeOf(family, { kind: "self", length: addressBits(family), bits: 0 });
    const first = await this.#add(family, maskAt(family, way, self), tail);
    const tables = new Map([[self, first]]);
    if (family === 4) return { family, head: first, tail, tables, sizes: new Map() };
    const { mask, matches } = extensions();
    const head = await this.#add(family, mask, first, LITTLE_ROOM);
    const common = { is_add: true, table_index: head, hit_next_index: DROP, opaque_index: EXTENSIONS };
    await Promise.all(matches.map((match) => this.#api.request("classify_add_del_session", { ...common, match })));
    return { family, head, tail, tables: new Map([[EXTENSIONS, head], ...tables]), sizes: new Map() };
  }

  /** Puts tables for these places where they belong. */
  async extend(family: IpFamily, way: Way, chain: Chain, places: Iterable<number>): Promise<void> {
    for (const place of places) {
      if (chain.tables.has(place)) continue;
      const next = [...chain.tables.keys()].filter((p) => p > place).toSorted((a, b) => a - b)[0];
      const after = next === undefined ? chain.tail : (chain.tables.get(next) ?? chain.tail);
      const table = await this.#add(family, maskAt(family, way, place), after);
      await this.#link(family, before(chain, place), table);
      chain.tables.set(place, table);
    }
  }

  /** Takes tables without entries out. */
  async shorten(family: IpFamily, chain: Chain): Promise<void> {
    for (const [place, size] of chain.sizes) {
      const table_index = chain.tables.get(place);
      const self = placeOf(family, { kind: "self", length: addressBits(family), bits: 0 });
      if (size > 0 || place <= self || table_index === undefined) continue;
      chain.tables.delete(place);
      chain.sizes.delete(place);
      const next = [...chain.tables.keys()].filter((p) => p > place).toSorted((a, b) => a - b)[0];
      await this.#link(
        family,
        before(chain, place),
        next === undefined ? chain.tail : (chain.tables.get(next) ?? chain.tail),
      );
      await this.#remove(family, table_index);
    }
  }

  /** The first table with the mask, from `head` on. */
  async find(head: number, wanted: Uint8Array, signal?: AbortSignal): Promise<number | undefined> {
    for (let table_id = head; table_id !== NO_INDEX; ) {
      const { mask, next_table_index } = await this.#api.request(
        "classify_table_info",
        { table_id },
        signal ? { signal } : {},
      );
      if (Buffer.compare(mask, wanted) === 0) return table_id;
      table_id = next_table_index;
    }
    return undefined;
  }

  /** Undefined if it is not a chain like those that this makes. */
  async read(
    family: IpFamily,
    way: Way,
    { head, tail }: { readonly head: number; readonly tail: number },
    signal?: AbortSignal,
  ): Promise<{ readonly chain: Chain; readonly entries: readonly Entry[] } | undefined> {
    const options = signal ? { signal } : {};
    const chain: Chain = { family, head, tail, tables: new Map(), sizes: new Map() };
    const entries: Entry[] = [];
    const self = placeOf(family, { kind: "self", length: addressBits(family), bits: 0 });
    for (let table_id = head; table_id !== tail; ) {
      if (table_id === NO_INDEX) return undefined;
      const { mask, next_table_index } = await this.#api.request("classify_table_info", { table_id }, options);
      const found = await this.#api.dump("classify_session_dump", { table_id }, options);
      const place =
        found[0]?.opaque_index ?? (Buffer.compare(mask, maskAt(family, way, self)) === 0 ? self : undefined);
      if (place === undefined) {
        // Made, and never filled: which rules it was for it does not say.
        const last = [...chain.tables.values()].at(-1);
        if (last === undefined) return undefined;
        await this.#link(family, last, next_table_index);
        await this.#remove(family, table_id);
        table_id = next_table_index;
        continue;
      }
      const wanted = place === EXTENSIONS ? extensions().mask : maskAt(family, way, place);
      if (Buffer.compare(mask, wanted) !== 0) return undefined;
      chain.tables.set(place, table_id);
      if (place !== EXTENSIONS) {
        chain.sizes.set(place, found.length);
        if (found.some(({ opaque_index }) => opaque_index !== place)) return undefined;
        for (const entry of found) entries.push(entry);
      }
      table_id = next_table_index;
    }
    return chain.tables.has(self) ? { chain, entries } : undefined;
  }

  async #add(
    family: IpFamily,
    mask: Uint8Array,
    next_table_index: number,
    room: { readonly nbuckets: number; readonly memory_size: number } = ROOM,
  ): Promise<number> {
    const { nbuckets, memory_size } = room;
    const size = { nbuckets, memory_size, match_n_vectors: VECTORS[family] };
    const place = { table_index: NO_INDEX, next_table_index, miss_next_index: GO_ON, current_data_flag: 1 };
    const input = { is_add: true, del_chain: false, ...size, ...place, mask };
    return (await this.#api.request("classify_add_del_table", input)).new_table_index;
  }

  async #remove(family: IpFamily, table_index: number): Promise<void> {
    const mask = new Uint8Array(VECTORS[family] * 16);
    const input = { is_add: false, del_chain: false, table_index, mask, match_n_vectors: VECTORS[family] };
    await this.#api.request("classify_add_del_table", input);
  }

  /** Of a table that is there VPP changes only what comes behind it. */
  async #link(family: IpFamily, table_index: number, next_table_index: number): Promise<void> {
    const mask = new Uint8Array(VECTORS[family] * 16);
    const input = { is_add: true, del_chain: false, table_index, next_table_index, mask };
    await this.#api.request("classify_add_del_table", { ...input, match_n_vectors: VECTORS[family] });
  }
}

function before({ tables, head }: Chain, place: number): number {
  const last = [...tables.keys()].filter((p) => p < place).toSorted((a, b) => b - a)[0];
  return last === undefined ? head : (tables.get(last) ?? head);
}

function maskAt(family: IpFamily, way: Way, place: number): Uint8Array {
  const shape = shapeAt(family, place);
  if (!shape) throw new RangeError(`no rules of SCTP are at place ${place}`);
  return maskOf(family, way, shape);
}
