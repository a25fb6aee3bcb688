import { cidrContains, parseNetwork } from "../../../base/ip/cidr.ts";
import type { Key, KeyValue } from "../../../kvscheduler/api/descriptor.ts";
import { routeKey } from "../../../models/linux.ts";
import { aclKey } from "../../../models/vpp/acl.ts";
import { type RoutePath, vppRouteKey } from "../../../models/vpp/l3.ts";
import type {
  ClusterIp,
  Frontend,
  FrontendKey,
  Pool,
  PoolId,
  ServiceBase,
  ServiceChanges,
  ServiceItem,
  ServiceRows,
} from "../../../services/api.ts";
import { hostCidr, isIpv6, item } from "../item.ts";
import { HOST_HOP, HOST_INTERFACE } from "../names.ts";
import { forwardingItems, guardItems, repliesList, type ServedEndpoint } from "./forwarding.ts";
import { type GroupContext, type RenderedGroup, type Rest, renderGroup } from "./group.ts";
import { hostServiceRoute } from "./host.ts";
import { externalOf } from "./plan.ts";
import { HostSpread } from "./spread.ts";

/** What of the node services have to know. */
export interface ServiceNodeContext {
  /** False: only host ports are, whose pods have ways of their own (../pods/host-ports.ts). */
  readonly servesServices: boolean;
  /** The node's own addresses. */
  readonly addresses: readonly string[];
  /** Those inside the overlay. */
  readonly gateways: readonly string[];
  readonly podCIDRs: readonly string[];
  readonly clusterCIDRs: readonly string[];
  /** Interfaces by which packets come in from outside. */
  readonly uplinks: readonly string[];
}

/** Endpoints by their text, and how many groups have them. */
type Counted = Map<string, { readonly endpoint: ServedEndpoint; groups: number }>;

interface Group {
  readonly frontends: Map<FrontendKey, Frontend>;
  rendered: RenderedGroup;
}

const NOTHING: RenderedGroup = { translations: [], rests: [], endpoints: [], guarded: [] };

/**
 * Services as CNAT translations, one for each address, protocol and port that a frontend has, and as routes by which the rest
 * of what is sent to addresses of services is refused or dropped. Keeps what it has rendered last: frontends of a service
 * port go one way together, and some items are what several frontends come to.
 */
export class ServiceRenderer {
  readonly #node: () => ServiceNodeContext;
  readonly #groups = new Map<string, Group>();
  readonly #pools = new Map<PoolId, Pool>();
  /** How many groups have it so. */
  readonly #rests = new Map<string, Map<Rest, number>>();
  readonly #endpoints: Counted = new Map();
  readonly #guarded: Counted = new Map();
  readonly #clusterIps = new Set<string>();
  readonly #spread = new HostSpread();
  /** Groups whose part for the outside is the host's. */
  #hosted: ReadonlySet<string> = new Set();
  #base: ServiceBase = { nodePortAddresses: [], serviceCidrs: [], podCidrs: [] };
  /** Of the items that several frontends come to, as last rendered. */
  #common = new Map<Key, string>();

  constructor(node: () => ServiceNodeContext) {
    this.#node = node;
  }

  renderServices({ base, clusterIps, frontends, pools }: ServiceRows): Iterable<KeyValue> {
    for (const known of [this.#groups, this.#pools, this.#rests, this.#endpoints, this.#guarded]) known.clear();
    this.#common.clear();
    this.#clusterIps.clear();
    this.#spread.clear();
    for (const { address } of clusterIps) this.#clusterIps.add(address);
    this.#base = base;
    for (const pool of pools) this.#pools.set(pool.id, pool);
    for (const frontend of frontends) this.#group(groupOf(frontend)).frontends.set(frontend.key, frontend);
    const items: KeyValue[] = [...this.#baseItems(base)];
    for (const clusterIp of clusterIps) items.push(clusterIpRoute(clusterIp));
    const context = this.#context();
    this.#learn(this.#groups.keys());
    for (const [name, group] of this.#groups) {
      this.#render(name, group, context);
      for (const translation of group.rendered.translations) items.push(translation);
    }
    return [...items, ...this.#changedCommon()];
  }

  renderServiceChanges({ base, clusterIps, frontends, pools }: ServiceChanges): Iterable<ServiceItem> {
    const items: ServiceItem[] = [];
    const stale = new Set<string>();
    if (base) {
      items.push(...difference(this.#baseItems(this.#base), this.#baseItems(base.new ?? this.#base)));
      this.#base = base.new ?? this.#base;
      for (const [name, { frontends: own }] of this.#groups) {
        if ([...own.values()].some(({ address }) => address === undefined)) stale.add(name);
      }
    }
    for (const { old, new: now } of clusterIps) {
      items.push(...difference(old ? [clusterIpRoute(old)] : [], now ? [clusterIpRoute(now)] : []));
      if (old) this.#clusterIps.delete(old.address);
      if (now) this.#clusterIps.add(now.address);
    }
    for (const { old, new: now } of pools) {
      if (old) this.#pools.delete(old.id);
      if (now) this.#pools.set(now.id, now);
      for (const pool of [old, now]) if (pool) stale.add(groupOf(pool));
    }
    for (const { old } of frontends) {
      if (!old) continue;
      this.#group(groupOf(old)).frontends.delete(old.key);
      stale.add(groupOf(old));
    }
    for (const { new: now } of frontends) {
      if (!now) continue;
      this.#group(groupOf(now)).frontends.set(now.key, now);
      stale.add(groupOf(now));
    }
    items.push(...this.#renderAgain(stale), ...this.#changedCommon());
    // What a service no longer has, another one may have got.
    const put = new Set(items.filter(({ value }) => value !== undefined).map(({ key }) => key));
    return items.filter(({ key, value }) => value !== undefined || !put.has(key));
  }

  #renderAgain(changed: ReadonlySet<string>): ServiceItem[] {
    const context = this.#context();
    const stale = new Set([...changed, ...this.#learn(changed)]);
    const gone: Key[] = [];
    const there: KeyValue[] = [];
    for (const name of stale) {
      const group = this.#groups.get(name);
      if (!group) continue;
      const before = new Map(group.rendered.translations.map(({ key, value }) => [key, JSON.stringify(value)]));
      this.#render(name, group, context);
      for (const { key, value } of group.rendered.translations) {
        if (before.get(key) !== JSON.stringify(value)) there.push({ key, value });
        before.delete(key);
      }
      gone.push(...before.keys());
      if (group.frontends.size === 0) this.#groups.delete(name);
    }
    return [...gone.map(noMore), ...there];
  }

  #group(name: string): Group {
    let group = this.#groups.get(name);
    if (!group) this.#groups.set(name, (group = { frontends: new Map(), rendered: NOTHING }));
    return group;
  }

  #context(): GroupContext {
    const { nodePortAddresses } = this.#base;
    const { addresses, clusterCIDRs } = this.#node();
    const own = new Set([...addresses, ...nodePortAddresses]);
    const cluster = clusterCIDRs.map(parseNetwork);
    return {
      nodePortAddresses,
      nodeAddresses: addresses,
      isOwn: (address) => own.has(address) || cluster.some((network) => cidrContains(network, address)),
      pool: (id) => this.#pools.get(id),
    };
  }

  /** Returns those that are the host's now and were not before, or the other way round. */
  #learn(groups: Iterable<string>): string[] {
    for (const name of groups) {
      const frontends = [...(this.#groups.get(name)?.frontends.values() ?? [])];
      this.#spread.set(
        name,
        externalOf(frontends, (id) => this.#pools.get(id)),
      );
    }
    const before = this.#hosted;
    this.#hosted = this.#spread.hosted();
    return [...before.symmetricDifference(this.#hosted)];
  }

  #render(name: string, group: Group, context: GroupContext): void {
    this.#count(group.rendered, -1);
    group.rendered = renderGroup([...group.frontends.values()], this.#hosted.has(name), context);
    this.#count(group.rendered, 1);
  }

  #count({ rests, endpoints, guarded }: RenderedGroup, by: 1 | -1): void {
    for (const [address, rest] of rests) {
      const counts = this.#rests.get(address) ?? new Map<Rest, number>();
      this.#rests.set(address, counts);
      counts.set(rest, (counts.get(rest) ?? 0) + by);
      if (counts.get(rest) === 0) counts.delete(rest);
      if (counts.size === 0) this.#rests.delete(address);
    }
    count(this.#endpoints, endpoints, by);
    count(this.#guarded, guarded, by);
  }

  /** Of host ports: what the pod that they lead to can't do without. */
  renderHostPorts(frontends: readonly Frontend[]): Iterable<KeyValue> {
    const names = new Set(frontends.map(groupOf));
    const own = [...names].flatMap((name) => this.#groups.get(name)?.rendered.translations ?? []);
    const answers = new Set(frontends.map(({ family }) => aclKey(repliesList(family))));
    return [...own, ...[...this.#commonItems()].filter(({ key }) => answers.has(key))];
  }

  /** Items that are no one group's, as far as they are other than last time. */
  #changedCommon(): ServiceItem[] {
    const before = this.#common;
    this.#common = new Map();
    const items: ServiceItem[] = [];
    for (const { key, value } of this.#commonItems()) {
      const text = JSON.stringify(value);
      this.#common.set(key, text);
      if (before.get(key) !== text) items.push({ key, value });
    }
    const gone = [...before.keys()].filter((key) => !this.#common.has(key));
    return [...gone.map(noMore), ...items];
  }

  *#commonItems(): Iterable<KeyValue> {
    const { addresses, clusterCIDRs, uplinks, servesServices } = this.#node();
    if (!servesServices) return;
    const others = [...this.#rests]
      .filter(([address]) => !this.#clusterIps.has(address))
      .toSorted(([a], [b]) => (a < b ? -1 : 1));
    for (const [address, rests] of others) yield route(hostCidr(address), rests.has("host") ? "host" : "nobody");
    yield* forwardingItems({
      services: [...this.#base.serviceCidrs, ...others.map(([address]) => hostCidr(address))],
      endpoints: listed(this.#endpoints),
      inside: [...clusterCIDRs, ...addresses.map(hostCidr)],
    });
    yield* guardItems(listed(this.#guarded), uplinks);
  }

  /** Addresses that no service has are nobody's, and not the outside's either. */
  *#baseItems({ serviceCidrs }: ServiceBase): Iterable<KeyValue> {
    const { gateways, clusterCIDRs } = this.#node();
    for (const dst of serviceCidrs) {
      if (clusterCIDRs.includes(dst) || dst.endsWith(isIpv6(dst) ? "/128" : "/32")) continue;
      yield item(vppRouteKey, { vrf: 0, dst, paths: [{ type: "drop" as const }] });
      const source = gateways.find((gateway) => isIpv6(gateway) === isIpv6(dst));
      if (source !== undefined) yield item(routeKey, hostServiceRoute(dst, source));
    }
  }
}

function count(known: Counted, endpoints: readonly ServedEndpoint[], by: 1 | -1): void {
  for (const endpoint of endpoints) {
    const key = `${endpoint.protocol} ${endpoint.address} ${endpoint.port}`;
    const entry = known.get(key) ?? { endpoint, groups: 0 };
    entry.groups += by;
    if (entry.groups === 0) known.delete(key);
    else known.set(key, entry);
  }
}

const listed = (known: Counted): ServedEndpoint[] =>
  [...known].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, { endpoint }]) => endpoint);

const groupOf = ({ service, protocol, family }: Pick<Frontend | Pool, "family" | "protocol" | "service">): string =>
  `${service.pod ?? ""} ${service.namespace}/${service.name}:${service.port}/${protocol}/${family}`;

/** Those of another proxy are the host's business. */
const clusterIpRoute = ({ address, servedBy }: ClusterIp): KeyValue =>
  route(hostCidr(address), servedBy === "us" ? "nobody" : "host");

function route(dst: string, rest: Rest): KeyValue {
  const host: RoutePath = { type: "via", interface: HOST_INTERFACE, gateway: HOST_HOP[isIpv6(dst) ? 6 : 4] };
  const paths: readonly RoutePath[] = [rest === "host" ? host : { type: "unreachable" }];
  return item(vppRouteKey, { vrf: 0, dst, paths });
}

function* difference(old: Iterable<KeyValue>, now: Iterable<KeyValue>): Iterable<ServiceItem> {
  const before = new Map([...old].map(({ key, value }) => [key, JSON.stringify(value)]));
  const after = [...now];
  const kept = new Set(after.map(({ key }) => key));
  for (const key of before.keys()) if (!kept.has(key)) yield noMore(key);
  for (const { key, value } of after) if (before.get(key) !== JSON.stringify(value)) yield { key, value };
}

const noMore = (key: Key): ServiceItem => ({ key, value: undefined });
