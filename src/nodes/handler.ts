import type { ControllerEvent, EventOutput, Handler, ResyncEvent } from "../controller/api.ts";
import { isStoreEvent } from "../controller/api.ts";
import type { Log } from "../infra/log/log.ts";
import type { Key, KeyValue } from "../kvscheduler/api/descriptor.ts";
import { decodeNodeId, decodeNodeInfo, decodeNodeName, NODES_PREFIX, parseNodeKey } from "../models/node.ts";
import type { Entry } from "../stores/api/store.ts";
import type { IgnoredNode, LocalNodeRow, Mesh, NodeInfo, NodeWiring, PeerRow } from "./api.ts";
import { buildMesh, diffPeers } from "./mesh.ts";

export interface NodesOptions {
  readonly wiring: NodeWiring;
  readonly log: Log;
  /** What this node publishes of itself; both until it {@link NodesHandler.move}s. */
  readonly self: NodeInfo;
  readonly local: LocalNodeRow;
}

const NO_MESH: Mesh = { peers: new Map(), ignored: [], selfProblem: undefined };

/** Keeps the paths to the pods of the other nodes, as their published infos come and go. */
export class NodesHandler implements Handler {
  readonly name = "nodes";
  readonly #options: NodesOptions;
  #self: NodeInfo;
  #local: LocalNodeRow;
  /** By key. */
  readonly #infos = new Map<string, NodeInfo>();
  readonly #unreadable = new Map<string, string>();
  #mesh: Mesh = NO_MESH;

  constructor(options: NodesOptions) {
    this.#options = options;
    this.#self = options.self;
    this.#local = options.local;
  }

  /** This node has other addresses; takes full effect with the next resync. Name, ID and pods' networks are the same. */
  move(self: NodeInfo, local: LocalNodeRow): void {
    this.#self = self;
    this.#local = local;
  }

  /** Nodes that this one does not talk to, and stored keys and values that mean nothing to it, each with the reason. */
  get ignored(): readonly IgnoredNode[] {
    const unreadable = [...this.#unreadable].map(([name, reason]) => ({ name, reason }));
    return [...this.#mesh.ignored, ...unreadable];
  }

  get peers(): ReadonlyMap<string, PeerRow> {
    return this.#mesh.peers;
  }

  /** Why other nodes do not talk to this one. */
  get selfProblem(): string | undefined {
    return this.#mesh.selfProblem;
  }

  handles(event: ControllerEvent): boolean {
    return isStoreEvent(event) && event.changes.some((change) => change.key.startsWith(NODES_PREFIX));
  }

  resync(event: ResyncEvent, out: EventOutput): void {
    const { wiring } = this.#options;
    const local = this.#local;
    this.#infos.clear();
    this.#unreadable.clear();
    for (const [key, entry] of event.entries) if (key.startsWith(NODES_PREFIX)) this.#take(key, entry);
    this.#mesh = this.#build();
    for (const { key, value } of wiring.renderLocal(local)) out.put(key, value);
    for (const peer of this.#mesh.peers.values()) {
      for (const { key, value } of wiring.renderPeer(peer, local)) out.put(key, value);
    }
  }

  update(event: ControllerEvent, out: EventOutput): void {
    if (!isStoreEvent(event)) return;
    for (const change of event.changes) {
      if (change.key.startsWith(NODES_PREFIX)) this.#take(change.key, change.new);
    }
    const mesh = this.#build();
    const changes = diffPeers(this.#mesh.peers, mesh.peers);
    this.#mesh = mesh;
    // All removals first: what one peer gives up may be what another takes over.
    const put = new Map<Key, unknown>();
    for (const { old, new: now } of changes) {
      if (old) for (const { key } of this.#render(old)) out.delete(key);
      if (now) for (const { key, value } of this.#render(now)) put.set(key, value);
    }
    for (const [key, value] of put) out.put(key, value);
  }

  #render(peer: PeerRow): Iterable<KeyValue> {
    return this.#options.wiring.renderPeer(peer, this.#local);
  }

  #build(): Mesh {
    const mesh = buildMesh(this.#self, this.#infos.values());
    if (mesh.selfProblem !== undefined && mesh.selfProblem !== this.#mesh.selfProblem) {
      this.#options.log.error({ problem: mesh.selfProblem }, "the other nodes do not talk to this one");
    }
    return mesh;
  }

  #take(key: string, entry: Entry | undefined): void {
    this.#infos.delete(key);
    this.#unreadable.delete(key);
    if (!entry) return;
    try {
      const { kind } = parseNodeKey(key);
      if (kind === "info") this.#infos.set(key, decodeNodeInfo(key, entry.value));
      // Who has which ID is the registry's business, and read when it is asked for; what is damaged is told all the time.
      else if (kind === "id") decodeNodeId(key, entry.value);
      else decodeNodeName(key, entry.value);
    } catch (e) {
      const reason = e instanceof Error ? e.message : String(e);
      this.#unreadable.set(key, reason);
      this.#options.log.warn({ key, reason }, "unusable record in the store");
    }
  }
}
