import type { IpAddress } from "../base/ip/address.ts";
import { isUnreadable, readable, readEntry } from "../models/k8s/entry.ts";
import { k8sKindPrefix } from "../models/k8s/keys.ts";
import { namespaceCodec } from "../models/k8s/namespace.ts";
import { k8sNodeCodec } from "../models/k8s/node.ts";
import { isCompleted, podCodec } from "../models/k8s/pod.ts";
import { decodeNodeInfo, type EgressClaim, NODE_INFO_PREFIX } from "../models/node.ts";
import { ModelError } from "../models/versioned-json.ts";
import type { Entry } from "../stores/api/store.ts";
import { EGRESS_ANNOTATION, type EgressWish, parseEgress } from "./annotation.ts";
import type { EgressPod } from "./compile.ts";

const NAMESPACES = k8sKindPrefix("namespace");
const NODES = k8sKindPrefix("node");
const PODS = k8sKindPrefix("pod");

type RemotePod = EgressPod & { readonly node: string };

/**
 * What the store says about egress addresses. Of pods only those in namespaces that ask for addresses are read: the others are
 * most of what a store has.
 */
export class EgressObjects {
  readonly #clusterCidrs: () => readonly string[];
  /** The store as last seen. */
  #entries: ReadonlyMap<string, Entry> = new Map();
  readonly wishes = new Map<string, EgressWish>();
  /** The text of each wish. */
  readonly #texts = new Map<string, string>();
  /** By node. */
  readonly claims = new Map<string, readonly EgressClaim[]>();
  /** By the key of who has them. */
  readonly #addresses = new Map<string, readonly IpAddress[]>();
  /** By namespace and key. */
  readonly #pods = new Map<string, Map<string, RemotePod>>();

  constructor(clusterCidrs: () => readonly string[]) {
    this.#clusterCidrs = clusterCidrs;
  }

  /** `entries` go on changing with the store; what is new in them has still to be told by {@link take}. */
  reset(entries: ReadonlyMap<string, Entry>): void {
    for (const known of [this.wishes, this.#texts, this.claims, this.#addresses, this.#pods]) known.clear();
    this.#entries = entries;
    for (const [key, entry] of entries) if (!key.startsWith(PODS)) this.take(key, entry);
  }

  /** Whether it makes a difference. */
  take(key: string, entry: Entry | undefined): boolean {
    if (key.startsWith(PODS)) return this.#takePod(key, entry);
    if (key.startsWith(NAMESPACES)) return this.#takeNamespace(key, entry);
    if (key.startsWith(NODES)) {
      const node = readable(readEntry(k8sNodeCodec, key, entry?.value));
      return this.#takeAddresses(key, node?.addresses ?? []);
    }
    return key.startsWith(NODE_INFO_PREFIX) && this.#takeInfo(key, entry);
  }

  *wantedAddresses(): Iterable<IpAddress> {
    for (const wish of this.wishes.values()) if ("addresses" in wish) yield* Object.values(wish.addresses);
  }

  /** Of nodes other than this one. */
  *pods(self: string): Iterable<RemotePod> {
    for (const pods of this.#pods.values()) for (const pod of pods.values()) if (pod.node !== self) yield pod;
  }

  *nodeAddresses(): Iterable<IpAddress> {
    for (const addresses of this.#addresses.values()) yield* addresses;
  }

  #takeNamespace(key: string, entry: Entry | undefined): boolean {
    const name = key.slice(NAMESPACES.length);
    const object = readEntry(namespaceCodec, key, entry?.value);
    const invalid = isUnreadable(object) ? `the namespace can't be read: ${object.unreadable}` : undefined;
    const text = invalid ?? readable(object)?.annotations?.[EGRESS_ANNOTATION];
    if (text === this.#texts.get(name)) return false;
    if (text === undefined) {
      this.wishes.delete(name);
      this.#texts.delete(name);
      this.#pods.delete(name);
      return true;
    }
    this.#texts.set(name, text);
    this.wishes.set(name, invalid === undefined ? parseEgress(text, this.#clusterCidrs()) : { invalid });
    if (!this.#pods.has(name)) this.#readPods(name);
    return true;
  }

  #readPods(namespace: string): void {
    this.#pods.set(namespace, new Map());
    const prefix = `${PODS}${namespace}/`;
    for (const [key, entry] of this.#entries) if (key.startsWith(prefix)) this.#takePod(key, entry);
  }

  #takePod(key: string, entry: Entry | undefined): boolean {
    const known = this.#pods.get(key.slice(PODS.length, key.indexOf("/", PODS.length)));
    if (!known) return false;
    const pod = readable(readEntry(podCodec, key, entry?.value));
    const counts = pod && pod.node !== undefined && !pod.hostNetwork && !isCompleted(pod) && pod.ips.length > 0;
    const before = known.get(key);
    if (!counts) return known.delete(key);
    const { namespace, node = "", ips } = pod;
    if (before && before.node === node && before.ips.join() === ips.join()) return false;
    known.set(key, { namespace, node, ips });
    return true;
  }

  /** Whatever else is new of a node may change the peers; nodes themselves complain of what can't be read. */
  #takeInfo(key: string, entry: Entry | undefined): boolean {
    const name = key.slice(NODE_INFO_PREFIX.length);
    this.claims.delete(name);
    this.#addresses.delete(key);
    try {
      const info = entry && decodeNodeInfo(key, entry.value);
      if (info?.egress) this.claims.set(name, info.egress);
      if (info) this.#addresses.set(key, info.underlayIps);
    } catch (e) {
      if (!(e instanceof ModelError)) throw e;
    }
    return this.wishes.size > 0;
  }

  #takeAddresses(key: string, addresses: readonly IpAddress[]): boolean {
    if (addresses.join() === (this.#addresses.get(key) ?? []).join()) return false;
    this.#addresses.set(key, addresses);
    return this.wishes.size > 0;
  }
}
