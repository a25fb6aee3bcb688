import { addressBits, familyOf, type IpFamily } from "../../../base/ip/address.ts";
import { type Cidr, cidrContainsCidr, formatCidr, parseNetwork } from "../../../base/ip/cidr.ts";
import type { Key, KeyValue } from "../../../kvscheduler/api/descriptor.ts";
import { type NftChainValue, type NftElementValue, nftChainKey, nftElementKey } from "../../../models/nft.ts";
import {
  type Client,
  type ClusterIp,
  type Frontend,
  type Path,
  type Pool,
  type PoolId,
  type ServiceBase,
  type ServiceChanges,
  type ServiceItem,
  type ServiceRows,
  type ServiceView,
} from "../../../services/api.ts";
import { hostPortItems } from "./host-ports.ts";
import {
  CLUSTER_IPS,
  exceptions,
  FRONTENDS,
  frontendChain,
  MASQUERADE_MARK,
  markText,
  NODE_ADDRESSES,
  NODE_PORTS,
  OTHER_CLIENTS,
  OTHERS_IPS,
  poolChain,
  REFUSE_CHAIN,
  SERVICE_CIDRS,
} from "./names.ts";
import { poolItems } from "./pools.ts";

/** Services and host ports as nftables items: a chain for each pool, an element for each frontend. `clients`: whose packets come by here. */
export function* renderServices(rows: ServiceRows, clients: readonly Client[]): Iterable<KeyValue> {
  yield* baseItems(rows.base);
  for (const clusterIp of rows.clusterIps) yield clusterIpItem(clusterIp);
  for (const pool of rows.pools) yield* poolItems(pool);
  for (const frontend of rows.frontends) yield* frontendItems(frontend, clients);
}

/** The items that a change touches; without a value they go. */
export function* renderServiceChanges(
  changes: ServiceChanges,
  view: ServiceView,
  clients: readonly Client[],
): Iterable<ServiceItem> {
  const { base } = changes;
  if (base) yield* difference(base.old ? baseItems(base.old) : [], base.new ? baseItems(base.new) : []);
  for (const { old, new: now } of changes.clusterIps) {
    yield* difference(old ? [clusterIpItem(old)] : [], now ? [clusterIpItem(now)] : []);
  }
  for (const { old, new: now } of changes.pools) {
    const shared = old?.affinity === undefined ? [] : siblingItems(old, view);
    yield* difference(old ? poolItems(old) : [], now ? poolItems(now) : [], new Set(shared));
  }
  for (const { old, new: now } of changes.frontends) {
    yield* difference(old ? frontendItems(old, clients) : [], now ? frontendItems(now, clients) : []);
  }
}

/** What is no more, but for what others have, and then what is new or other than before. */
function* difference(
  old: Iterable<KeyValue>,
  now: Iterable<KeyValue>,
  others: ReadonlySet<Key> = new Set(),
): Iterable<ServiceItem> {
  const before = new Map([...old].map(({ key, value }) => [key, JSON.stringify(value)]));
  const after = [...now];
  const kept = new Set(after.map(({ key }) => key));
  for (const key of before.keys()) if (!kept.has(key) && !others.has(key)) yield { key, value: undefined };
  for (const item of after) if (before.get(item.key) !== JSON.stringify(item.value)) yield item;
}

/** Of the pool of the other scope of a service port: with affinity they have endpoints in common. */
function siblingItems({ id, scope }: Pool, view: ServiceView): readonly Key[] {
  const other = `${id.slice(0, -scope.length)}${scope === "cluster" ? "local" : "cluster"}`;
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as PoolId says that they are made
  const pool = view.pool(other as PoolId);
  return pool ? [...poolItems(pool)].map(({ key }) => key) : [];
}

function* baseItems({ nodePortAddresses, serviceCidrs }: ServiceBase): Iterable<KeyValue> {
  for (const address of nodePortAddresses) yield element({ set: NODE_ADDRESSES[familyOf(address)], key: address });
  for (const cidr of disjoint(serviceCidrs)) yield element({ set: SERVICE_CIDRS[cidr.family], key: cidrText(cidr) });
}

function clusterIpItem({ address, servedBy }: ClusterIp): KeyValue {
  const names = servedBy === "us" ? CLUSTER_IPS : OTHERS_IPS;
  return element({ set: names[familyOf(address)], key: address });
}

/** Of a frontend: an element, which is about pods, and one more for each client to whom something else happens. */
function* frontendItems(frontend: Frontend, clients: readonly Client[]): Iterable<KeyValue> {
  const { paths, address, family } = frontend;
  if (frontend.kind === "HostPort") return yield* hostPortItems(frontend);
  const map = (address === undefined ? NODE_PORTS : FRONTENDS)[family];
  yield* verdictItems(frontend, "pod", map);
  for (const client of OTHER_CLIENTS) {
    if (!clients.includes(client) || isAsForPods(paths[client], paths.pod)) continue;
    yield* verdictItems(frontend, client, exceptions(map, client));
  }
}

/** Whether it is what becomes of packets for which nothing else is said: as for pods, masqueraded. */
const isAsForPods = (path: Path, pod: Path): boolean =>
  path.verdict === "balance"
    ? path.masquerade && pod.verdict === "balance" && pod.pool === path.pool
    : path.verdict === pod.verdict;

function* verdictItems(frontend: Frontend, client: Client, map: string): Iterable<KeyValue> {
  const { address, protocol, port, key, sources, family } = frontend;
  const path = frontend.paths[client];
  const target = targetOf(path);
  const verdict = target === undefined ? "drop" : `goto ${target}`;
  const socket = `${protocol.toLowerCase()} . ${port}`;
  const at = address === undefined ? socket : `${address} . ${socket}`;
  const masquerades = path.verdict === "balance" && path.masquerade;
  if (!masquerades && !sources) {
    yield element({ set: map, key: at, data: verdict });
    return;
  }
  const name = frontendChain(key, client);
  const value: NftChainValue = {
    name,
    rules: [
      ...(sources ? [sourceRule(family, sources)] : []),
      ...(masquerades ? [`ct mark set ct mark | ${markText(MASQUERADE_MARK)}`] : []),
      verdict,
    ],
    uses: [],
    jumps: target === undefined ? [] : [target],
  };
  yield { key: nftChainKey(name), value };
  yield element({ set: map, key: at, data: `goto ${name}` });
}

/** The chain that a path leads to; undefined where packets are dropped. */
function targetOf(path: Path): string | undefined {
  if (path.verdict === "balance") return poolChain(path.pool);
  return path.verdict === "reject" ? REFUSE_CHAIN : undefined;
}

function sourceRule(family: IpFamily, sources: readonly string[]): string {
  // Somebody wanted to restrict, and it is not known how.
  if (sources.length === 0) return "drop";
  return `${family === 4 ? "ip" : "ip6"} saddr != { ${sources.join(", ")} } drop`;
}

/** Without those that are in others: of intervals none may overlap. */
function disjoint(networks: readonly string[]): Cidr[] {
  const all = networks.map(parseNetwork);
  return all.filter((one) => !all.some((other) => other.prefix < one.prefix && cidrContainsCidr(other, one)));
}

/** nft lists a prefix of full length as an address. */
const cidrText = (c: Cidr): string => (c.prefix === addressBits(c.family) ? c.address : formatCidr(c));

const element = (value: NftElementValue): KeyValue => ({ key: nftElementKey(value.set, value.key), value });
