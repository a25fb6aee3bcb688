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

/** The first packet of a connection. */
export interface ServicePacket {
  /** Of a pod or of the outside; undefined: the node's own. */
  readonly iifname: string | undefined;
  readonly saddr: IpAddress;
  readonly daddr: IpAddress;
  readonly l4proto: "sctp" | "tcp" | "udp";
  readonly dport: number;
  /** The address is one that the kernel has for its own. */
  readonly isLocal: boolean;
}

export type Traced =
  | { readonly verdict: "drop" | "pass" | "reject" }
  /** `masquerades`: the endpoint does not see the client's address. `keeps`: sets that remember the client. */
  | { readonly verdict: "dnat"; readonly to: string; readonly masquerades: boolean; readonly keeps: readonly string[] };

interface State {
  mark: number;
  to: string | undefined;
  keeps: string[];
  /** Which endpoint is drawn, by its place; how many there are is found on the way. */
  readonly draw: number;
  drawnOf: number;
  /** Rules that may draw have been passed. */
  passed: number;
}

type End = "accept" | "continue" | "drop" | "reject" | "return";

const MASQUERADE = 0x200;

/**
 * What nftables would make of a packet to a service, from the items alone: an interpreter of the statements that services use. It
 * knows no others, and throws at them.
 */
export class ServiceTracer {
  readonly #chains = new Map<string, NftChainValue>();
  readonly #sets = new Map<string, Map<string, string>>();

  constructor(items: ReadonlyMap<Key, unknown>) {
    for (const [key, value] of items) {
      if (key.startsWith(NFT_SET_PREFIX)) this.#sets.set((value as NftSetValue).name, new Map());
      if (key.startsWith(NFT_CHAIN_PREFIX)) this.#chains.set((value as NftChainValue).name, value as NftChainValue);
    }
    for (const [key, value] of items) {
      if (!key.startsWith(NFT_ELEMENT_PREFIX)) continue;
      const { set, key: element, data = "" } = value as NftElementValue;
      this.#set(set).set(element, data);
      const [, chain] = /^goto (\S+)$/.exec(data) ?? [];
      if (chain !== undefined) this.#chain(chain);
    }
    for (const { name, uses, jumps, rules } of this.#chains.values()) {
      const text = rules.join("\n");
      const named = new Set([...text.matchAll(/@([\w-]+)/g)].map(([, set = ""]) => set));
      const led = new Set([...text.matchAll(/\b(?:jump|goto) ([\w-]+)/g)].map(([, chain = ""]) => chain));
      // The scheduler goes by these.
      const untold = [...[...named].filter((n) => !uses.includes(n)), ...[...led].filter((n) => !jumps.includes(n))];
      if (untold.length > 0) throw new Error(`${name} does not say that it needs ${untold.join()}`);
      for (const set of named) this.#set(set);
      for (const chain of led) this.#chain(chain);
    }
  }

  /** Puts a client among those that a set remembers. */
  remember(set: string, client: string): void {
    this.#set(set).set(client, "");
  }

  forgetClients(sets: Iterable<string>): void {
    for (const set of sets) this.#set(set).clear();
  }

  /** Everything that can become of the packet, each as often as it is drawn. */
  trace(packet: ServicePacket): readonly Traced[] {
    const first: State = { mark: 0, to: undefined, keeps: [], draw: 0, drawnOf: 1, passed: 0 };
    const all = [this.#outcome(packet, first)];
    for (let draw = 1; draw < first.drawnOf; draw++) {
      all.push(this.#outcome(packet, { ...first, mark: 0, to: undefined, keeps: [], draw, passed: 0 }));
    }
    return all;
  }

  #outcome(packet: ServicePacket, state: State): Traced {
    const hook = packet.iifname === undefined ? "output" : "prerouting";
    if (this.#run(`service_${hook}`, packet, state) === "drop") return { verdict: "drop" };
    const end = this.#run(`service_${hook}_filter`, packet, state);
    if (end === "drop" || end === "reject") return { verdict: end };
    if (state.to === undefined) return { verdict: "pass" };
    const masquerades = (state.mark & MASQUERADE) !== 0;
    return { verdict: "dnat", to: state.to, masquerades, keeps: state.keeps };
  }

  #set(name: string): Map<string, string> {
    const set = this.#sets.get(name);
    if (!set) throw new Error(`no set ${name}`);
    return set;
  }

  #chain(name: string): NftChainValue {
    const chain = this.#chains.get(name);
    if (!chain) throw new Error(`no chain ${name}`);
    return chain;
  }

  #run(name: string, packet: ServicePacket, state: State): End {
    for (const rule of this.#chain(name).rules) {
      const end = this.#rule(rule, packet, state);
      if (end !== "continue") return end;
    }
    return "return";
  }

  #led(verdict: string, packet: ServicePacket, state: State): End {
    const [verb = "", chain = ""] = verdict.split(" ");
    if (verb === "goto") return this.#run(chain, packet, state);
    if (verb !== "jump") return verb as End;
    const end = this.#run(chain, packet, state);
    return end === "return" ? "continue" : end;
  }

  /** One statement after the other, until one does not match. */
  #rule(rule: string, p: ServicePacket, state: State): End {
    let rest = rule;
    const take = (pattern: RegExp): RegExpExecArray | undefined => {
      const match = pattern.exec(rest);
      if (match) rest = rest.slice(match[0].length).trimStart();
      return match ?? undefined;
    };
    while (rest !== "") {
      let found: RegExpExecArray | undefined;
      if ((found = take(/^(drop|accept|return|reject)( with tcp reset)?$/))) return found[1] as End;
      if ((found = take(/^((?:goto|jump) \S+)$/))) return this.#led(found[1] ?? "", p, state);
      if ((found = take(/^ct mark set ct mark ([|&]) (0x[0-9a-f]+)/))) {
        const bits = Number(found[2]);
        state.mark = (found[1] === "|" ? state.mark | bits : state.mark & bits) >>> 0;
      } else if ((found = take(/^ct mark & (0x[0-9a-f]+) == (0x[0-9a-f]+)/))) {
        if ((state.mark & Number(found[1])) !== Number(found[2])) return "continue";
      } else if (take(/^ct state \{ established, related \}/)) {
        return "continue";
      } else if (take(/^ct status dnat/)) {
        if (state.to === undefined) return "continue";
      } else if ((found = take(/^iifname (!= )?"([^"]*)"/))) {
        const like = new RegExp(`^${found[2]?.replace("*", ".*")}$`);
        if (like.test(p.iifname ?? "") === (found[1] !== undefined)) return "continue";
      } else if ((found = take(/^meta nfproto ipv([46])/))) {
        if (found[1] !== familyOf(p)) return "continue";
      } else if ((found = take(/^(ip6?) daddr \. meta l4proto \. th dport vmap @(\S+)/))) {
        if (found[1] !== ipOf(p)) return "continue";
        const verdict = this.#set(found[2] ?? "").get(`${p.daddr} . ${p.l4proto} . ${p.dport}`);
        if (verdict !== undefined) return this.#led(verdict, p, state);
      } else if ((found = take(/^meta l4proto \. th dport vmap @(\S+)/))) {
        const verdict = this.#set(found[1] ?? "").get(`${p.l4proto} . ${p.dport}`);
        if (verdict !== undefined) return this.#led(verdict, p, state);
      } else if ((found = take(/^(ip6?) ([sd]addr) (!= )?(?:@(\S+)|\{ ([^}]*) \})/))) {
        if (found[1] !== ipOf(p)) return "continue";
        const address = found[2] === "saddr" ? p.saddr : p.daddr;
        const networks = found[4] === undefined ? (found[5] ?? "").split(", ") : [...this.#set(found[4]).keys()];
        if (networks.some((n) => isIn(address, n)) === (found[3] !== undefined)) return "continue";
      } else if ((found = take(/^update @(\S+) \{ (ip6?) saddr \}/))) {
        this.#set(found[1] ?? "");
        state.keeps.push(found[1] ?? "");
      } else if (take(/^meta l4proto \{ tcp, udp, sctp \}/)) {
        // It is one of them.
      } else if (take(/^fib daddr type local/)) {
        if (!p.isLocal) return "continue";
      } else if ((found = take(/^(ip6?) daddr (\S*:\S*)(?= return$)/))) {
        if (p.daddr !== found[2]) return "continue";
      } else if ((found = take(/^dnat (ip6?) to (ip6? daddr \. )?meta l4proto \. th dport map @(\S+)$/))) {
        if (found[1] !== ipOf(p)) return "continue";
        const socket = `${p.l4proto} . ${p.dport}`;
        const to = this.#set(found[3] ?? "").get(found[2] === undefined ? socket : `${p.daddr} . ${socket}`);
        if (to === undefined) return "continue";
        state.to = to.replace(" . ", " ");
        return "accept";
      } else if ((found = take(/^meta l4proto (tcp|udp|sctp)/))) {
        if (found[1] !== p.l4proto) return "continue";
      } else if ((found = take(/^dnat (ip6?) to ([^{]*?)(?:map \{ (.*) \})?$/))) {
        if (found[1] !== ipOf(p)) throw new Error(`${rule}: of another family`);
        const to = found[3] === undefined ? socketOf(found[2] ?? "") : drawn(found[2] ?? "", found[3], state);
        state.to = to.replace(" . ", " ");
        return "accept";
      } else if ((found = take(/^numgen random mod (\d+) 0(?= )/))) {
        // One of those that are left, by the rule of each.
        if (state.passed === 0) state.drawnOf = Number(found[1]);
        if (state.passed + Number(found[1]) !== state.drawnOf) throw new Error(`${rule}: not one of all`);
        if (state.passed++ !== state.draw) return "continue";
      } else if ((found = take(/^((?:numgen|jhash) [^{]*)vmap \{ (.*) \}$/))) {
        return this.#led(drawn(found[1] ?? "", found[2] ?? "", state), p, state);
      } else throw new Error(`a statement that services do not use: ${rest}`);
    }
    return "continue";
  }
}

/** The element whose number is drawn. */
function drawn(by: string, elements: string, state: State): string {
  const map = new Map(
    elements.split(", ").map((element): [number, string] => {
      const at = element.indexOf(" : ");
      return [Number(element.slice(0, at)), element.slice(at + 3)];
    }),
  );
  const count = Number(/ mod (\d+)/.exec(by)?.[1]);
  if (map.size !== count) throw new Error(`${by}: ${map.size} elements`);
  state.drawnOf = count;
  const found = map.get(state.draw);
  if (found === undefined) throw new Error(`${by}: no element ${state.draw}`);
  return found;
}

/** `10.0.0.1:80`, `[fd00::1]:80` to `10.0.0.1 80`. */
function socketOf(text: string): string {
  const [, v6, v4, port] = /^(?:\[(.*)\]|([^:]*)):(\d+)$/.exec(text.trim()) ?? [];
  return `${v6 ?? v4} ${port}`;
}

const familyOf = (p: ServicePacket): "4" | "6" => (p.daddr.includes(":") ? "6" : "4");
const ipOf = (p: ServicePacket): "ip" | "ip6" => (p.daddr.includes(":") ? "ip6" : "ip");

const isIn = (address: IpAddress, network: string): boolean =>
  network.includes("/") ? cidrContains(parseNetwork(network), address) : parseIp(network) === address;
