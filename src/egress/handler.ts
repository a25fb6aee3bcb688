import { isDeepStrictEqual } from "node:util";
import type { Clock } from "../base/clock/clock.ts";
import type { IpAddress } from "../base/ip/address.ts";
import { cidrContains, parseNetwork } from "../base/ip/cidr.ts";
import {
  type ControllerEvent,
  type EventOutput,
  type Handler,
  isStoreEvent,
  type ResyncEvent,
} from "../controller/api.ts";
import type { Log } from "../infra/log/log.ts";
import type { Key } from "../kvscheduler/api/descriptor.ts";
import type { EgressClaim } from "../models/node.ts";
import type { LocalNodeRow, PeerRow } from "../nodes/api.ts";
import type { EgressNamespace, EgressSources, EgressStatus, EgressWiring } from "./api.ts";
import { type Compiled, type CompiledRow, compileEgress, type EgressPod } from "./compile.ts";
import { claimsOf } from "./holders.ts";
import { EgressObjects } from "./objects.ts";

export interface EgressHandlerOptions {
  readonly wiring: EgressWiring;
  /** As nodes have them by now: they come first in the chain. So do pods. */
  readonly local: () => LocalNodeRow;
  readonly peers: () => ReadonlyMap<string, PeerRow>;
  /** Of this node. */
  readonly pods: () => Iterable<EgressPod>;
  readonly changesPods: (event: ControllerEvent) => boolean;
  /** Addresses of this node's interfaces as they are now. */
  readonly ownAddresses: () => readonly IpAddress[];
  readonly changesOwnAddresses: (event: ControllerEvent) => boolean;
  /** Tells the other nodes which of the addresses that namespaces ask for this one has. */
  readonly publish: (claims: readonly EgressClaim[]) => void;
  readonly clock: Pick<Clock, "wall">;
  readonly log: Pick<Log, "warn">;
  readonly isInPlace: (key: Key) => boolean;
}

/**
 * Keeps in force as which addresses the pods of namespaces are seen outside. Stands behind nodes and pods in the chain. As long
 * as no namespace asks for anything there are no items.
 */
export class EgressHandler implements Handler {
  readonly name = "egress";
  readonly #options: EgressHandlerOptions;
  readonly #objects: EgressObjects;
  #claims: readonly EgressClaim[] = [];
  #published: readonly EgressClaim[] = [];
  #items = new Map<Key, unknown>();
  #compiled: Compiled | undefined;
  /** Of events that are being worked on: flows that are to end when what they have changed is in force. */
  readonly #stale = new WeakMap<ControllerEvent, EgressSources>();

  constructor(options: EgressHandlerOptions) {
    this.#options = options;
    this.#objects = new EgressObjects(() => options.local().clusterCIDRs);
  }

  status(): EgressStatus {
    const missing = [...this.#items.keys()].filter((key) => !this.#options.isInPlace(key));
    return { namespaces: this.#compiled?.namespaces ?? [], missing: missing.sort() };
  }

  /** What a pod waits for that may be of such a namespace. */
  podKeys(ips: readonly string[]): Iterable<Key> {
    return this.#objects.wishes.size > 0 ? this.#options.wiring.podEgressKeys(ips) : [];
  }

  handles(event: ControllerEvent): boolean {
    const { changesPods, changesOwnAddresses } = this.#options;
    return isStoreEvent(event) || changesPods(event) || changesOwnAddresses(event);
  }

  resync(event: ResyncEvent, out: EventOutput): void {
    this.#objects.reset(event.entries);
    // An agent's earlier life has told since when it has an address.
    if (this.#claims.length === 0) this.#claims = this.#objects.claims.get(this.#options.local().name) ?? [];
    const before = this.#compiled;
    this.#items.clear();
    this.#refresh(out);
    this.#stale.set(
      event,
      staleOf(before, this.#compiled, () => true),
    );
  }

  update(event: ControllerEvent, out: EventOutput): void {
    const { changesPods, changesOwnAddresses } = this.#options;
    let isTouched = this.#objects.wishes.size > 0 && (changesPods(event) || changesOwnAddresses(event));
    if (isStoreEvent(event)) {
      for (const { key, new: entry } of event.changes) isTouched = this.#objects.take(key, entry) || isTouched;
    }
    if (!isTouched) return;
    const before = this.#compiled;
    this.#refresh(out);
    // A pod that has just come has no flows.
    const isNews = (row: CompiledRow): boolean => row.isLocal && !changesPods(event);
    const stale = staleOf(before, this.#compiled, isNews, (namespace) => !this.#objects.wishes.has(namespace));
    this.#stale.set(event, stale);
  }

  async finish(event: ControllerEvent): Promise<void> {
    // Not before: what others lead here from then on must be translated.
    if (!isDeepStrictEqual(this.#claims, this.#published)) this.#options.publish(this.#claims);
    this.#published = this.#claims;
    const stale = this.#stale.get(event);
    if (!stale || stale.size === 0) return;
    const { local } = this.#options;
    const inside = [...local().clusterCIDRs, ...(this.#compiled?.state.kept ?? [])].map(parseNetwork);
    await this.#options.wiring.endFlows(stale, (ip) => !inside.some((network) => cidrContains(network, ip)));
  }

  #refresh(out: EventOutput): void {
    const { wiring, local, peers, pods } = this.#options;
    const objects = this.#objects;
    this.#claim();
    const before = this.#compiled;
    const self = local();
    this.#compiled = compileEgress({
      wishes: objects.wishes,
      claims: new Map([...objects.claims, [self.name, this.#claims]]),
      local: self,
      peers: peers(),
      localPods: pods(),
      remotePods: objects.pods(self.name),
      nodeAddresses: [...objects.nodeAddresses(), ...this.#options.ownAddresses()],
    });
    const items = this.#compiled ? wiring.renderEgress(this.#compiled.state) : [];
    const now = new Map([...items].map(({ key, value }) => [key, value]));
    for (const key of this.#items.keys()) if (!now.has(key)) out.delete(key);
    for (const [key, value] of now) if (!isDeepStrictEqual(this.#items.get(key), value)) out.put(key, value);
    this.#items = now;
    this.#tell(before?.namespaces ?? []);
  }

  /** Which addresses this node has. */
  #claim(): void {
    const { ownAddresses, clock } = this.#options;
    const claims = claimsOf(this.#objects.wantedAddresses(), ownAddresses(), this.#claims, clock.wall());
    this.#claims = claims;
  }

  /** What is wrong by now, and was not before. */
  #tell(before: readonly EgressNamespace[]): void {
    const known = new Set(before.flatMap(({ namespace, problems }) => problems.map((p) => namespace + p.message)));
    for (const { namespace, problems } of this.#compiled?.namespaces ?? []) {
      for (const { code, message } of problems) {
        if (!known.has(namespace + message)) this.#options.log.warn({ namespace, code }, message);
      }
    }
  }
}

/**
 * Which source flows are to have from now on, for pods of which that has changed. `isNews`: whether a row that was not there
 * before may have flows; `isOver`: whether a namespace has no such addresses any more.
 */
function staleOf(
  before: Compiled | undefined,
  now: Compiled | undefined,
  isNews: (row: CompiledRow) => boolean,
  isOver: (namespace: string) => boolean = () => false,
): EgressSources {
  const old = new Map((before?.state.rows ?? []).map((row) => [row.pod, row]));
  const stale = new Map<IpAddress, IpAddress | undefined>();
  for (const row of now?.state.rows ?? []) {
    const known = old.get(row.pod);
    old.delete(row.pod);
    const isChanged = known ? !isDeepStrictEqual(known.way, row.way) : isNews(row);
    if (isChanged) stale.set(row.pod, sourceOf(row));
  }
  for (const { pod, namespace } of old.values()) if (isOver(namespace)) stale.set(pod, undefined);
  return stale;
}

/** Where a pod is led to another node, it leaves this one as it is. */
function sourceOf({ pod, way }: CompiledRow): IpAddress | undefined {
  if (way.to === "here") return way.source;
  return way.to === "peer" ? pod : undefined;
}
