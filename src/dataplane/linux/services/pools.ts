import type { KeyValue } from "../../../kvscheduler/api/descriptor.ts";
import { type NftChainValue, type NftSetValue, nftChainKey, nftSetKey } from "../../../models/nft.ts";
import type { Backend, Pool } from "../../../services/api.ts";
import { maglevTable } from "./maglev.ts";
import { affinitySet, endpointChain, poolChain } from "./names.ts";

/**
 * A pool as a chain that translates to one of its endpoints. With affinity each endpoint has a chain and a set of its own: a
 * client that is in the set gets the endpoint again, and whoever gets it is put there, for as long as affinity lasts.
 */
export function* poolItems(pool: Pool): Iterable<KeyValue> {
  if (pool.affinity === undefined) {
    yield chain({ name: poolChain(pool.id), rules: [plainRule(pool)], uses: [], jumps: [] });
    return;
  }
  const { affinity } = pool;
  const sets = pool.backends.map((b) => affinitySet(pool, b.address, b.port));
  const chains = pool.backends.map((b) => endpointChain(pool, b.address, b.port));
  for (const [i, backend] of pool.backends.entries()) {
    const [name = "", endpoint = ""] = [sets[i], chains[i]];
    yield set({
      kind: "set",
      name,
      type: pool.family === 4 ? "ipv4_addr" : "ipv6_addr",
      flags: ["dynamic", "timeout"],
      timeout: affinity,
    });
    yield chain({
      name: endpoint,
      rules: [`update @${name} { ${ip(pool)} saddr }`, translation(pool, textOf(backend))],
      uses: [name],
      jumps: [],
    });
  }
  const kept = sets.map((name, i) => `${ip(pool)} saddr @${name} goto ${chains[i]}`);
  const [only] = chains;
  const last = chains.length === 1 ? `goto ${only}` : drawn(pool, "vmap", (i) => `goto ${chains[i]}`);
  yield chain({ name: poolChain(pool.id), rules: [...kept, last], uses: sets, jumps: chains });
}

function plainRule(pool: Pool): string {
  const [only, ...more] = pool.backends;
  if (only && more.length === 0) return translation(pool, textOf(only));
  const to = (i: number): string => `${pool.backends[i]?.address} . ${pool.backends[i]?.port}`;
  return translation(pool, drawn(pool, "map", to));
}

/**
 * What a number leads to that is drawn for a connection: at random; or by Maglev, of the client's address and port, so that all
 * nodes draw alike. With affinity the port must not count.
 */
function drawn(
  { backends, balancing, family, affinity }: Pool,
  map: "map" | "vmap",
  to: (i: number) => string,
): string {
  const numbers =
    balancing === "maglev"
      ? maglevTable(backends.map(({ address, port }) => `${address} ${port}`))
      : [...backends.keys()];
  const elements = numbers.map((backend, number) => `${number} : ${to(backend)}`).join(", ");
  const port = affinity === undefined ? " . th sport" : "";
  const by =
    balancing === "maglev"
      ? `jhash ${ip({ family })} saddr${port} mod ${numbers.length} seed 0x1`
      : `numgen random mod ${numbers.length}`;
  return `${by} ${map} { ${elements} }`;
}

const translation = (pool: Pool, to: string): string =>
  `meta l4proto ${pool.protocol.toLowerCase()} dnat ${ip(pool)} to ${to}`;

const textOf = ({ address, port }: Backend): string =>
  address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;

const ip = ({ family }: Pick<Pool, "family">): "ip" | "ip6" => (family === 4 ? "ip" : "ip6");
const set = (value: NftSetValue): KeyValue => ({ key: nftSetKey(value.name), value });
const chain = (value: NftChainValue): KeyValue => ({ key: nftChainKey(value.name), value });
