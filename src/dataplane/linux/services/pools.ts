import type { KeyValue } from "../../../kvscheduler/api/descriptor.ts";
import { type NftChainValue, type NftSetValue, nftChainKey, nftSetKey } from "../../../models/nft.ts";
import type { Backend, Pool } from "../../../services/api.ts";
import { maglevTable } from "./maglev.ts";
import { affinitySet, endpointChain, poolChain } from "./names.ts";

/**
 * Of endpoints, up to which each has a rule of its own. A rule costs a new connection less than 20 ns; a map in a rule costs whoever
 * makes it a look at all others' names, which with 10,000 of them takes the kernel ten seconds (nf_tables_set_alloc_name).
 */
const MOST_RULES = 8;

/**
 * A pool as a chain that translates to one of its endpoints. With affinity each endpoint has a chain and a set of its own: a
 * client that is in the set gets the endpoint again, and whoever gets it is put there, for as long as affinity lasts.
 */
export function* poolItems(pool: Pool): Iterable<KeyValue> {
  const { affinity, backends, family } = pool;
  if (affinity === undefined) {
    yield chain({ name: poolChain(pool.id), rules: translations(pool), uses: [], jumps: [] });
    return;
  }
  const sets: string[] = [];
  const chains: string[] = [];
  for (const backend of backends) {
    const name = affinitySet(pool, backend.address, backend.port);
    const endpoint = endpointChain(pool, backend.address, backend.port);
    sets.push(name);
    chains.push(endpoint);
    const type = family === 4 ? "ipv4_addr" : "ipv6_addr";
    yield set({ kind: "set", name, type, flags: ["dynamic", "timeout"], timeout: affinity });
    const rules = [`update @${name} { ${ip(pool)} saddr }`, translation(pool, socketText(backend))];
    yield chain({ name: endpoint, rules, uses: [name], jumps: [] });
  }
  const kept = sets.map((name, i) => `${ip(pool)} saddr @${name} goto ${chains[i]}`);
  yield chain({ name: poolChain(pool.id), rules: [...kept, ...gotos(pool, chains)], uses: sets, jumps: chains });
}

function translations(pool: Pool): string[] {
  const { backends } = pool;
  const to = (i: number): string => `${backends[i]?.address} . ${backends[i]?.port}`;
  if (isDrawnByMap(pool)) return [translation(pool, drawn(pool, "map", to))];
  return backends.map((b, i) => `${oneOf(backends.length - i)}${translation(pool, socketText(b))}`);
}

function gotos(pool: Pool, chains: readonly string[]): string[] {
  if (!isDrawnByMap(pool)) return chains.map((name, i) => `${oneOf(chains.length - i)}goto ${name}`);
  return [drawn(pool, "vmap", (i) => `goto ${chains[i]}`)];
}

const isDrawnByMap = ({ backends, balancing }: Pool): boolean =>
  backends.length > MOST_RULES || (balancing === "maglev" && backends.length > 1);

/** Of those that are left each is as likely as any other; the last one gets what comes. */
const oneOf = (left: number): string => (left === 1 ? "" : `numgen random mod ${left} 0 `);

/**
 * What a number leads to that is drawn for a connection: at random; or by Maglev, of the client's address and port, so that all
 * nodes draw alike. With affinity the port must not count.
 */
function drawn(pool: Pool, map: "map" | "vmap", to: (i: number) => string): string {
  const { backends, balancing, affinity, protocol } = pool;
  const isMaglev = balancing === "maglev";
  const names = backends.map(({ address, port }) => `${address} ${port}`);
  const numbers = isMaglev ? maglevTable(names) : [...backends.keys()];
  const elements = numbers.map((backend, number) => `${number} : ${to(backend)}`).join(", ");
  const port = affinity === undefined ? ` . ${protocol.toLowerCase()} sport` : "";
  const by = isMaglev
    ? `jhash ${ip(pool)} saddr${port} mod ${numbers.length} seed 0x1`
    : `numgen random mod ${numbers.length}`;
  return `${by} ${map} { ${elements} }`;
}

const translation = (pool: Pool, to: string): string =>
  `meta l4proto ${pool.protocol.toLowerCase()} dnat ${ip(pool)} to ${to}`;

const socketText = ({ address, port }: Backend): string =>
  address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;

const ip = ({ family }: Pick<Pool, "family">): "ip" | "ip6" => (family === 4 ? "ip" : "ip6");
const set = (value: NftSetValue): KeyValue => ({ key: nftSetKey(value.name), value });
const chain = (value: NftChainValue): KeyValue => ({ key: nftChainKey(value.name), value });
