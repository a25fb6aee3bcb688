import { compareIp, familyOf, type IpAddress, type IpFamily, isSpecialIp } from "../../base/ip/address.ts";
import { type Cidr, cidrContains, compareCidr, formatCidr, networkOf, parseCidr } from "../../base/ip/cidr.ts";
import { IpError } from "../../base/ip/ip-error.ts";
import type { Entry } from "../../models/k8s/entry.ts";
import type { K8sNode } from "../../models/k8s/node.ts";
import type { ServiceCidr } from "../../models/k8s/service-cidr.ts";
import type { ServiceBase, ServiceConfig } from "../api.ts";
import type { ServiceProblem } from "../problems.ts";

const ZONE_LABEL = "topology.kubernetes.io/zone";

/** What services need to know of nodes and networks, seen from one node. */
export class Here {
  readonly config: ServiceConfig;
  /** Of this node; "" when it has none. */
  zone = "";
  base: ServiceBase;
  readonly podCidrs: readonly Cidr[];
  readonly #portNetworks: readonly Cidr[] | undefined;
  readonly #nodes = new Map<string, K8sNode>();
  /** How many nodes say to have it. */
  readonly #nodeAddresses = new Map<IpAddress, number>();
  #interfaces: ReadonlySet<IpAddress> = new Set();
  readonly #cidrs = new Map<string, readonly Cidr[]>();
  #serviceCidrs: readonly Cidr[] = [];
  #all = false;
  #place = "";
  /** Of addresses that came or went since {@link takeEffect}: whether they were a node's. */
  readonly #before = new Map<IpAddress, boolean>();

  /** @throws IpError for a network of the configuration that is none. */
  constructor(config: ServiceConfig) {
    this.config = config;
    this.podCidrs = networks(config.podCidrs);
    this.#portNetworks = config.nodePortAddresses === "primary" ? undefined : networks(config.nodePortAddresses);
    this.base = { nodePortAddresses: [], serviceCidrs: [], podCidrs: this.podCidrs.map(formatCidr) };
  }

  /** One that can't be read is as good as none. */
  putNode(name: string, object: Entry<K8sNode>): void {
    const old = this.#nodes.get(name);
    const now = object && !("unreadable" in object) ? object : undefined;
    for (const ip of old?.addresses ?? []) this.#count(ip, -1);
    for (const ip of now?.addresses ?? []) this.#count(ip, 1);
    if (now) this.#nodes.set(name, now);
    else this.#nodes.delete(name);
    if (name === this.config.node) this.#ownChanged();
  }

  putInterfaces(addresses: readonly IpAddress[]): void {
    for (const ip of [...this.#interfaces, ...addresses]) this.#touch(ip);
    this.#interfaces = new Set(addresses);
    this.#ownChanged();
  }

  putServiceCidr(name: string, object: Entry<ServiceCidr>): ServiceProblem[] {
    const problems: ServiceProblem[] = [];
    const read = object && !("unreadable" in object) ? object.cidrs : [];
    const cidrs = read.flatMap((text) => {
      const found = tryNetwork(text);
      if (!found) problems.push({ ...BAD_CIDR, message: `${JSON.stringify(text)} is no network` });
      return found ?? [];
    });
    if (object && "unreadable" in object) problems.push(unreadable(object.unreadable));
    if (object) this.#cidrs.set(name, cidrs);
    else this.#cidrs.delete(name);
    const all = new Map([...this.#cidrs.values()].flat().map((c) => [formatCidr(c), c]));
    this.#serviceCidrs = [...all.values()].sort(compareCidr);
    const serviceCidrs = this.#serviceCidrs.map(formatCidr);
    if (serviceCidrs.join() !== this.base.serviceCidrs.join()) this.#all = true;
    this.base = { ...this.base, serviceCidrs };
    return problems;
  }

  /** Undefined where no service CIDR of the family is known. */
  isInServiceCidr(ip: IpAddress): boolean | undefined {
    const family = familyOf(ip);
    const cidrs = this.#serviceCidrs.filter((c) => c.family === family);
    return cidrs.length === 0 ? undefined : cidrs.some((c) => cidrContains(c, ip));
  }

  /** Whether it is an address of any node. */
  isNodeAddress(ip: IpAddress): boolean {
    return this.#nodeAddresses.has(ip) || this.#interfaces.has(ip);
  }

  isOwn(ip: IpAddress): boolean {
    return this.own.includes(ip);
  }

  /** Whether this node is about to be removed; not where nothing is known of it. */
  get isLeaving(): boolean {
    return this.#nodes.get(this.config.node)?.leaving ?? false;
  }

  /** Addresses of this node. */
  get own(): readonly IpAddress[] {
    return [...new Set([...(this.#nodes.get(this.config.node)?.addresses ?? []), ...this.#interfaces])];
  }

  /** This node's first address of the family. */
  primary(family: IpFamily): IpAddress | undefined {
    const own = this.#nodes.get(this.config.node)?.addresses;
    return (own ?? [...this.#interfaces]).find((ip) => familyOf(ip) === family && !isSpecialIp(ip));
  }

  /** What the calls since the last one may have changed: every service, or those that have to do with these addresses. */
  takeEffect(): { readonly all: boolean; readonly addresses: ReadonlySet<IpAddress> } {
    const addresses = [...this.#before].flatMap(([ip, was]) => (this.isNodeAddress(ip) === was ? [] : [ip]));
    const effect = { all: this.#all, addresses: new Set(addresses) };
    this.#all = false;
    this.#before.clear();
    return effect;
  }

  #ownChanged(): void {
    const own = this.own.filter((ip) => !isSpecialIp(ip));
    const among = this.#portNetworks;
    const primary = ([4, 6] as const).flatMap((family) => this.primary(family) ?? []);
    const nodePortAddresses = among ? own.filter((ip) => among.some((c) => cidrContains(c, ip))) : primary;
    this.base = { ...this.base, nodePortAddresses: nodePortAddresses.toSorted(compareIp) };
    this.zone = this.#nodes.get(this.config.node)?.labels[ZONE_LABEL] ?? "";
    // The zone is for hints, the first addresses for source ranges: a node's objects change often, these don't.
    const place = [this.zone, ...primary].join(" ");
    if (place !== this.#place) this.#all = true;
    this.#place = place;
  }

  /** To be called before an address comes or goes. */
  #touch(ip: IpAddress): void {
    if (!this.#before.has(ip)) this.#before.set(ip, this.isNodeAddress(ip));
  }

  #count(ip: IpAddress, by: 1 | -1): void {
    this.#touch(ip);
    const before = this.#nodeAddresses.get(ip) ?? 0;
    if (before + by === 0) this.#nodeAddresses.delete(ip);
    else this.#nodeAddresses.set(ip, before + by);
  }
}

const BAD_CIDR = { code: "BAD_NETWORK", at: "spec.cidrs", effect: "part-ignored" } as const;

export const unreadable = (why: string): ServiceProblem => ({
  code: "UNREADABLE",
  at: "",
  message: why,
  effect: "ignored",
});

const networks = (texts: readonly string[]): Cidr[] => texts.map((t) => networkOf(parseCidr(t))).sort(compareCidr);

/** Bits behind the prefix don't matter. */
export function tryNetwork(text: string): Cidr | undefined {
  try {
    return networkOf(parseCidr(text));
  } catch (e) {
    if (e instanceof IpError) return undefined;
    throw e;
  }
}
