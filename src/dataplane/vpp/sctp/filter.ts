import { HeddleError } from "../../../base/errors/errors.ts";
import { familyOf, type IpAddress, type IpFamily } from "../../../base/ip/address.ts";
import { Mapped } from "../../../base/memo/mapped.ts";
import { inBursts } from "../../../base/queue/bursts.ts";
import { parseSctpRule, sctpRuleText } from "../../../models/vpp/sctp.ts";
import type { VppApi } from "../binapi/index.ts";
import { type Chains, firstMask } from "../flow-filter/filter.ts";
import { ifThere, NO_INDEX } from "../target.ts";
import { type Chain, ChainTables, type Entry } from "./chain.ts";
import { matchOf, passes, placeOf, ruleOf, shapeAt, shapeOf, type Way } from "./layout.ts";

/** More rules of SCTP of one shape than VPP is given room for. */
export class SctpRulesFullError extends HeddleError<"SCTP_RULES_FULL"> {}

const FAMILIES = [4, 6] as const;
const WAYS = ["input", "output"] as const;
/** An entry of the classifier has a heap of its own table, and VPP dies when that is full: far less is put there. */
const MOST = 65_536;
/** Requests under way at a time. VPP does what it is asked in the order of the questions. */
const BURST = 128;
/** In the next-node numbers of ip4-inacl and ip4-outacl (in_out_acl.h): the packet ends here, or goes on. */
const DROP = 0;
const GO_ON = NO_INDEX;

type State = Readonly<Record<Way, Readonly<Record<IpFamily, Chain>>>>;
/** Where packets of no rule go on. */
type Tails = () => Promise<Chains>;

interface ReadRule {
  /** Of the way and the address. */
  readonly key: string;
  readonly text: string;
}
const reading = () => new Mapped<Entry, ReadRule | undefined>();
const readings = () => ({ 4: reading(), 6: reading() });

interface Step {
  readonly place: number;
  readonly match: Uint8Array;
}

/**
 * Rules of SCTP, of which the ACL plugin sees no ports, in tables of VPP's classifier: one chain for what interfaces of pods
 * receive, one for what is sent to them, each for all pods. Tables come and go with the shapes of the rules that there are.
 */
export class SctpFilter {
  readonly #vpp: { readonly api: VppApi; readonly generation: number };
  readonly #tails: Tails;
  #state: { readonly generation: number; readonly made: Promise<State> } | undefined;
  /** Rules that VPP has, by way and address. */
  readonly #rules = new Map<string, Set<string>>();
  #turn: Promise<unknown> = Promise.resolve();
  readonly #read = { input: readings(), output: readings() };

  /** `tails`: of what is received; what is sent goes on to the interface. */
  constructor(vpp: { readonly api: VppApi; readonly generation: number }, tails: Tails) {
    this.#vpp = vpp;
    this.#tails = tails;
  }

  /** The first tables, which interfaces are bound to; made at need. */
  async chains(way: Way): Promise<Chains> {
    const state = await this.#known();
    return { 4: state[way][4].head, 6: state[way][6].head };
  }

  /** Of this VPP nothing is known any more: it is read anew. */
  forget(): void {
    this.#state = undefined;
    this.#rules.clear();
  }

  /** The first tables behind chains like those that this one makes; undefined if there is an end before. */
  async end(heads: Chains, signal?: AbortSignal): Promise<Chains | undefined> {
    const tables = new ChainTables(this.#vpp.api);
    const [ipv4, ipv6] = [
      await tables.find(heads[4], firstMask(4), signal),
      await tables.find(heads[6], firstMask(6), signal),
    ];
    return ipv4 === undefined || ipv6 === undefined ? undefined : { 4: ipv4, 6: ipv6 };
  }

  /** Takes over the tables of an earlier life of this process; false if they are not like those that this one makes. */
  async adopt(heads: Readonly<Record<Way, Chains>>, signal?: AbortSignal): Promise<boolean> {
    const tables = new ChainTables(this.#vpp.api);
    const tails = await this.#tails();
    const rules = new Map<string, Set<string>>();
    const state = { input: {} as Record<IpFamily, Chain>, output: {} as Record<IpFamily, Chain> };
    for (const way of WAYS) {
      for (const family of FAMILIES) {
        const tail = way === "input" ? tails[family] : NO_INDEX;
        const read = await tables.read(family, way, { head: heads[way][family], tail }, signal);
        if (!read) return false;
        state[way][family] = read.chain;
        for (const rule of this.#read[way][family].of(
          read.entries,
          (e, former) => former ?? readRule(family, way, e),
        )) {
          if (!rule) return false;
          const texts = rules.get(rule.key) ?? new Set<string>();
          rules.set(rule.key, texts.add(rule.text));
        }
      }
    }
    this.forget();
    for (const [key, texts] of rules) this.#rules.set(key, texts);
    this.#state = { generation: this.#vpp.generation, made: Promise.resolve(state) };
    return true;
  }

  /** What VPP has, by `way address`. */
  get rules(): ReadonlyMap<string, ReadonlySet<string>> {
    return this.#rules;
  }

  /**
   * Puts these rules of a pod's address in place of those that it has. Each packet meets all of the old ones, or all of the new
   * ones. @throws SctpRulesFullError, having changed nothing.
   */
  replace(way: Way, address: IpAddress, wanted: readonly string[]): Promise<void> {
    const turn = this.#turn.then(() => this.#replace(way, address, wanted));
    this.#turn = turn.catch(() => {});
    return turn;
  }

  async #replace(way: Way, address: IpAddress, wanted: readonly string[]): Promise<void> {
    const family = familyOf(address);
    const chain = (await this.#known())[way][family];
    const has = this.#rules.get(keyOf(way, address)) ?? new Set<string>();
    this.#rules.set(keyOf(way, address), has);
    const now = new Set(wanted);
    const step = (text: string): Step & { readonly text: string } => {
      const rule = parseSctpRule(text);
      return { text, place: placeOf(family, shapeOf(rule)), match: matchOf(family, way, address, rule) };
    };
    const byPlace = (a: Step, b: Step): number => a.place - b.place;
    const add = wanted
      .filter((text) => !has.has(text))
      .map(step)
      .toSorted(byPlace);
    const remove = [...has]
      .filter((text) => !now.has(text))
      .map(step)
      .toSorted(byPlace)
      .reverse();
    const counts = Map.groupBy(add, ({ place }) => place);
    for (const [place, steps] of counts) {
      if ((chain.sizes.get(place) ?? 0) + steps.length > MOST) {
        throw new SctpRulesFullError("SCTP_RULES_FULL", `VPP has no room for ${steps.length} more rules of SCTP`);
      }
    }
    const tables = new ChainTables(this.#vpp.api);
    await tables.extend(family, way, chain, counts.keys());
    // The first rule that fits decides, and all old ones are there still: a packet meets either a new rule, and then all
    // new ones before it, or an old one, and then the first of these.
    await inBursts(BURST, add, async ({ text, place, match }) => {
      if (!has.has(text)) chain.sizes.set(place, (chain.sizes.get(place) ?? 0) + 1);
      has.add(text);
      await this.#set(chain, true, { place, match });
    });
    // The other way round: what a packet met first, it meets until the end.
    await inBursts(BURST, remove, async ({ text, place, match }) => {
      await ifThere(() => this.#set(chain, false, { place, match }));
      has.delete(text);
      chain.sizes.set(place, (chain.sizes.get(place) ?? 1) - 1);
    });
    await tables.shorten(family, chain);
  }

  #set(chain: Chain, is_add: boolean, { place, match }: Step): Promise<unknown> {
    const table_index = chain.tables.get(place) ?? NO_INDEX;
    const shape = shapeAt(chain.family, place);
    const hit_next_index = shape && passes(shape.kind) ? GO_ON : DROP;
    const request = { is_add, table_index, hit_next_index, opaque_index: place, match };
    return this.#vpp.api.request("classify_add_del_session", request);
  }

  #known(): Promise<State> {
    const { generation } = this.#vpp;
    if (this.#state?.generation !== generation) {
      this.#rules.clear();
      const made = this.#make();
      this.#state = { generation, made };
      made.catch(() => {
        if (this.#state?.made === made) this.#state = undefined;
      });
    }
    return this.#state.made;
  }

  async #make(): Promise<State> {
    const tables = new ChainTables(this.#vpp.api);
    const tails = await this.#tails();
    const both = async (way: Way, tail: Chains) => ({
      4: await tables.make(4, way, tail[4]),
      6: await tables.make(6, way, tail[6]),
    });
    return { input: await both("input", tails), output: await both("output", { 4: NO_INDEX, 6: NO_INDEX }) };
  }
}

/** Undefined if no rules have such a place. */
function readRule(family: IpFamily, way: Way, { opaque_index: place, match }: Entry): ReadRule | undefined {
  const shape = shapeAt(family, place);
  if (!shape) return undefined;
  const { address, rule } = ruleOf(family, way, shape, match);
  return { key: keyOf(way, address), text: sctpRuleText(rule) };
}

const keyOf = (way: Way, address: IpAddress): string => `${way} ${address}`;
