import { HeddleError } from "../../../base/errors/errors.ts";
import type { IpFamily } from "../../../base/ip/address.ts";
import { inBursts } from "../../../base/queue/bursts.ts";
import type { VppApi } from "../binapi/index.ts";
import { NO_INDEX } from "../target.ts";
import { type FilteredFlow, flowKey, flowOf, maskOf, matchOf, SHAPES, type Shape, shapeOf, VECTORS } from "./codec.ts";

/** More flows than the filter has room for are to be dropped. */
export class FlowFilterFullError extends HeddleError<"FLOW_FILTER_FULL"> {}

/** How the first of the filter's tables of a family is known. */
export const firstMask = (family: IpFamily): Uint8Array => maskOf(family, SHAPES[0]);

/** VPP's numbers of the first tables of the two chains, which interfaces are bound to. */
export type Chains = Readonly<Record<IpFamily, number>>;

const FAMILIES = [4, 6] as const;
/** An entry of the classifier has a heap of its own table, and VPP dies when that is full: far less is put there. */
const ROOM: Readonly<
  Record<Shape, { readonly flows: number; readonly nbuckets: number; readonly memory_size: number }>
> = {
  ports: { flows: 65_536, nbuckets: 16_384, memory_size: 64 << 20 },
  type: { flows: 4096, nbuckets: 1024, memory_size: 8 << 20 },
  addresses: { flows: 4096, nbuckets: 1024, memory_size: 8 << 20 },
};
/** In the next-node numbers of ip-inacl (in_out_acl.h): the packet ends here, or goes on. */
const DROP = 0;
const GO_ON = NO_INDEX;
/** The classifier's own word of an entry, which is not used for drops: tells the two directions of a flow apart. */
const BEGUN = 1;
const ANSWERS = 2;
/** Requests under way at a time. */
const BURST = 128;

interface Tables {
  readonly ids: Readonly<Record<IpFamily, Readonly<Record<Shape, number>>>>;
  readonly flows: Map<string, FilteredFlow>;
}

/**
 * Flows whose packets VPP drops, both ways, in tables of its classifier that interfaces are bound to as input ACLs. They are
 * asked behind the ACL plugin and CNAT's translation of destinations: the plugin's session of a dropped flow stays alive as
 * long as packets come, and addresses are those of pods. Another VPP gets the same flows as the one before it, before any
 * interface of its is bound.
 */
export class FlowFilter {
  readonly #vpp: { readonly api: VppApi; readonly generation: number };
  #tables: { readonly generation: number; readonly made: Promise<Tables> } | undefined;
  /** Those of the tables that were known last. */
  #last: ReadonlyMap<string, FilteredFlow> = new Map();

  constructor(vpp: { readonly api: VppApi; readonly generation: number }) {
    this.#vpp = vpp;
  }

  /** The tables, made at need. */
  async chains(signal?: AbortSignal): Promise<Chains> {
    const { ids } = await this.#known(signal);
    return { 4: ids[4].ports, 6: ids[6].ports };
  }

  /** Takes over the tables of an earlier life of this process; false if they are not like those that this one makes. */
  async adopt(chains: Chains, signal?: AbortSignal): Promise<boolean> {
    const found = await this.#read(chains, signal);
    if (!found) return false;
    this.#tables = { generation: this.#vpp.generation, made: Promise.resolve(found) };
    this.#last = found.flows;
    return true;
  }

  /** Of this VPP nothing is known any more: it is read anew. */
  forget(): void {
    this.#tables = undefined;
  }

  async flows(): Promise<ReadonlyMap<string, FilteredFlow>> {
    return (await this.#known()).flows;
  }

  /** Resolves when it is in force. @throws FlowFilterFullError for what there is no room for; the rest is in force. */
  async change(add: readonly FilteredFlow[], remove: readonly FilteredFlow[]): Promise<void> {
    const tables = await this.#known();
    await inBursts(BURST, remove, async (flow) => {
      await this.#set(tables, flow, false);
      tables.flows.delete(flowKey(flow));
    });
    const counts = Map.groupBy(tables.flows.values(), roomOf);
    const room = (flow: FilteredFlow): number => ROOM[shapeOf(flow)].flows - (counts.get(roomOf(flow))?.length ?? 0);
    const fitting = [...Map.groupBy(add, roomOf).values()].flatMap((some) =>
      some.slice(0, some[0] ? room(some[0]) : 0),
    );
    await inBursts(BURST, fitting, async (flow) => {
      await this.#set(tables, flow, true);
      tables.flows.set(flowKey(flow), flow);
    });
    const left = add.length - fitting.length;
    if (left > 0) throw new FlowFilterFullError("FLOW_FILTER_FULL", `VPP's filter has no room for ${left} more flows`);
  }

  async #set(tables: Tables, flow: FilteredFlow, is_add: boolean): Promise<void> {
    const table_index = tables.ids[flow.family][shapeOf(flow)];
    const common = { is_add, table_index, hit_next_index: DROP };
    const one = (way: "answers" | "begun", opaque_index: number) =>
      this.#vpp.api.request("classify_add_del_session", { ...common, opaque_index, match: matchOf(flow, way) });
    await Promise.all([one("begun", BEGUN), one("answers", ANSWERS)]);
  }

  #known(signal?: AbortSignal): Promise<Tables> {
    const { generation } = this.#vpp;
    if (this.#tables?.generation !== generation) {
      const made = this.#make(signal);
      this.#tables = { generation, made };
      made.catch(() => {
        if (this.#tables?.made === made) this.#tables = undefined;
      });
    }
    return this.#tables.made;
  }

  async #make(signal?: AbortSignal): Promise<Tables> {
    const chain = async (family: IpFamily) => {
      const ids: Partial<Record<Shape, number>> = {};
      let next = NO_INDEX;
      for (const shape of SHAPES.toReversed()) {
        const { nbuckets, memory_size } = ROOM[shape];
        const size = { nbuckets, memory_size, match_n_vectors: VECTORS[family] };
        const place = { next_table_index: next, miss_next_index: GO_ON, current_data_flag: 1 };
        const input = { is_add: true, del_chain: false, ...size, ...place, mask: maskOf(family, shape) };
        const reply = await this.#vpp.api.request("classify_add_del_table", input, signal ? { signal } : {});
        next = ids[shape] = reply.new_table_index;
      }
      return ids as Record<Shape, number>;
    };
    const [ipv4, ipv6] = [await chain(4), await chain(6)];
    const tables: Tables = { ids: { 4: ipv4, 6: ipv6 }, flows: new Map(this.#last) };
    await inBursts(BURST, [...this.#last.values()], (flow) => this.#set(tables, flow, true));
    this.#last = tables.flows;
    return tables;
  }

  async #read(chains: Chains, signal?: AbortSignal): Promise<Tables | undefined> {
    const options = signal ? { signal } : {};
    const flows = new Map<string, FilteredFlow>();
    const all: Partial<Record<IpFamily, Record<Shape, number>>> = {};
    for (const family of FAMILIES) {
      const ids: Partial<Record<Shape, number>> = {};
      let table_id = chains[family];
      for (const shape of SHAPES) {
        if (table_id === NO_INDEX) return undefined;
        const { mask, next_table_index } = await this.#vpp.api.request("classify_table_info", { table_id }, options);
        if (Buffer.compare(mask, maskOf(family, shape)) !== 0) return undefined;
        ids[shape] = table_id;
        for (const e of await this.#vpp.api.dump("classify_session_dump", { table_id }, options)) {
          if (e.opaque_index !== BEGUN) continue;
          const flow = flowOf(family, shape, e.match);
          flows.set(flowKey(flow), flow);
        }
        table_id = next_table_index;
      }
      all[family] = ids as Record<Shape, number>;
    }
    return { ids: all as Tables["ids"], flows };
  }
}

const roomOf = (flow: FilteredFlow): string => `${flow.family} ${shapeOf(flow)}`;
