import { type IpAddress, parseIp } from "../../../src/base/ip/address.ts";
import { cidrContains, parseNetwork } from "../../../src/base/ip/cidr.ts";
import type { Key } from "../../../src/kvscheduler/api/descriptor.ts";
import {
  NFT_CHAIN_PREFIX,
  NFT_ELEMENT_PREFIX,
  NFT_SET_PREFIX,
  type NftChainValue,
  type NftElementValue,
  type NftSetValue,
} from "../../../src/models/nft.ts";

/** The first packet of a connection, as a hook sees it. */
export interface TracedPacket {
  readonly iifname: string;
  readonly oifname: string;
  readonly saddr: IpAddress;
  readonly daddr: IpAddress;
  /** `tcp`, `udp`, `sctp`, `icmp`. */
  readonly l4proto: string;
  readonly dport: number;
  /** The destination is an address of the node. */
  readonly isLocal: boolean;
}

type End = "accept" | "continue" | "drop" | "return";

/**
 * What nftables would make of a packet, from the items alone: an interpreter of the statements that policies use. It knows
 * no others, and throws at them.
 */
export class NftTracer {
  #counted = new Set<string>();
  readonly #chains = new Map<string, NftChainValue>();
  readonly #sets = new Map<string, { readonly value: NftSetValue; readonly elements: Map<string, string> }>();

  constructor(items: ReadonlyMap<Key, unknown>) {
    for (const [key, value] of items) {
      if (key.startsWith(NFT_SET_PREFIX)) {
        const set = value as NftSetValue;
        this.#sets.set(set.name, { value: set, elements: new Map() });
      }
      if (key.startsWith(NFT_CHAIN_PREFIX)) this.#chains.set((value as NftChainValue).name, value as NftChainValue);
    }
    for (const [key, value] of items) {
      if (!key.startsWith(NFT_ELEMENT_PREFIX)) continue;
      const { set, key: element, data = "" } = value as NftElementValue;
      this.#set(set).elements.set(element, data);
    }
    for (const { name, uses, jumps, rules } of this.#chains.values()) {
      const text = rules.join("\n");
      const named = [...text.matchAll(/@([\w-]+)/g)].map(([, set]) => set);
      const led = [...text.matchAll(/\b(?:jump|goto) ([\w-]+)/g)].map(([, chain]) => chain);
      // The scheduler goes by these.
      const untold = [...named.filter((n = "") => !uses.includes(n)), ...led.filter((n = "") => !jumps.includes(n))];
      if (untold.length > 0) throw new Error(`${name} does not say that it needs ${untold.join()}`);
    }
  }

  /** What has counted: `chain[place of the rule]`, `set element`. */
  takeCounted(): ReadonlySet<string> {
    const counted = this.#counted;
    this.#counted = new Set();
    return counted;
  }

  #count(what: string): void {
    this.#counted.add(what);
  }

  /** Whether a base chain lets the packet pass. */
  passes(chain: string, packet: TracedPacket): boolean {
    return this.#run(chain, packet) !== "drop";
  }

  #set(name: string) {
    const set = this.#sets.get(name);
    if (!set) throw new Error(`no set ${name}`);
    return set;
  }

  #run(name: string, packet: TracedPacket): End {
    const chain = this.#chains.get(name);
    if (!chain) throw new Error(`no chain ${name}`);
    for (const [place, rule] of chain.rules.entries()) {
      const end = this.#rule(rule.split(" "), packet, () => this.#count(`${name}[${place}]`));
      if (end !== "continue") return end;
    }
    return "return";
  }

  /** One statement after the other, until one does not match. */
  #rule(words: string[], p: TracedPacket, count: () => void): End {
    const take = (n = 1): string => words.splice(0, n).join(" ");
    const operand = (): string => {
      if (words[0] !== "{") return take();
      const end = words.indexOf("}");
      const inside = words.slice(1, end).join(" ");
      words.splice(0, end + 1);
      return inside;
    };
    while (words.length > 0) {
      const word = take();
      let isMatch = true;
      switch (word) {
        case "accept":
        case "drop":
        case "return":
          return word;
        case "counter":
          count();
          break;
        case "limit":
          take(5); // rate N/second burst N packets
          break;
        case "log":
          take(6); // prefix "…" group N snaplen N
          count();
          break;
        case "goto":
          return this.#run(take(), p);
        case "ct":
          // A connection's first packet has no mark, and no state but new.
          return "continue";
        case "meta": {
          const what = take();
          if (what === "nfproto") isMatch = (take() === "ipv6") === p.daddr.includes(":");
          else if (what === "l4proto") isMatch = take() === p.l4proto;
          else throw new Error(`meta ${what}`);
          break;
        }
        case "fib":
          if (take(3) !== "daddr type local") throw new Error("fib");
          isMatch = p.isLocal;
          break;
        case "icmpv6":
          take();
          operand();
          isMatch = false; // no neighbour discovery here
          break;
        case "ip":
        case "ip6":
        case "iifname":
        case "oifname":
        case "tcp":
        case "udp":
        case "sctp": {
          const value = this.#value(word, words, p);
          if (words[0] === "vmap") {
            take();
            const data = value === undefined ? undefined : this.#set(take().slice(1)).elements.get(value);
            if (data === undefined || data === "continue") break;
            const [verb, chain = ""] = data.split(" ");
            if (verb !== "jump") throw new Error(`verdict ${data}`);
            const end = this.#run(chain, p);
            if (end === "accept" || end === "drop") return end;
            break;
          }
          const isNegated = words[0] === "!=";
          if (isNegated) take();
          isMatch = value !== undefined && this.#matches(value, operand()) !== isNegated;
          break;
        }
        default:
          throw new Error(`a statement that policies do not use: ${word}`);
      }
      if (!isMatch) return "continue";
    }
    return "continue";
  }

  /** What a packet has there; undefined where it has none, which nothing matches. */
  #value(word: string, words: string[], p: TracedPacket): string | undefined {
    const parts: (string | undefined)[] = [];
    for (let next = word; ; ) {
      parts.push(field(next, words, p));
      if (words[0] !== ".") break;
      words.shift();
      next = words.shift() ?? "";
    }
    return parts.includes(undefined) ? undefined : parts.join(" . ");
  }

  #matches(value: string, operand: string): boolean {
    if (operand.startsWith("@")) {
      const set = this.#set(operand.slice(1));
      const isIn = set.elements.has(value);
      if (isIn && set.value.counters) this.#count(`${set.value.name} ${value}`);
      return isIn;
    }
    return operand.split(", ").some((one) => {
      if (one.startsWith('"')) return new RegExp(`^${one.slice(1, -1).replace("*", ".*")}$`).test(value);
      if (one.includes("/")) return cidrContains(parseNetwork(one), parseIp(value));
      const range = /^(\d+)-(\d+)$/.exec(one);
      if (range) return Number(value) >= Number(range[1]) && Number(value) <= Number(range[2]);
      return one === value;
    });
  }
}

function field(word: string, words: string[], p: TracedPacket): string | undefined {
  const isIpv6 = p.daddr.includes(":");
  switch (word) {
    case "iifname":
      return p.iifname;
    case "oifname":
      return p.oifname;
    case "ip":
    case "ip6": {
      const side = words.shift();
      if ((word === "ip6") !== isIpv6) return undefined;
      return side === "saddr" ? p.saddr : p.daddr;
    }
    case "meta":
      words.shift();
      return p.l4proto;
    case "th":
      words.shift();
      return p.l4proto === "icmp" ? undefined : String(p.dport);
    default:
      words.shift();
      return p.l4proto === word ? String(p.dport) : undefined;
  }
}
