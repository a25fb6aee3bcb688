import { toError } from "../base/errors/errors.ts";
import {
  decodeNodeId,
  decodeNodeInfo,
  decodeNodeName,
  type NodeIdRecord,
  type NodeInfo,
  type NodeNameRecord,
  nodeIdKey,
  nodeInfoKey,
  nodeNameKey,
  parseNodeKey,
} from "../models/node.ts";
import { ModelError } from "../models/versioned-json.ts";
import type { Compare, Entry, Revision } from "../stores/api/store.ts";

/** A record as stored. Without `value` it is there but can't be used, for the reason in `error`. */
export type Stored<T> =
  | { readonly revision: Revision; readonly value: T; readonly error?: undefined }
  | { readonly revision: Revision; readonly value?: undefined; readonly error: ModelError };

/** Everything below `/heddle/nodes/` at one moment. */
export class NodeRecords {
  readonly ids = new Map<number, Stored<NodeIdRecord>>();
  readonly names = new Map<string, Stored<NodeNameRecord>>();
  readonly infos = new Map<string, Stored<NodeInfo>>();
  /** Keys and values that can't be used. */
  readonly problems: ModelError[] = [];

  constructor(entries: Iterable<Entry>) {
    for (const entry of entries) {
      try {
        const key = parseNodeKey(entry.key);
        if (key.kind === "id") this.ids.set(key.id, this.#decode(entry, decodeNodeId));
        else if (key.kind === "name") this.names.set(key.name, this.#decode(entry, decodeNodeName));
        else this.infos.set(key.name, this.#decode(entry, decodeNodeInfo));
      } catch (e) {
        if (!(e instanceof ModelError)) throw toError(e);
        this.problems.push(e);
      }
    }
  }

  /** IDs recorded as the name's, smallest first. */
  idsOf(name: string): number[] {
    return [...this.ids]
      .filter(([, r]) => r.value?.name === name)
      .map(([id]) => id)
      .sort((a, b) => a - b);
  }

  /** IDs that nobody may take: those recorded, and those that nodes say they have although the record is lost. */
  takenIds(): Set<number> {
    const taken = new Set(this.ids.keys());
    for (const { value } of this.names.values()) if (value) taken.add(value.id);
    for (const { value } of this.infos.values()) if (value) taken.add(value.id);
    return taken;
  }

  /** Every name that some record is about. */
  allNames(): Set<string> {
    const names = new Set([...this.names.keys(), ...this.infos.keys()]);
    for (const { value } of this.ids.values()) if (value) names.add(value.name);
    return names;
  }

  unchangedId = (id: number): Compare => ({ key: nodeIdKey(id), revision: this.ids.get(id)?.revision });
  unchangedName = (name: string): Compare => ({ key: nodeNameKey(name), revision: this.names.get(name)?.revision });
  unchangedInfo = (name: string): Compare => ({ key: nodeInfoKey(name), revision: this.infos.get(name)?.revision });

  #decode<T>(entry: Entry, decode: (key: string, value: Uint8Array) => T): Stored<T> {
    try {
      return { revision: entry.revision, value: decode(entry.key, entry.value) };
    } catch (e) {
      if (!(e instanceof ModelError)) throw e;
      this.problems.push(e);
      return { revision: entry.revision, error: e };
    }
  }
}
